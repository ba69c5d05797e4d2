"""Where Vietnamese writes the tone mark of `oa`, `oe` and `uy`: `hòa` or `hoà`, one of the two.

Both are right, and the same person writes both, so that equal words are unequal texts. The old way (`hòa`, `thủy`)
marks the first vowel and is what most keyboards write by default; the new one (`hoà`, `thuỷ`) marks the second. They
differ only in syllables that end on these vowels: `hoàn`, `ngoài` and `khuỷu` are written one way, and so is `quý`,
whose `u` belongs to the consonant.

A mark is moved only in words that are Vietnamese syllables, in texts that hold a letter that no other language uses
(`ơ`, `ư`, or one with two marks): `Noè` in a Catalan or Italian text stays.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

Tones = Literal["old", "new", "keep"]

_OLD = "òa óa ỏa õa ọa òe óe ỏe õe ọe ùy úy ủy ũy ụy".split()
_NEW = "oà oá oả oã oạ oè oé oẻ oẽ oẹ uỳ uý uỷ uỹ uỵ".split()
_ONSET = "ngh?|[ckpt]h|gh?|nh|tr|[bcdđhklmnrstvx]"
_ONLY = "ơướờởỡợứừửữựấầẩẫậắằẳẵặếềểễệốồổỗộảẻẽỉỏủỷỹ"
"""Letters that show a text to be Vietnamese."""
CANDIDATE = {
    "old": r"(?i)o[àáảãạèéẻẽẹ]\b|u[ỳýỷỹỵ]\b",
    "new": r"(?i)[òóỏõọ][ae]\b|[ùúủũụ]y\b",
}
"""Setting -> what a text must match to need an edit (Rust's regex syntax)."""


def placed(texts: pl.Series, tones: Tones) -> pl.Series:
    """The texts (in NFC) with tone marks in one place."""
    import polars as pl

    if tones == "keep":
        return texts
    wanted = texts.str.contains(CANDIDATE[tones]) & texts.str.contains(f"(?i)[{_ONLY}]")
    places = wanted.arg_true()
    if not len(places):
        return texts
    pattern, table = _moves(tones)

    def move(found: re.Match[str]) -> str:
        return found[1] + table[found[2]]

    changed = pl.Series([pattern.sub(move, text) for text in texts.gather(places)], dtype=pl.String)
    return texts.clone().scatter(places, changed)


@cache
def _moves(tones: Tones) -> tuple[re.Pattern[str], dict[str, str]]:
    """The syllables whose mark moves, and vowels -> vowels in lower, upper and title case."""
    pairs = zip(*((_NEW, _OLD) if tones == "old" else (_OLD, _NEW)), strict=True)
    table = {case(a): case(b) for a, b in pairs for case in (str.lower, str.upper, str.title)}
    vowels = "|".join(sorted(table))
    # No letter, digit or mark at either side: `\b` of Python counts marks as no part of a word.
    return re.compile(rf"(?<![\w\u0300-\u036f])((?i:{_ONSET})?)({vowels})(?![\w\u0300-\u036f])"), table
