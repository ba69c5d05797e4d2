"""A random subset that stays what it was when rows are added.

Each row draws its number from a stable hash of its id and the seed, so the choice does not depend on the order of the
data, on what came before, or on which other rows there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Selector

if TYPE_CHECKING:
    import polars as pl


class Random(Selector):
    """Keeps a number or a share of the rows, drawn at random. Reason: `not_drawn`."""

    op: Literal["random"] = "random"
    n: int | None = Field(None, ge=1)
    """So many rows, exactly; all where there are fewer. A row that is added pushes out one other at most."""
    fraction: float | None = Field(None, gt=0, lt=1)
    """About this share: each row is drawn by itself, and a row that is added changes nothing for the others."""
    seed: int = Field(0, ge=0)
    """Another seed draws another subset. It is this operator's own: the recipe's seed does not reach it, so that runs
    with several seeds see the same rows."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.n is None) == (self.fraction is None):
            raise PydanticCustomError("range", "random needs either n or fraction")
        return self

    def choose(self, table: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.operators.draw import draw

        drawn = table.with_row_index("row").with_columns(draw("random", self.seed, "id").alias("draw"))
        if self.fraction is not None:
            out = pl.col("draw") >= self.fraction
        else:
            out = pl.col("row").cum_count() > self.n
            drawn = drawn.sort("draw", "id", "origin", "row")
        reason = pl.when(out).then(pl.lit("not_drawn")).alias("reason")
        return drawn.select("row", reason).sort("row")["reason"]
