"""Pairs that teach nothing: both answers say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class IdenticalPair(Filter):
    """Drops preferences whose chosen and rejected answers differ in white space or Unicode form at most.

    Reason: `identical_pair`.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences"})
    op: Literal["identical_pair"] = "identical_pair"

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.operators.text import squeezed_chat

        same = squeezed_chat("chosen") == squeezed_chat("rejected")
        return frame.select(pl.when(same).then(pl.lit("identical_pair")).alias("reason"))["reason"]
