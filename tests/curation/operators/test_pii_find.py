"""What counts as personal data, and what only looks like it. Numbers are published examples or made for the test."""

from __future__ import annotations

import random

import pytest

from curation.operators.pii_find import KINDS, Finder
from curation.operators.pii_numbers import IDENTITIES


def found(text: str, *kinds: str, regions: tuple[str, ...] = ("VN", "US", "GB")) -> list[tuple[str, str]]:
    finder = Finder(frozenset(kinds or set(KINDS) - {"wallet"}), regions, tuple(IDENTITIES))
    return [(f.kind, text[f.start : f.end]) for f in finder.find([text]).get(text, [])]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Viết cho an.nguyen@congty.vn nhé", "an.nguyen@congty.vn"),
        ("<Bob.O'Hara+news@Mail.Acme-Works.co.uk>", "Bob.O'Hara+news@Mail.Acme-Works.co.uk"),
        ("[jo@acme.org](x)", "jo@acme.org"),
        ("mailto:jo@acme.org", "jo@acme.org"),
        ("jo\\_ann@acme.org", "jo\\_ann@acme.org"),  # Markdown's underscore
        ("contact: 李雷@公司.中国。", "李雷@公司.中国"),
        ("пишите на иван@почта.рф.", "иван@почта.рф"),
        ("jan@wp.pl", "jan@wp.pl"),
        ("?to=jo@acme.org&x=1", "jo@acme.org"),
        ("jo@xn--bcher-kva.ch", "jo@xn--bcher-kva.ch"),
    ],
)
def test_an_address_is_found_whole(text: str, address: str) -> None:
    assert found(text) == [("email", address)]


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com, x@mail.example.org, a@b.test, root@localhost",
        "npm i leaflet@1.7.1 core-js@3.0.0 vue@next",
        "icon@2x.png",
        "y = x@self.weight + q@k.T",
        "git@github.com:owner/name.git",
        "@decorator.name and @user",
        "a @ b . com",
        "me@domain.com",
    ],
)
def test_what_only_has_an_at_stays(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Gọi 0912345678 nhé", "0912345678"),
        ("0912.345.678", "0912.345.678"),
        ("SĐT: 091 234 5678", "091 234 5678"),
        ("văn phòng (024) 3825 3543", "(024) 3825 3543"),
        ("+84 912 345 678", "+84 912 345 678"),
        ("+91 81245 06450: ok", "+91 81245 06450"),
        ("T: +44 (0)20 8366 1177", "+44 (0)20 8366 1177"),
        ("+٩٦٦ ٥٦٤ ١٥٥ ٥٥٥", "+٩٦٦ ٥٦٤ ١٥٥ ٥٥٥"),  # Arabic digits
        ("(505) 479-1093", "(505) 479-1093"),
        ("call 763-516-7767", "763-516-7767"),
        ("(1-888-483-5848)", "1-888-483-5848"),
        ("phone 7635167767", "7635167767"),
        ("Phone:(401) 278-9186", "(401) 278-9186"),
        ("SĐT:0912345678", "0912345678"),
        ("tel:+84912345678", "+84912345678"),
        ("020 8366 1177", "020 8366 1177"),
    ],
)
def test_a_telephone_number_is_found_whole(text: str, number: str) -> None:
    assert found(text) == [("phone", number)]


@pytest.mark.parametrize(
    "text",
    [
        "from -2147483648 to +2147483647",
        "0.567711479 and 0.624737774",
        "order 7635167767",  # valid in the US, but nothing says that it is a telephone's
        "2023-03-16 10:22, 16/03/2023, 1999-2023",
        "1623479617",
        "202-555-0147 and 555-555-5555",  # of films
        "https://example.org/file/0912345678/x",
        "id=0912345678",
        "price 1 234 567 890",
        "4294967295 10-100",
        "08-12-34 and 3-4-5",
        "12 345 678",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert found(text, "phone") == []


def test_only_the_regions_that_are_named_are_known_without_a_countrys_code() -> None:
    assert found("06 12 34 56 78", "phone") == []
    assert found("06 12 34 56 78", "phone", regions=("FR",)) == [("phone", "06 12 34 56 78")]
    assert found("090-1234-5678", "phone", regions=("JP",)) == [("phone", "090-1234-5678")]
    assert found("0912 345 678", "phone", regions=("US",)) == []


@pytest.mark.parametrize("address", ["45.83.12.201", "2a02:2f0b:8000::42", "2001:4860:7:225::fe"])
def test_a_public_address_is_found(address: str) -> None:
    assert found(f"from {address} at noon") == [("ip", address)]
    assert found(f"({address})") == [("ip", address)]
    if "." in address:
        assert found(f"ssh root@{address}, ip={address}, http://{address}:80/") == [("ip", address)] * 3


@pytest.mark.parametrize(
    "text",
    [
        "192.168.1.1 10.0.0.3 172.16.4.1 127.0.0.1 0.0.0.0 255.255.255.0",  # private, loopback, masks
        "192.0.2.44 198.51.100.7 203.0.113.9 2001:db8::1",  # for documentation, RFC 5737 and 3849
        "8.8.8.8 and 1.1.1.1",
        "rails -v 6.1.4.1",
        "version 21.4.1.35",
        "v21.4.1.35",
        "1.1.1.2 Section",
        "Chrome/99.0.4844.51",
        "1.3.6.1.4.1.311.21",  # an object identifier
        "std::dec, a::b, 12:30:45, 00:1A:2B:3C:4D:5E, ::1, fe80::1",
        "45.83.12.2019",
    ],
)
def test_versions_and_addresses_of_nobody_stay(text: str) -> None:
    assert found(text, "ip") == []


@pytest.mark.parametrize(
    "number",
    # Examples of the registry of IBANs (SWIFT), one with the spaces of paper.
    [
        "GB29 NWBK 6016 1331 9268 19",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "SA0380000000608010167519",
    ],
)
def test_ibans_by_their_check_digits(number: str) -> None:
    assert found(f"Pay to {number} TODAY") == [("iban", number)]
    wrong = number.replace("1", "7", 1) if "1" in number else number.replace("3", "4", 1)
    assert found(f"Pay to {wrong} now", "iban") == []


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for i, c in enumerate(reversed(digits)):
        n = int(c) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


@pytest.mark.parametrize("start", ["4539", "5425", "3714", "6221", "9704"])
def test_cards_by_issuer_and_luhn(start: str) -> None:
    rng = random.Random(start)
    length = 15 if start.startswith("37") else 16
    body = start + "".join(str(rng.randrange(10)) for _ in range(length - 5))
    numbers = [body + str(d) for d in range(10)]
    assert [found(n, "card") != [] for n in numbers] == [luhn(n) for n in numbers]
    good = next(n for n in numbers if luhn(n))
    groups = [good[:4], good[4:10], good[10:]] if length == 15 else [good[i : i + 4] for i in (0, 4, 8, 12)]
    for written in (" ".join(groups), "-".join(groups)):
        assert found(f"card {written}.") == [("card", written)]
    assert found(f"card_number={good}&x=1") == [("card", good)]


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242 and 378282246310005",  # of the manuals of payment services
        "1100110011001100",
        "0.4539148803436467",
        "4539148803436467123456",
        "id/4539148803436467",
        "4539-1488 0343-6467",  # separated in two ways
    ],
)
def test_other_long_numbers_stay(text: str) -> None:
    assert found(text, "card") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("CCCD 001099012345", "001099012345"),  # born in Hà Nội, a man of the 20th century, 1999
        ("079 3 01 012345", "079 3 01 012345"),
        ("Số CMND: 024 123 456", "024 123 456"),
        ("SSN 536-90-4399", "536-90-4399"),
        ("CPF 390.533.447-05", "390.533.447-05"),
        ("DNI 54362315K", "54362315K"),
        ("RCCMNL83S18D969H", "RCCMNL83S18D969H"),
        ("身份证号码：11010519491231002X", "11010519491231002X"),
        ("HETU 131052-308T", "131052-308T"),
        ("PESEL 44051401359", "44051401359"),
        ("ssn=536-90-4399", "536-90-4399"),
        ("NRIC 830518-14-6075", "830518-14-6075"),
        ("CURP BOXW310820HNERXN09", "BOXW310820HNERXN09"),
    ],
)
def test_identity_numbers(text: str, number: str) -> None:
    assert found(text) == [("national_id", number)]


@pytest.mark.parametrize(
    "text",
    [
        "003099012345",  # no province has this number
        "024 123 456 đồng",  # nine digits that nothing names
        "000-12-3456 and 666-12-3456 and 987-65-4320",  # never issued as social security numbers
        "390.533.447-06",  # wrong check digits
        "54362315A",
        "44051401359 bytes",
        '"variant_id": 100928221',
        "triplet 9002 3356 1239",
        "1234567890123",
    ],
)
def test_numbers_that_name_nobody_stay(text: str) -> None:
    assert found(text, "national_id") == []


RNG = random.Random(7)
ALNUM = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def drawn(count: int, letters: str = ALNUM) -> str:
    return "".join(RNG.choices(letters, k=count))


SECRETS = [
    "sk-" + drawn(48),
    "sk-proj-" + drawn(40),
    "sk_live_" + drawn(24),
    "AKIA" + drawn(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "ghp_" + drawn(36),
    "github_pat_" + drawn(60),
    "glpat-" + drawn(20),
    "xoxb-" + drawn(12, "0123456789") + "-" + drawn(24),
    "AIza" + drawn(35),
    "hf_" + drawn(34),
    "SG." + drawn(22) + "." + drawn(43),
    "123456789:AA" + drawn(33),
    f"eyJ{drawn(30)}.eyJ{drawn(40)}.{drawn(43)}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{drawn(64)}\n{drawn(30)}\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda s: s[:8])
def test_keys_of_known_services(secret: str) -> None:
    assert found(f"Use {secret} for it.") == [("key", secret)]
    assert found(f'key = "{secret}"') == [("key", secret)]


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ('api_key = "', drawn(32), '"'),
        ("API-KEY: ", drawn(24), "\n"),
        ("'client_secret': '", drawn(40, "0123456789abcdef"), "',"),
        ("export DB_PASSWORD=", "x7Kq9vLm2Pz4Rt8W", "\n"),
        ("mật khẩu: ", "h8Tq2kWz9Lp4Vx7N", "."),
        ("postgres://bob:", "t0pS3cr1t9", "@db.acme.org/x"),
        ("AccountKey=", drawn(86) + "==", ";"),
    ],
)
def test_what_is_called_secret_and_looks_drawn(before: str, value: str, after: str) -> None:
    assert found(before + value + after) == [("key", value)]


@pytest.mark.parametrize(
    "text",
    [
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "AKIAIOSFODNN7EXAMPLE",  # of Amazon's manuals
        'api_key = "YOUR_API_KEY_GOES_HERE_12"',
        'api_key = os.environ["OPENAI_API_KEY"]',
        "api_key = get_secret(name)",
        "const token = process.env.TOKEN_1234567890",
        "password: correct-horse-battery",
        "The token is used to sign requests.",
        "max_tokens = 1234567890123456",
        "tokenizer = AutoTokenizer.from_pretrained",
        'publicKeyToken="31bf3856ad364e35"',
        "postgres://user:password@localhost/db",
        "task-" + "a" * 30,
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ],
)
def test_what_manuals_and_programs_write_stays(text: str) -> None:
    assert found(text, "key") == []


def test_spans_do_not_overlap_and_come_in_order() -> None:
    text = f"0912 345 678, an@congty.vn, {SECRETS[0]}, 001099012345, 45.83.12.201"
    assert [kind for kind, _ in found(text)] == ["phone", "email", "key", "national_id", "ip"]
