"""Scores become labels: which answers are good and which are bad, for KTO, which needs no pairs.

The scores are those of rated answers (`rating`), of a reward model, of a judge, of any scorer. Two bounds leave out
what lies between, where a score says least (Ethayarajh et al. 2024, "KTO", https://arxiv.org/abs/2402.01306, learns
from desirable and undesirable answers alone).
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Decision, Selector

if TYPE_CHECKING:
    import polars as pl


class ScoresToLabels(Selector):
    """Labels conversations good or bad by a score; a label that is there already is replaced.

    Reasons: `between` for a row that is neither, `no_score` for one without the score, `no_answer` for one that does
    not end on the assistant.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations"})
    op: Literal["scores_to_labels"] = "scores_to_labels"
    by: str
    """Name of the score; the higher, the better, unless `best` says `low`."""
    good: float | None = None
    """Rows with this score or a better one are good. None: decided by `good_share`."""
    bad: float | None = None
    """Rows with a score worse than this are bad. None: all that are not good, or as `bad_share` says."""
    good_share: float | None = Field(None, gt=0, lt=1)
    """Instead of `good`: this share of the scored rows, the best ones; equal scores in the order of ids."""
    bad_share: float | None = Field(None, gt=0, lt=1)
    """Instead of `bad`: this share of the scored rows, the worst ones."""
    best: Literal["high", "low"] = "high"
    """Which end of the score is good."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if (self.good is None) == (self.good_share is None):
            raise PydanticCustomError("range", "scores_to_labels needs either good or good_share")
        if self.bad is not None and self.bad_share is not None:
            raise PydanticCustomError("range", "bad and bad_share exclude each other")
        if (self.good_share is not None and self.bad is not None) or (self.good is not None and self.bad_share):
            raise PydanticCustomError("range", "give both bounds as scores, or both as shares")
        sign = 1 if self.best == "high" else -1
        if self.good is not None and self.bad is not None and sign * self.bad > sign * self.good:
            raise PydanticCustomError("range", "good and bad overlap: a row would be both")
        if (self.good_share or 0) + (self.bad_share or 0) > 1 + 1e-9:
            raise PydanticCustomError("range", "the two shares make more than the whole")
        if self.on is not None:
            raise PydanticCustomError("range", "scores_to_labels looks at the whole row and takes no `on`")
        return self

    @property
    def title(self) -> str:
        return f"scores_to_labels({self.by})"

    def reads(self) -> frozenset[str]:
        return frozenset({self.by})

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        from curation.frame import SCORES

        column = SCORES + self.by
        score = pl.col(column) if column in frame.columns else pl.lit(None, dtype=pl.Float64)
        ends = pl.col("messages").list.last().struct.field("role") == "assistant"
        return frame.select(score.alias("score"), ends.fill_null(False).alias("answered"))

    def choose(self, table: pl.DataFrame) -> pl.Series:
        return self.decide(table).reasons

    def decide(self, table: pl.DataFrame) -> Decision:
        import polars as pl

        able = pl.col("answered") & pl.col("score").is_not_null()
        label = self._by_share(table, able) if self.good_share is not None else self._by_bound(table)
        reason: Any = pl.when(~pl.col("answered")).then(pl.lit("no_answer"))
        reason = reason.when(pl.col("score").is_null()).then(pl.lit("no_score"))
        reason = reason.when(pl.col("label").is_null()).then(pl.lit("between"))
        labelled = table.with_columns(label.alias("label"))
        reasons = labelled.select(reason.otherwise(pl.lit(None, dtype=pl.String)).alias("reason"))["reason"]
        return Decision(reasons, {"label": label})

    def _by_bound(self, table: pl.DataFrame) -> pl.Series:
        import polars as pl

        sign = 1 if self.best == "high" else -1
        score = sign * pl.col("score")
        good = score >= sign * (self.good or 0.0)
        bad = score < sign * self.bad if self.bad is not None else pl.lit(True)
        return table.select(_either(good, bad).alias("label"))["label"]

    def _by_share(self, table: pl.DataFrame, able: pl.Expr) -> pl.Series:
        import polars as pl

        ranked = table.with_row_index("row").filter(able)
        n = len(ranked)
        best = floor(round((self.good_share or 0) * n, 6))
        worst = n - best if self.bad_share is None else floor(round(self.bad_share * n, 6))
        ranked = ranked.sort("score", "id", "origin", "row", descending=[self.best == "high", False, False, False])
        place = ranked.with_row_index("place").select(
            "row", _either(pl.col("place") < best, pl.col("place") >= n - worst).alias("label")
        )
        rows = table.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"))
        return rows.join(place, on="row", how="left", maintain_order="left")["label"]


def _either(good: pl.Expr, bad: pl.Expr) -> pl.Expr:
    import polars as pl

    return pl.when(good).then(True).when(bad).then(False).otherwise(None).cast(pl.Boolean)
