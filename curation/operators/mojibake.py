"""Text that was UTF-8 and was read as Latin-1 or Windows-1252 (`Tiáº¿ng Viá»‡t` for `Tiếng Việt`), repaired where sure.

The repair itself is ftfy's. What is decided here is whether a text is beyond doubt, because a repair that guesses ruins
honest text: `ĐÃ` before a quotation mark, `112 Å²`, `“café”…` all hold bytes that happen to be UTF-8. A text is
repaired only when every letter in it beyond ASCII belongs to such a sequence, so that nothing in it was read rightly,
and at least one sequence is of a kind that honest writing does not make. A sentence that shows what mojibake looks like
(`Ã© instead of é`) therefore stays as it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from curation.operators.rewriting import where

if TYPE_CHECKING:
    import polars as pl

# What the bytes 0x80 to 0xBF look like when they are read as Windows-1252 (or Latin-1, where that has none).
_TAIL = (
    "\x80-\x9f\xa0-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201a\u201c-\u201e"
    "\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122"
)
# Of these, what may stand after a letter in honest writing: quotation marks, dashes, spaces, superscripts, degrees.
_HONEST = (
    "\xa0\xab\xad\xb0\xb2\xb3\xb7\xb9\xbb\u2013\u2014\u2018-\u201a\u201c-\u201e"
    "\u2020-\u2022\u2026\u2030\u2039\u203a\u2122"
)
_SEQUENCE = f"[\xc2-\xdf][{_TAIL}]|[\xe0-\xef][{_TAIL}][{_TAIL}]|[\xf0-\xf4][{_TAIL}][{_TAIL}][{_TAIL}]"
SUSPECT = f"[\xc2-\xf4][{_TAIL}]"
"""A text without a match holds no such sequence."""


def repaired(texts: pl.Series) -> pl.Series:
    """The texts, those repaired that are mojibake beyond doubt."""
    return where(texts, SUSPECT, _repair)


def _repair(text: str) -> str:
    if not is_sure(text):
        return text
    import ftfy

    fixed = ftfy.fix_encoding(text, _config())
    return text if "\ufffd" in fixed and "\ufffd" not in text else fixed


def is_sure(text: str) -> bool:
    """Whether every letter beyond ASCII is part of a sequence, and one sequence is unlike honest writing."""
    whole, strong = _patterns()
    rest = whole.sub("", text)
    return not any(ord(c) > 127 and c.isalpha() and c not in "ªµº" for c in rest) and strong.search(text) is not None


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    odd = f"(?:(?![{_HONEST}])[{_TAIL}])"
    pair = f"[\xc2-\xdf][{_TAIL}]"
    strong = (
        f"[\xc2\xc3]{odd}",  # `Ã©`, `Â°` but not `Ã”`
        "\xc2[\xa0-\xbf]",  # no word ends on a capital A with a circumflex
        "[\xc2-\xdf][\x80-\x9f]",  # controls are written by nobody
        f"(?:{pair}){{2}}",  # `ÐŸÑ€`
        f"\xe2[{_TAIL}]{{2}}",  # `â€™`: punctuation
        f"[\xe0-\xef]{odd}{{2}}",
        f"(?:[\xe0-\xef][{_TAIL}]{{2}}){{2}}",
        f"\xf0[{_TAIL}]{{3}}",  # emoji
    )
    return re.compile(_SEQUENCE), re.compile("|".join(strong))


@cache
def _config():  # type: ignore[no-untyped-def]  # ftfy is imported late
    """Encoding alone: everything else that ftfy can do is off."""
    from ftfy import TextFixerConfig

    off = dict.fromkeys(
        (
            "fix_latin_ligatures fix_character_width uncurl_quotes fix_line_breaks fix_surrogates remove_control_chars "
            "remove_terminal_escapes replace_lossy_sequences fix_c1_controls unescape_html"
        ).split(),
        False,
    )
    return TextFixerConfig(**off, normalization=None)
