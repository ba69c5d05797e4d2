"""Looking for words and phrases of a list in texts of any language.

A phrase counts where it stands by itself: between characters that belong to no word, by Unicode's rules, so that
`ass` is not in `class` and `бля` not in `рубля`. Scripts that put no spaces between words know no such place, so an end
of a phrase that is a letter of Chinese, Japanese, Thai, Lao, Khmer or Burmese may stand beside anything; Korean puts
its particles behind the word, so there the beginning alone must stand free. Texts are searched for all phrases at once
(Aho-Corasick), and only those with a hit are looked at again, by what is slower and exact.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curation.errors import UserError

if TYPE_CHECKING:
    import polars as pl

    from curation.artifact import InputFile

_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x303F),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7FF))


@dataclass(frozen=True)
class Phrases:
    """A list that can be looked for."""

    parts: tuple[str, ...]
    """Of each phrase its longest piece without white space: where none of them is, no phrase is."""
    inside: str
    """All phrases wherever they stand, in the syntax of Rust's regex crate: a quick search."""
    pattern: str
    """All phrases where they stand as they should: a slow one."""
    ignore_case: bool


def phrases(words: Iterable[str], *, ignore_case: bool = True, whole: bool = True) -> Phrases:
    """The phrases in a form to search for.

    Args:
        words: Each has a character that is no white space.
        ignore_case: Whether `Map` is found where `map` is listed.
        whole: Whether phrases must stand by themselves.
    """
    normal = {unicodedata.normalize("NFC", w.lower() if ignore_case else w).strip() for w in words}
    longest_first = sorted(normal, key=lambda w: (-len(w), w))
    inside, pattern = ("|".join(_pattern(w, bounded) for w in longest_first) for bounded in (False, whole))
    parts = {max(w.split(), key=lambda piece: len(piece.encode())) for w in normal}
    return Phrases(tuple(sorted(parts)), inside, f"({pattern})", ignore_case)


def _pattern(phrase: str, whole: bool) -> str:
    body = r"\s+".join(_escaped(piece) for piece in phrase.split())
    start = r"\b{start-half}" if whole and _needs_boundary(phrase[0]) else ""
    end = r"\b{end-half}" if whole and _needs_boundary(phrase[-1]) and not _in(phrase[-1], _HANGUL) else ""
    return f"{start}{body}{end}"


def _escaped(text: str) -> str:
    return re.sub(r"[^\w]", lambda found: f"\\x{{{ord(found.group()):X}}}", text)


def _needs_boundary(letter: str) -> bool:
    return (letter.isalnum() or unicodedata.category(letter)[0] in "LMN") and not _in(letter, _UNSPACED)


def _in(letter: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= ord(letter) <= high for low, high in ranges)


def found(texts: pl.Series, listed: Phrases) -> pl.Series:
    """Of each text the first phrase in it, as it is written there but for its case; null where there is none."""
    return _searched(texts, listed).str.extract(listed.pattern, 1)


def counted(texts: pl.Series, listed: Phrases) -> pl.Series:
    """How often phrases stand in each text."""
    import polars as pl

    return _searched(texts, listed).str.count_matches(listed.pattern).fill_null(0).cast(pl.UInt32)


def _searched(texts: pl.Series, listed: Phrases) -> pl.Series:
    """The texts in the form in which phrases are looked for, null where it is plain that none is there."""
    import polars as pl

    from curation.operators.text import composed

    texts = composed(texts)
    if listed.ignore_case:
        texts = texts.str.to_lowercase()
    some = pl.select(pl.when(texts.str.contains_any(list(listed.parts))).then(texts)).to_series()
    return pl.select(pl.when(some.str.contains(listed.inside)).then(some)).to_series()


def read_phrases(file: InputFile) -> list[str]:
    """The phrases of a file: one a line, without empty lines and those that begin with `#`.

    Raises:
        UserError: there is none.
    """
    lines = (line.strip() for line in file.text().removeprefix("\ufeff").splitlines())
    listed = [line for line in lines if line and not line.startswith("#")]
    if not listed:
        raise UserError(f"{file.written} lists nothing", hint="one word or phrase a line")
    return listed
