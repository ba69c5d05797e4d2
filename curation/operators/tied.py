"""Pairs that decide nothing: whoever compared the answers found them equally good."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class Tied(Filter):
    """Drops preferences whose verdict is a tie.

    Trainers leave ties out by themselves; dropped here they are counted, and are in no split. Reason: `tied`.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences"})
    op: Literal["tied"] = "tied"

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        return frame.select(pl.when(pl.col("verdict") == "tie").then(pl.lit("tied")).alias("reason"))["reason"]
