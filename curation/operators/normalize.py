"""Texts in one form: composed Unicode, plain white space, no invisible characters.

What a reader cannot see must not make two texts different: composed and decomposed letters, no-break spaces, zero-width
characters, line ends of three systems. Spaces inside a line stay as they are, for code and tables live by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Mapper
from curation.operators.text import composed

if TYPE_CHECKING:
    import polars as pl

# C0 and C1 controls but tab and line feed, soft hyphen, zero-width space, word joiner, byte order mark, and the
# characters that turn the direction of text (they can show code in another order than it runs). The zero-width
# joiners stay: Persian, Indic scripts and emoji need them.
INVISIBLE = r"[\x00-\x08\x0E-\x1F\x7F-\x84\x86-\x9F\u{AD}\u{200B}\u{2060}\u{FEFF}\u{202A}-\u{202E}\u{2066}-\u{2069}]"
_STEPS = (
    (r"\r\n?|[\x0B\x0C\u{85}\u{2028}\u{2029}]", "\n"),
    (INVISIBLE, ""),
    (r"[\p{Zs}--\x20]", " "),
    (r"[ \t]+\n", "\n"),
    (r"\n{3,}", "\n\n"),
)
_MAY_CHANGE = r"[^\x20-\x7E\n\t]|[ \t]\n|\n{3}|^\s|\s$"
"""Texts without a match are as they should be already; most English ones are."""


class Normalize(Mapper):
    """NFC, line ends of one kind, plain spaces, no invisible characters, no space at the ends of lines and texts.

    At most one empty line in a row. Doing it twice changes nothing more.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["normalize"] = "normalize"

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        chats = [c for c in ("messages", "prompt", "answers", "chosen", "rejected") if c in frame.columns]
        return frame.with_columns(_edited(frame.schema[c], c) for c in chats)


def tidy(texts: pl.Series) -> pl.Series:
    """The texts in normal form."""
    places = texts.str.contains(_MAY_CHANGE).arg_true()
    if not len(places):
        return texts
    changed = texts.gather(places)
    for pattern, by in _STEPS:
        changed = changed.str.replace_all(pattern, by)
    changed = composed(changed).str.strip_chars()
    return texts.clone().scatter(places, changed)


def _edited(dtype: pl.DataType, column: str) -> pl.Expr:
    """A column of messages or answers with tidy contents, all else as it was."""
    import polars as pl

    item = pl.element().struct
    names = [field.name for field in dtype.inner.fields]  # type: ignore[attr-defined]
    content = item.field("content").map_batches(tidy, return_dtype=pl.String, is_elementwise=True)
    fields = [content if name == "content" else item.field(name) for name in names]
    return pl.col(column).list.eval(pl.struct(fields))
