"""`balance`: no kind of row may fill the set. What one source has too much of is cut back to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from curation.operator import Decision, Selector
from curation.operators.ranked import By, score_keys, scores_of, value
from curation.operators.strata import Stratified, kinds

if TYPE_CHECKING:
    import polars as pl


class Balance(Stratified, Selector):
    """Keeps at most so many rows of each kind. Reason: `over_cap`, with the kind beside it."""

    op: Literal["balance"] = "balance"
    max: Annotated[int, Field(ge=1)] | Literal["smallest"]
    """Most rows of a kind. `smallest`: as many as the smallest kind has, so that all are equal."""
    prefer: By | None = None
    """Score, or formula of scores, whose highest rows stay; rows without it come last. None: they are drawn by lot, by
    a stable hash of each id."""
    seed: int = Field(0, ge=0)
    """Another seed draws other rows. It is this operator's own: the recipe's seed does not reach it."""

    def reads(self) -> frozenset[str]:
        return self.binned() | scores_of(self.prefer)

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return kinds(frame, self).to_frame().hstack(score_keys(frame, self.prefer).get_columns())

    def decide(self, table: pl.DataFrame) -> Decision:
        import polars as pl

        from curation.operators.draw import draw

        most = table["kind"].value_counts()["count"].min() if self.max == "smallest" else self.max
        better = -value(self.prefer) if self.prefer else draw("balance", self.seed, "id")
        ranked = table.select("id", "origin", "kind", better.alias("key")).with_row_index("place")
        ranked = ranked.sort("key", "id", "origin", "place", nulls_last=[True, False, False, False])
        over = pl.col("place").cum_count().over("kind") > (most or 0)
        made = ranked.select(
            "place",
            pl.when(over).then(pl.lit("over_cap")).alias("reason"),
            pl.when(over).then("kind").alias("evidence"),
        ).sort("place")
        return Decision(made["reason"], evidence=made["evidence"])
