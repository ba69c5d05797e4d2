"""What the finders of personal data share: a span with its kind, digits of any script, and words that stand near."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data in a text."""

    start: int
    end: int
    kind: str
    value: str
    """The data in one form, however it was written: two spans with the same value are about the same thing."""


def ascii_digits(text: str) -> str:
    """The text with every decimal digit, Arabic or full-width too, as one of ASCII. No position changes."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def only_digits(text: str) -> str:
    """The digits of a text."""
    return "".join(c for c in text if c.isdigit())


def named_before(text: str, start: int, words: str, within: int = 40) -> bool:
    """Whether one of these words stands a little before a place, in the same line."""
    before = text[max(0, start - within) : start].rpartition("\n")[2]
    return _words(words).search(before) is not None


@cache
def _words(words: str) -> re.Pattern[str]:
    """Words as such; scripts that put no spaces between words need none around them here."""
    spaced = "|".join(w for w in words.split("|") if not _UNSPACED.search(w))
    unspaced = "|".join(w for w in words.split("|") if _UNSPACED.search(w))
    pattern = rf"(?<![^\W\d_])(?:{spaced})(?![^\W\d_])"
    return re.compile(rf"(?i){pattern}|{unspaced}" if unspaced else f"(?i){pattern}")


_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
"""Thai, kana, Chinese characters, hangul."""
