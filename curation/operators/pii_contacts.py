"""E-mail addresses, telephone numbers and IP addresses in texts, told from what only looks like them.

Version numbers, decorators, times, ranges of integers and identifiers have the shape of such data too, so each find is
checked by what it must be: a domain by its ending, a number by the plan of its country (phonenumbers), an address by
its range. What documentation uses is nobody's data and is not found: `example.com`, 192.0.2.1, 555-0100.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from functools import cache

from curation.operators.pii_spans import Found, ascii_digits, named_before, only_digits

_EMAIL = re.compile(
    r"(?<![\w.+%@\\-])(?P<local>\w(?:[\w.+%'-]|\\_){0,63})@(?P<domain>(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+"
    r"(?P<ending>[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59}))(?![\w@(-]|\.\w)"
)
_ENDINGS = frozenset(
    "com org net edu gov mil int info biz name pro mobi aero coop museum jobs travel app dev page blog cloud "
    "online site store shop tech xyz club live life world email agency academy art asia bank berlin bio business "
    "cafe capital care cat center church city co college community company computer consulting contact cool design "
    "digital directory earth education energy engineer engineering events expert family farm finance fit "
    "foundation fun fund gallery games global gmbh graphics group guide guru health help host hotel house icu "
    "institute international law legal link llc london ltd management marketing media mba money network news ngo "
    "one ong paris partners parts photo photos pictures plus press productions properties pub recipes red "
    "restaurant rocks run sale school science services show social software solutions space studio style support "
    "systems team technology tel tips today top tours town training university vip video vision wiki win wine "
    "works work zone".split()
)
"""Endings of domains that are no country's; those have two letters."""
_FILES = frozenset("js ts py md rs sh".split())
"""Endings of files: taken for a domain's only where the name before has a dot."""
_NOBODY = re.compile(
    r"(?i)(?:^|\.)(?:example(?:\.(?:com|org|net))?|test|invalid|localhost|local|(?:your)?(?:domain|company|email)\.com)$"
)

_PHONE = re.compile(
    r"(?<![\w+/=#@$€£¥%^*<>~&?-])(?<!\d:)(?<!\w[.,])"
    r"(?P<number>(?:\+[ .-]?)?\(?\d(?:[ \u00a0.\-/()\u2010-\u2013]{0,2}\d){6,16})"
    r"(?![\w%=]|[.,:/-]\d| ?(?:\*|/|\+|=) ?\d)"
)
_PHONE_WORDS = (
    "tel|telephone|phone|mobile|cell|call|fax|whatsapp|contact|contact number|hotline|sms|ph|viber|zalo|line|t|m|p|"
    "điện thoại|đt|sđt|số đt|di động|liên hệ|gọi|telefon|handy|mobil|rufnummer|téléphone|portable|tél|teléfono|"
    "móvil|celular|telefone|cellulare|telefono|телефон|тел|моб|电话|手机|電話|手機|携帯|전화|휴대폰|連絡先|โทร|เบอร์|هاتف|جوال|تلفون|"
    "تلفن|موبایل|फ़ोन|फोन|मोबाइल|telepon|hp|telpon|telefoon|τηλ|טלפון"
)

_NUMBER = re.compile(
    r"^\D*\d{1,2}\.\d{5}|(?<!\d)\d\.\d{3,}|"  # decimals
    r"^(?:19|20)\d\d[ ./-](?:0?[1-9]|1[0-2])[ ./-](?:[0-2]?\d|3[01])(?!\d)|"  # dates, and spans of years
    r"^(?:[0-2]?\d|3[01])[ ./-](?:[0-2]?\d|3[01])[ ./-](?:19|20)\d\d(?!\d)|^(?:19|20)\d\d ?[-–/] ?(?:19|20)\d\d$"
)
"""What is written with separators too and is no telephone number."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.~^-])(?<![vV]\.)(?<!==)(?P<v4>{_OCTET}(?:\.{_OCTET}){{3}})(?![\w-]|\.\d|\.\w)")
_IPV6 = re.compile(r"(?<![\w:.])(?P<v6>(?:[0-9A-Fa-f]{1,4})?(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?:::)?)(?![\w:]|\.\w)")
_VERSION_WORDS = (
    "version|versions|ver|v|release|build|phiên bản|versión|versão|версия|版本|バージョン|버전|chrome|firmware|oid|"
    "section"
)


def emails(text: str) -> Iterator[Found]:
    """Addresses of people: with an ending that domains have, and of a domain that is not reserved for examples."""
    for found in _EMAIL.finditer(text) if "@" in text else ():
        domain, ending = found["domain"].lower(), found["ending"]
        if not _is_ending(ending, domain) or _NOBODY.search(domain):
            continue
        after = text[found.end() : found.end() + 2]
        if found["local"].lower() == "git" or (after[:1] == ":" and after[1:].isalnum()):  # git@host:owner/name
            continue
        if re.search(r"://[^\s/@]*:[^\s/@]*$", text[: found.start("domain") - 1]):
            continue  # user:password@host in an address of the web
        # Markdown writes an underscore with a stroke before it.
        yield Found(found.start(), found.end(), "email", f"{found['local']}@{domain}".lower().replace("\\", ""))


def _is_ending(ending: str, domain: str) -> bool:
    if not ending.isascii() or ending.startswith("xn--"):
        return True
    if len(ending) > 2:
        return ending.lower() in _ENDINGS and (ending.islower() or ending.isupper() or ending.istitle())
    return (ending.islower() or ending.isupper()) and (ending.lower() not in _FILES or domain.count(".") > 1)


def phones(text: str, regions: Sequence[str]) -> Iterator[Found]:
    """Numbers that are valid, written with their country's code, or as one writes them in one of the regions."""
    plain = ascii_digits(text)
    for found in _PHONE.finditer(plain):
        number, start = found["number"], found.start()
        if "(" in number and ")" not in number:
            start += number.rindex("(") + 1  # it stands in brackets itself
            number = plain[start : found.end()]
        digits = only_digits(number)
        if 7 <= len(digits) <= 17 and not _NUMBER.search(number):
            named = named_before(text, start, _PHONE_WORDS, 24)
            value = _dialled(number, digits, regions, named)
            if value:
                yield Found(start, found.end(), "phone", value)


def _dialled(number: str, digits: str, regions: Sequence[str], named: bool) -> str | None:
    """The number as it is dialled from anywhere, if it is one."""
    import phonenumbers as pn

    if number.startswith("+") or (number.startswith("00") and not number.startswith("000")):
        parsed = _parsed("+" + (digits if number.startswith("+") else digits[2:]), None)
        if (
            parsed is None
            or not pn.is_valid_number(parsed)
            or (number.startswith("00") and not named and " " not in number)
        ):
            return None
        return str(pn.format_number(parsed, pn.PhoneNumberFormat.E164))
    for region in regions:
        if _starts_with_zero(region) and not digits.startswith("0"):
            continue
        parsed = _parsed(number, region)
        if parsed is None or not pn.is_valid_number_for_region(parsed, region) or _fictional(region, digits):
            continue
        if named or _written_so(number, digits, parsed):
            return str(pn.format_number(parsed, pn.PhoneNumberFormat.E164))
    return None


def _parsed(number: str, region: str | None):  # type: ignore[no-untyped-def]  # phonenumbers is imported late
    import phonenumbers as pn

    try:
        return pn.parse(number, region)
    except pn.NumberParseException:
        return None


def _written_so(number: str, digits: str, parsed) -> bool:  # type: ignore[no-untyped-def]
    """Whether a number is written as only telephone numbers are: with the zero in front that dials out of town, or in
    the groups that its country writes.
    """
    import phonenumbers as pn

    national = str(pn.format_number(parsed, pn.PhoneNumberFormat.NATIONAL))
    separators = {c for c in number if not c.isdigit() and c not in "() "}
    if digits.startswith("0") and not digits.startswith("00") and len(digits) >= 9 and len(separators) <= 1:
        return True
    groups, at_home = re.findall(r"\d+", number), re.findall(r"\d+", national)
    if len(groups) >= 3 and (groups == at_home or groups == [str(parsed.country_code), *at_home]):
        return True
    return "(" in number and len(groups) >= 2


@cache
def _starts_with_zero(region: str) -> bool:
    """Whether numbers of a country are dialled with a zero in front at home."""
    import phonenumbers as pn

    metadata = pn.PhoneMetadata.metadata_for_region(region, None)
    return metadata is not None and metadata.national_prefix == "0"


def _fictional(region: str, digits: str) -> bool:
    """Numbers of the exchange 555, which films and manuals use, and of an area 555 that there is not."""
    return region in ("US", "CA") and re.search(r"^1?555|555\d{4}$", digits) is not None


def addresses(text: str) -> Iterator[Found]:
    """Addresses of machines on the public net. What is private, reserved or a version says nothing of anyone."""
    for found in _IPV4.finditer(text):
        octets = [int(o) for o in found["v4"].split(".")]
        # Versions and sections count in small numbers; of addresses one in twenty thousand does.
        if max(octets) >= 20 and _is_public(found["v4"]) and not named_before(text, found.start(), _VERSION_WORDS, 12):
            yield Found(found.start(), found.end(), "ip", found["v4"])
    for found in _IPV6.finditer(text):
        written = found["v6"]
        if any(c.isdigit() for c in written) and _is_public(written):
            yield Found(found.start(), found.end(), "ip", ipaddress.ip_address(written).compressed)


@cache
def _shared() -> frozenset[str]:
    """Addresses that everyone knows: resolvers that anybody may ask."""
    return frozenset("8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 9.9.9.9 208.67.222.222 208.67.220.220".split())


def _is_public(written: str) -> bool:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and written not in _shared()
