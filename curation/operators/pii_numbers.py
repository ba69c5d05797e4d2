"""Numbers that name a person or an account: IBANs, payment cards, national identity numbers, wallets.

Each has a shape and, nearly always, check digits (python-stdnum); what has neither a shape of its own nor a word beside
it that says what it is, is taken for one of the many other numbers in texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from curation.operators.pii_spans import Found, ascii_digits, named_before, only_digits

_IBAN = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![\w-])")
_CARD = re.compile(r"(?<![\w.,+/#-])\d{4}([ -]?)(?:\d{4}\1\d{4}\1\d{1,7}|\d{6}\1\d{4,5})(?![\w-]|[.,]\d)")
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|"
    r"(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14,17}|"
    r"9704\d{12}(?:\d{3})?|(?:50|5[6-9]|6[0-9])\d{14}"
)
"""Visa, Mastercard, American Express, Discover, JCB, Diners Club, UnionPay, Vietnam's NAPAS, Maestro."""
_TEST_CARDS = frozenset(
    "4111111111111111 4242424242424242 4012888888881881 4000056655665556 5555555555554444 5105105105105100 "
    "5200828282828210 2223003122003222 378282246310005 371449635398431 378734493671000 6011111111111117 "
    "6011000990139424 3056930009020004 30569309025904 38520000023237 36227206271667 3530111333300000 "
    "3566002020360505 6200000000000005 4222222222222".split()
)
"""What manuals of payment services print: nobody's cards."""

_ID_WORDS = (
    "id no|id number|identity|identity card|identification|national id|personal number|cccd|cmnd|cmt|căn cước|"
    "chứng minh|định danh|giấy tờ|pesel|kimlik|tc|tckn|steuer-id|idnr|steueridentifikationsnummer|bsn|"
    "burgerservicenummer|cnp|egn|егн|oib|fødselsnummer|fodselsnummer|personnummer|"
    "nhs|tfn|nik|ktp|ssn|social security|sin|cpf|dni|nie|rut|"
    "curp|amka|αμκα|תעודת זהות|aadhaar|aadhar|uid|आधार|身份证|身分證|マイナンバー|個人番号|"
    "주민등록번호|주민번호|ประจำตัวประชาชน"
)
"""What stands before a number that names a person."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How a country writes the numbers of its people."""

    module: str
    """In stdnum; empty: checked here."""
    shape: str
    named: bool = False
    """Only where a word before it says what it is: its shape alone is that of too many numbers."""


IDENTITIES: dict[str, tuple[Identity, ...]] = {
    "AU": (Identity("au.tfn", r"\d{3} ?\d{3} ?\d{3}", True),),
    "BE": (Identity("be.nn", r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"),),
    "BG": (Identity("bg.egn", r"\d{10}", True),),
    "BR": (Identity("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d"), Identity("br.cpf", r"\d{11}", True)),
    "CA": (Identity("ca.sin", r"\d{3}([ -])\d{3}\1\d{3}", True),),
    "CH": (Identity("ch.ssn", r"756\.\d{4}\.\d{4}\.\d\d"),),
    "CL": (Identity("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]"),),
    "CN": (Identity("cn.ric", r"[1-9]\d{5}(?:19|20)\d{9}[\dxX]"),),
    "CZ": (Identity("cz.rc", r"\d{6}/\d{3,4}", True),),
    "DE": (Identity("de.idnr", r"\d\d ?\d{3} ?\d{3} ?\d{3}", True),),
    "DK": (Identity("dk.cpr", r"\d{6}-\d{4}", True),),
    "ES": (Identity("es.dni", r"\d{8}-?[A-Z]"), Identity("es.nie", r"[XYZ]-?\d{7}-?[A-Z]")),
    "FI": (Identity("fi.hetu", r"\d{6}[-+A]\d{3}[0-9A-Y]"),),
    "FR": (Identity("fr.nir", r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d"),),
    "GB": (Identity("gb.nhs", r"\d{3} ?\d{3} ?\d{4}", True),),
    "GR": (Identity("gr.amka", r"\d{11}", True),),
    "HR": (Identity("hr.oib", r"\d{11}", True),),
    "ID": (Identity("id.nik", r"\d{16}", True),),
    "IE": (Identity("ie.pps", r"\d{7}[A-W][A-IW]?", True),),
    "IL": (Identity("il.idnr", r"\d{9}", True),),
    "IN": (Identity("in_.aadhaar", r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", True),),
    "IT": (Identity("it.codicefiscale", r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]"),),
    "JP": (Identity("jp.in_", r"\d{4}[ -]?\d{4}[ -]?\d{4}", True),),
    "KR": (Identity("kr.rrn", r"\d{6}-[1-8]\d{6}"),),
    "MX": (Identity("mx.curp", r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d"),),
    "MY": (Identity("my.nric", r"\d{6}-\d\d-\d{4}"),),
    "NL": (Identity("nl.bsn", r"\d{9}", True),),
    "NO": (Identity("no.fodselsnummer", r"\d{6} ?\d{5}", True),),
    "PK": (Identity("pk.cnic", r"\d{5}-\d{7}-\d"),),
    "PL": (Identity("pl.pesel", r"\d{11}", True),),
    "RO": (Identity("ro.cnp", r"[1-9]\d{12}", True),),
    "SE": (Identity("se.personnummer", r"(?:19|20)?\d{6}[-+]\d{4}"),),
    "TH": (Identity("th.pin", r"\d-\d{4}-\d{5}-\d\d-\d"), Identity("th.pin", r"\d{13}", True)),
    "TR": (Identity("tr.tckimlik", r"[1-9]\d{10}", True),),
    "US": (Identity("us.ssn", r"\d{3}-\d\d-\d{4}"), Identity("us.ssn", r"\d{9}", True)),
    "VN": (Identity("", r"0\d\d ?\d ?\d\d ?\d{6}"), Identity("", r"\d{3} ?\d{3} ?\d{3}", True)),
    "ZA": (Identity("za.idnr", r"\d{13}", True),),
}  # fmt: skip
"""Country -> its numbers."""

_PROVINCES = frozenset(
    "001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035 036 037 038 040 "
    "042 044 045 046 048 049 051 052 054 056 058 060 062 064 066 067 068 070 072 074 075 077 079 080 082 083 084 "
    "086 087 089 091 092 093 094 095 096".split()
)
"""Where a Vietnamese was registered at birth, in the first three digits of a citizen's number."""


def ibans(text: str) -> Iterator[Found]:
    """Accounts whose country, length and check digits agree."""
    from stdnum import iban

    for found in _IBAN.finditer(text):
        # A word in capitals may follow the number: the longest beginning that is one counts.
        end = found.end()
        while end > found.start() + 14:
            written = text[found.start() : end].rstrip(" -")
            if iban.is_valid(written):
                yield Found(found.start(), found.start() + len(written), "iban", iban.compact(written))
                break
            end = found.start() + max(written.rfind(" "), written.rfind("-"))


def cards(text: str) -> Iterator[Found]:
    """Numbers of payment cards: an issuer's beginning, its length, Luhn's check digit."""
    from stdnum import luhn

    plain = ascii_digits(text)
    for found in _CARD.finditer(plain):
        digits = only_digits(found[0])
        if _ISSUERS.fullmatch(digits) and luhn.is_valid(digits) and digits not in _TEST_CARDS:
            yield Found(found.start(), found.end(), "card", digits)


def identities(text: str, countries: Sequence[str]) -> Iterator[Found]:
    """National identity numbers of these countries, none of them twice."""
    plain = ascii_digits(text)
    taken: set[int] = set()
    for rough in _ROUGH.finditer(plain):
        # Shapes are many and numbers few: each is looked at with what stands around it.
        low = max(0, rough.start() - 8)
        around = plain[low : rough.end() + 4]
        if not _any_shape(tuple(countries)).search(around):
            continue
        for country in countries:
            for identity in IDENTITIES[country]:
                for found in _shape(identity.shape).finditer(around):
                    start, end = low + found.start(), low + found.end()
                    if start in taken or (low and not found.start()) or not _is_valid(identity, found[0]):
                        continue
                    if identity.named and not named_before(text, start, _ID_WORDS):
                        continue
                    taken.add(start)
                    yield Found(start, end, "national_id", re.sub(r"[ ./-]", "", found[0]).upper())


_ROUGH = re.compile(r"\d(?:[ ./-]?\d){6,}|[A-Z]{4,6}\d\d[A-Z0-9]{6,}|\d{6}[-+A]\d{3}")
"""Whatever could be part of one."""


@cache
def _any_shape(countries: tuple[str, ...]) -> re.Pattern[str]:
    shapes = dict.fromkeys(identity.shape for country in countries for identity in IDENTITIES[country])
    loose = (shape.replace("([ -])", "[ -]").replace("\\1", "[ -]") for shape in shapes)
    return _shape(f"(?:{'|'.join(loose)})")


@cache
def _shape(shape: str) -> re.Pattern[str]:
    # Not a part of a longer number, word, decimal, path or address.
    return re.compile(rf"(?<![\w.,+/#$€£%-]){shape}(?![\w%]|[.,/-]\d)")


def _is_valid(identity: Identity, written: str) -> bool:
    if not identity.module:
        digits = only_digits(written)
        return len(digits) == 9 or digits[:3] in _PROVINCES
    return bool(import_module(f"stdnum.{identity.module}").is_valid(written))


_WALLET = re.compile(r"(?<!\w)(?:0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{11,71}|[13][1-9A-HJ-NP-Za-km-z]{25,34})(?!\w)")


def wallets(text: str) -> Iterator[Found]:
    """Addresses of Bitcoin, by their checksum, and of Ethereum, by their shape."""
    from stdnum import bitcoin

    for found in _WALLET.finditer(text):
        if found[0].startswith("0x") or bitcoin.is_valid(found[0]):
            yield Found(
                found.start(), found.end(), "wallet", found[0].lower() if found[0].startswith("0x") else found[0]
            )
