"""`top`: the rows that score highest, and no other thought."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Selector
from curation.operators.ranked import By, ranking, score_keys, scores_of, value

if TYPE_CHECKING:
    import polars as pl


class Top(Selector):
    """Keeps a number or a share of the rows, those with the highest score. Reasons: `not_top`, `no_score`.

    Equal scores go by id, so exactly so many rows stay.
    """

    op: Literal["top"] = "top"
    by: By
    """What rows are ranked by, the highest first: a score, or a formula of scores such as `complexity * quality`, or
    `-perplexity` where less is better. A row that lacks one of them goes."""
    n: int | None = Field(None, ge=1)
    """So many rows; all that have a score where there are fewer."""
    fraction: float | None = Field(None, gt=0, le=1)
    """This share of all rows, rounded to the nearest number."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.n is None) == (self.fraction is None):
            raise PydanticCustomError("range", "top needs either n or fraction")
        return self

    def reads(self) -> frozenset[str]:
        return scores_of(self.by)

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return score_keys(frame, self.by)

    def choose(self, table: pl.DataFrame) -> pl.Series:
        import polars as pl

        most = wanted(self.n, self.fraction, len(table))
        reason = pl.Series("reason", ["not_top"] * len(table), dtype=pl.String)
        reason = reason.scatter(ranking(table, self.by)[:most], [None] * min(most, len(table)))
        lacks = table.select(value(self.by).is_null().alias("lacks"))["lacks"]
        return pl.select(pl.when(lacks).then(pl.lit("no_score")).otherwise(reason).alias("reason")).to_series()


def wanted(n: int | None, fraction: float | None, rows: int) -> int:
    """How many rows are meant, of so many: `n`, or a share of them, halves rounded up."""
    return n if n is not None else math.floor((fraction or 0.0) * rows + 0.5)
