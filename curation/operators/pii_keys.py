"""Keys, tokens and passwords in texts: what opens somebody's account.

A key of a known service has a beginning of its own and a shape. A value that is assigned to something called key,
token, secret or password has neither, so it must look drawn at random. In both cases what stands in manuals is let
be: `sk-xxxxxxxx`, `YOUR_API_KEY`, `AKIAIOSFODNN7EXAMPLE`, a password that is a word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from curation.operators.pii_spans import Found

BEGINNINGS = (
    r"sk-|[rsp]k_(?:live|test)_|A(?:KIA|SIA)[A-Z2-7]|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|ya29\.|"
    r"GOCSPX-|hf_|npm_|pypi-|SG\.|eyJ|dop_v1_|shpat_|key-[0-9a-f]|\d:AA|AccountKey=|-----BEGIN|nvapi-|gsk_|r8_|xai-"
)
"""How keys begin; a text without one holds no key of a known shape."""
ASSIGNED = (
    r"(?i:(?:api|access|secret|private|auth|client|account|license)[ _-]?(?:key|token|secret)|token|secret|"
    r"passw(?:or)?d|pwd|mật khẩu|密码|пароль)"
)
"""Names of what is to be kept secret."""
_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
    sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]+-|or-v1-)?[A-Za-z0-9_-]{20,200}
    |[rsp]k_(?:live|test)_[A-Za-z0-9]{16,200}
    |A(?:KIA|SIA)[A-Z2-7]{16}
    |gh[pousr]_[A-Za-z0-9]{36,255} |github_pat_[A-Za-z0-9_]{50,255} |glpat-[A-Za-z0-9_-]{20,64}
    |xox[abeoprs]-[A-Za-z0-9-]{20,250}
    |AIza[A-Za-z0-9_-]{35} |ya29\.[A-Za-z0-9_-]{30,} |GOCSPX-[A-Za-z0-9_-]{24,}
    |hf_[A-Za-z0-9]{30,64} |npm_[A-Za-z0-9]{36} |pypi-[A-Za-z0-9_-]{50,}
    |SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,64}
    |dop_v1_[a-f0-9]{64} |shpat_[a-fA-F0-9]{32} |key-[0-9a-f]{32}
    |nvapi-[A-Za-z0-9_-]{60,} |gsk_[A-Za-z0-9]{48,} |r8_[A-Za-z0-9]{37,} |xai-[A-Za-z0-9]{70,}
    |\d{8,10}:AA[A-Za-z0-9_-]{32,34}
    |eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}
    )(?![A-Za-z0-9_-])""",
    re.VERBOSE,
)
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----[^-]{40,20000}?-----END \1PRIVATE KEY-----")
_AZURE = re.compile(r"(?<=AccountKey=)[A-Za-z0-9+/]{86}==")
_IN_ADDRESS = re.compile(r"(?<=://)[^\s:/@'\"<>]{1,64}:(?P<value>[^\s:/@'\"<>]{4,64})@(?=[\w.-])")
_ASSIGNMENT = re.compile(
    rf"(?<![Pp]ublic)(?<![Pp]ublicKey){ASSIGNED}(?:[\"'\]]{{0,2}}\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}|\s+(?:is|là)[:\s]\s*)"
    r"(?:(?:Bearer|Basic)\s+)?(?P<quote>[\"'`]?)(?P<value>[A-Za-z0-9+/_.~!@#$%^*-]{8,200}={0,2})(?P=quote)(?![\w(\[])"
)
_MADE_UP = re.compile(
    r"(?i)example|sample|your|insert|replace|change|placeholder|dummy|fake|redacted|xxx|\.\.\.|\*\*\*|<|\{|\$\(|"
    r"process\.env|getenv|environ|config|settings|test[_-]?key|abcdef|123456|qwerty|password|secret|token|null|"
    r"none|undefined|required|string"
)


def keys(text: str) -> Iterator[Found]:
    """Keys by their shape, private keys in blocks, passwords in addresses, and random values that are called secret."""
    for found in _SHAPES.finditer(text):
        if _is_random(found[0], 3.0) and not re.search(r"(?i)example|your|xxxx|placeholder|\*\*", found[0]):
            yield _span(found)
    yield from map(_span, _BLOCK.finditer(text))
    yield from map(_span, _AZURE.finditer(text))
    for found in _IN_ADDRESS.finditer(text) if "://" in text else ():
        if not _MADE_UP.search(found["value"]) and found["value"].lower() not in (
            "pass",
            "user",
            "root",
            "admin",
            "postgres",
        ):
            yield _span(found, "value")
    for found in _ASSIGNMENT.finditer(text):
        value = found["value"].rstrip(".!?")
        if not _MADE_UP.search(value) and _is_drawn(value):
            start = found.start("value")
            yield Found(start, start + len(value), "key", value)


def _span(found: re.Match[str], group: int | str = 0) -> Found:
    """The span, over what follows behind an underscore that Markdown escapes too."""
    more = _ESCAPED.match(found.string, found.end(group))
    end = more.end() if more else found.end(group)
    return Found(found.start(group), end, "key", found.string[found.start(group) : end].replace("\\", ""))


_ESCAPED = re.compile(r"(?:\\_[A-Za-z0-9_-]*)+")


def _is_drawn(value: str) -> bool:
    """Whether a value looks like drawn by a machine: long, letters and digits mixed, no word in it."""
    letters, digits = sum(c.isalpha() for c in value), sum(c.isdigit() for c in value)
    if len(value) < 16 or letters < 4 or digits < 2:
        return False
    if re.fullmatch(r"[a-z]+(?:[._/-][a-z0-9]+)+", value):  # a path, a name of a module
        return False
    return _is_random(value, 3.2 if re.fullmatch(r"[0-9a-fA-F-]+", value) else 3.6)


def _is_random(value: str, bits: float) -> bool:
    """Shannon's entropy of the characters, in bits a character."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values()) >= bits
