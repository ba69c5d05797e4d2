"""Other data sets that rows are compared with: those that operators name as `against`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from curation.artifact import Ref, Rows
from curation.settings import ONE_OR_MORE

if TYPE_CHECKING:
    import polars as pl


Others = Annotated[list[Ref[Rows]], ONE_OR_MORE]
"""Steps that make data sets: one, or a list."""


def chats(ref: Ref[Rows], on: str | None) -> Iterator[pl.DataFrame]:
    """The rows of another set, as they are compared with the chats that `on` means in one's own."""
    from curation import table

    for frame in table.batches(ref.folder, ref.part):
        yield comparable(frame, on)


def comparable(frame: pl.DataFrame, on: str | None) -> pl.DataFrame:
    """What in rows of any kind answers to `on`: prompts to prompts; an answer to whole chats, or to each reply.

    The ids are those of the rows, by which people find them.
    """
    import polars as pl

    from curation.conversation import Candidates, Conversation
    from curation.frame import row_type
    from curation.views import ROW, replies, view

    kind = row_type(frame)
    if on is None or (kind is Conversation and on != "prompt"):
        return frame
    if kind is Candidates and on != "prompt":
        found = replies(frame).drop(ROW)
    else:
        found = view(frame, "chosen" if on == "reply" else on)
    return found.with_columns(pl.col("parent").alias("id"))
