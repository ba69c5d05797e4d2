"""`stratified`: a random subset in which each kind of row has the share that it had before.

How many of each kind: its exact share rounded down, and what is then missing goes to the kinds whose shares lost most
by that (the largest remainder method, Hamilton's), so that the numbers add up and none is off by a whole row. Which of
them: by a stable hash of each id, as in `random`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Selector
from curation.operators.strata import Stratified as ByKind
from curation.operators.strata import kinds
from curation.operators.top import wanted

if TYPE_CHECKING:
    import polars as pl


class Stratified(ByKind, Selector):
    """Keeps a number or a share of the rows, of each kind in proportion. Reason: `not_drawn`."""

    op: Literal["stratified"] = "stratified"
    n: int | None = Field(None, ge=1)
    """So many rows, exactly; all where there are fewer."""
    fraction: float | None = Field(None, gt=0, lt=1)
    """This share of all rows, rounded to the nearest number."""
    seed: int = Field(0, ge=0)
    """Another seed draws another subset. It is this operator's own: the recipe's seed does not reach it."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.n is None) == (self.fraction is None):
            raise PydanticCustomError("range", "stratified needs either n or fraction")
        return self

    def reads(self) -> frozenset[str]:
        return self.binned()

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return kinds(frame, self).to_frame()

    def choose(self, table: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.operators.draw import draw

        sizes = dict(table["kind"].value_counts().iter_rows())
        seats = apportioned(sizes, min(wanted(self.n, self.fraction, len(table)), len(table)))
        drawn = table.select("id", "origin", "kind", draw("stratified", self.seed, "id").alias("draw"))
        drawn = drawn.with_row_index("place").sort("draw", "id", "origin", "place")
        most = pl.Series("most", [seats[kind] for kind in drawn["kind"]], dtype=pl.Int64)
        out = pl.col("place").cum_count().over("kind") > most
        return drawn.select("place", pl.when(out).then(pl.lit("not_drawn")).alias("reason")).sort("place")["reason"]


def apportioned(sizes: dict[str, int], seats: int) -> dict[str, int]:
    """So many seats in proportion to the sizes, by the largest remainder; equal remainders go by name."""
    total = sum(sizes.values())
    if not total:
        return {}
    exact = {name: Fraction(size * seats, total) for name, size in sizes.items()}
    given = {name: int(share) for name, share in exact.items()}
    left = seats - sum(given.values())
    for name in sorted(exact, key=lambda name: (given[name] - exact[name], name))[:left]:
        given[name] += 1
    return given
