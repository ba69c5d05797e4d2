"""How clearly a pair was decided, by two scores: of the chosen answer and of the rejected one.

The scores come with the data (`rating_chosen` and `rating_rejected` of rated answers), from `compare`, or from a scorer
that was asked about both answers: `{reward_model: {on: chosen, reward: STEP}}` and the same with `on: rejected`. A
margin below zero means that the score disagrees with the verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class Margin(Filter):
    """Keeps preferences whose chosen answer scores so much higher than the rejected one.

    Reasons: `low_margin`, `high_margin`, and `no_score` for a pair that lacks one of the two scores. A tie has no
    better answer, so its margin counts without its sign.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences"})
    op: Literal["margin"] = "margin"
    by: str = "rating"
    """The scores `<by>_chosen` and `<by>_rejected` are compared."""
    min: float | None = None
    """Smallest difference, in units of the score; a pair at exactly this margin stays. None: no bound."""
    max: float | None = None
    """Largest difference: pairs beyond it are so clear that they teach little. None: no bound."""
    missing: Literal["drop", "keep"] = Field("drop")
    """What happens to pairs that lack one of the two scores."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise PydanticCustomError("range", "margin needs a bound: `min: 1`, or `min: 0` where scores must agree")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise PydanticCustomError("range", "max is below min: no pair could stay")
        return self

    @property
    def title(self) -> str:
        return f"margin({self.by})"

    def reads(self) -> frozenset[str]:
        return frozenset({f"{self.by}_chosen", f"{self.by}_rejected"})

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.frame import SCORES

        chosen, rejected = (
            pl.col(SCORES + name) if SCORES + name in frame.columns else pl.lit(None, dtype=pl.Float64)
            for name in (f"{self.by}_chosen", f"{self.by}_rejected")
        )
        gap = chosen - rejected
        margin = pl.when(pl.col("verdict") == "tie").then(gap.abs()).otherwise(gap)
        found = [pl.when(gap.is_null()).then(pl.lit("no_score"))] if self.missing == "drop" else []
        if self.min is not None:
            found.append(pl.when(margin < self.min).then(pl.lit("low_margin")))
        if self.max is not None:
            found.append(pl.when(margin > self.max).then(pl.lit("high_margin")))
        return frame.select(pl.coalesce(found).cast(pl.String).alias("reason"))["reason"]
