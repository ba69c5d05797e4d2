"""Edits of texts, whatever rows hold them: messages of chats and pairs, answers of candidates.

An edit is a function from a column of texts to a column of texts that looks at each text alone. Most texts need none,
so an edit is written as a cheap pattern that nearly every clean text fails, and the costly part for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

CHATS = ("messages", "prompt", "answers", "chosen", "rejected")
"""The columns of a row that hold messages or answers."""


def rewritten(
    frame: pl.DataFrame, edit: Callable[[pl.Series], pl.Series], roles: Collection[str] | None = None
) -> pl.DataFrame:
    """The rows with each text edited, all else as it was.

    Args:
        edit: Texts to texts, one for one; null stays null.
        roles: Whose messages are edited; None: everyone's. An answer of candidates is the assistant's.
    """
    columns = [c for c in CHATS if c in frame.columns and (c != "answers" or roles is None or "assistant" in roles)]
    return frame.with_columns(_edited(frame.schema[c], c, edit, roles) for c in columns)


def _edited(
    dtype: pl.DataType, column: str, edit: Callable[[pl.Series], pl.Series], roles: Collection[str] | None
) -> pl.Expr:
    import polars as pl

    item = pl.element().struct
    names = [field.name for field in dtype.inner.fields]  # type: ignore[attr-defined]
    content = item.field("content")
    if roles is not None and column != "answers":
        theirs = pl.when(item.field("role").is_in(sorted(roles))).then(content)
        edited = pl.coalesce(theirs.map_batches(edit, return_dtype=pl.String, is_elementwise=True), content)
    else:
        edited = content.map_batches(edit, return_dtype=pl.String, is_elementwise=True)
    fields = [edited.alias("content") if name == "content" else item.field(name) for name in names]
    return pl.col(column).list.eval(pl.struct(fields))


def where(texts: pl.Series, pattern: str, edit: Callable[[str], str]) -> pl.Series:
    """The texts with those edited that match a pattern (in the syntax of Rust's regex crate); the rest as it is."""
    import polars as pl

    places = texts.str.contains(pattern).arg_true()
    if not len(places):
        return texts
    changed = pl.Series([edit(text) for text in texts.gather(places)], dtype=pl.String)
    return texts.clone().scatter(places, changed)
