"""Texts in one form: composed Unicode, plain white space, no invisible characters, one spelling of Vietnamese tones.

What a reader cannot see must not make two texts different: composed and decomposed letters, no-break spaces, zero-width
characters, line ends of three systems. Spaces inside a line stay as they are, for code and tables live by them. A text
that was decoded wrongly somewhere on its way is put right where that is beyond doubt (`curation.operators.mojibake`).

Nearly every text is clean already, so a few patterns say so and nothing else looks at it.
"""

from __future__ import annotations

from functools import cache, partial, reduce
from operator import or_
from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Mapper
from curation.operators import mojibake, vietnamese
from curation.operators.rewriting import rewritten, where
from curation.operators.text import MAY_COMPOSE, composed
from curation.operators.vietnamese import Tones

if TYPE_CHECKING:
    import polars as pl
    import regex

# C0 and C1 controls but tab and line feed, soft hyphen, zero-width space, word joiner, invisible operators of formulas,
# byte order mark, anchors of annotations, and the characters that turn the direction of text (they can show code in
# another order than it runs).
INVISIBLE = (
    r"[\x00-\x08\x0E-\x1F\x7F-\x84\x86-\x9F\u{AD}\u{200B}\u{2060}-\u{2064}\u{FEFF}\u{202A}-\u{202E}"
    r"\u{2066}-\u{2069}\u{FFF9}-\u{FFFB}]"
)
_ESCAPES = r"\x1B\[[0-?]*[ -/]*[@-~]"
"""What colours text in a terminal."""
_LINES = r"\r\n?|[\x0B\x0C\u{85}\u{2028}\u{2029}]"
_SPACES = r"[\p{Zs}--\x20]"
_SEEN = ((_ESCAPES, ""), (_LINES, "\n"), (INVISIBLE, ""), (_SPACES, " "))
_LAYOUT = ((r"[ \t]+\n", "\n"), (r"\n{3,}", "\n\n"))
_SELDOM = r"[\u{200C}\u{200D}\u{E0000}-\u{E007F}]"
_UNSEEN = rf"[\x0B-\x1F\p{{Zs}}--\x20]|{INVISIBLE}|{_LINES}"
_CLUTTER = r"[ \t]\n|\n\n\n|\A\s|\s\z"


class Normalize(Mapper):
    """NFC, line ends of one kind, plain spaces, no invisible characters, no space at the ends of lines and texts.

    At most one empty line in a row. Zero-width joiners stay where scripts (Persian, Hindi ...) and emoji need them, and
    go elsewhere; codes that colour text in a terminal go. Doing it twice changes nothing more.
    """

    revision: ClassVar[int] = 4
    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["normalize"] = "normalize"
    mojibake: bool = True
    """Repairs texts that are UTF-8 read as Latin-1 or Windows-1252 (`Tiáº¿ng Viá»‡t`), where that is beyond doubt."""
    vietnamese_tones: Tones = "old"
    """Where Vietnamese words have the mark of `oa`, `oe`, `uy`: `old` (`hòa`, `thủy`: what most people write), `new`
    (`hoà`, `thuỷ`: what schools teach), or `keep`, which leaves the same word in two spellings."""

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        return rewritten(frame, partial(tidy, repair=self.mojibake, tones=self.vietnamese_tones))


def tidy(texts: pl.Series, repair: bool = True, tones: Tones = "old") -> pl.Series:
    """The texts in normal form."""
    places = reduce(or_, (texts.str.contains(pattern) for pattern in _may_change(repair, tones))).arg_true()
    if not len(places):
        return texts
    changed = _visible(texts.gather(places))
    if repair:
        changed = _repaired(changed)
    changed = vietnamese.placed(changed, tones)
    for pattern, by in _LAYOUT:
        changed = changed.str.replace_all(pattern, by)
    return texts.clone().scatter(places, changed.str.strip_chars())


def _may_change(repair: bool, tones: Tones) -> list[str]:
    """A text that matches none of these is as it should be already.

    As one pattern they would be many times slower: it has more states than the regex engine keeps.
    """
    parts = [_UNSEEN, _SELDOM, MAY_COMPOSE, _CLUTTER]
    parts += [mojibake.SUSPECT] if repair else []
    return parts + ([vietnamese.CANDIDATE[tones]] if tones != "keep" else [])


def _visible(texts: pl.Series) -> pl.Series:
    """The texts without what cannot be seen, composed."""
    for pattern, by in _SEEN:
        texts = texts.str.replace_all(pattern, by)
    # Composed before joiners are looked at, for what stands before one may be a letter in two pieces; and after, for
    # one that went may have kept two pieces apart.
    return composed(where(composed(texts), _SELDOM, _joined))


def _repaired(texts: pl.Series) -> pl.Series:
    """The texts without mojibake. What comes out of a repair was never looked at, so it goes round again."""
    while True:
        after = mojibake.repaired(texts)
        places = (after != texts).arg_true()
        if not len(places):
            return texts
        texts = after.scatter(places, _visible(after.gather(places)))


def _joined(text: str) -> str:
    """The text with zero-width joiners only where they do something, and one at a time."""
    stray, doubled, tags = _joiners()
    plain: str = doubled.sub(r"\1", stray.sub("", tags.sub("", text)))
    return plain


@cache
def _joiners() -> tuple[regex.Pattern[str], regex.Pattern[str], regex.Pattern[str]]:
    """Joiners after what does not join, joiners after joiners, and tags outside of a flag."""
    import regex

    # Letters of scripts without joining, spaces, digits and punctuation; what is left are joining scripts and emoji.
    plain = (
        r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Hebrew}\p{Georgian}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}"
        r"\p{Thai}\p{Lao}\p{P}\p{Z}\p{Cc}\p{N}\p{Sm}\p{Sc}\p{Sk}]"
    )
    joiner = "[\u200c\u200d]"
    # The tags of a flag follow the black flag in one run.
    tags = "(?<!\U0001f3f4[\U000e0000-\U000e007f]*)[\U000e0000-\U000e007f]+"
    return (
        regex.compile(rf"(?V1)(?<=^|{plain}){joiner}+", regex.MULTILINE),
        regex.compile(f"({joiner}){joiner}+"),
        regex.compile(f"(?V1){tags}"),
    )
