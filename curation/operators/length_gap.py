"""Pairs in which length alone could have decided.

Where one answer is many times as long as the other, a reward model learns length and nothing else (longer wins 68% of
OpenAssistant's pairs); what is left after this filter is more likely to differ in what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class LengthGap(Filter):
    """Drops preferences whose longer answer has more than `max_ratio` times the length of the shorter one.

    Two empty answers have no gap; one empty answer has an endless one. Reason: `length_gap`.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences"})
    op: Literal["length_gap"] = "length_gap"
    max_ratio: float = Field(3.0, ge=1)
    """Longer / shorter; a pair at exactly this ratio stays."""
    unit: Literal["words", "chars"] = "words"
    """What length is counted in: words by Unicode's rules, or characters."""

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.operators.text import chars, words

        measure = words if self.unit == "words" else chars
        both = [
            measure(pl.col(c).list.eval(pl.element().struct.field("content"))).cast(pl.Float64)
            for c in ("chosen", "rejected")
        ]
        gap = pl.max_horizontal(both) > self.max_ratio * pl.min_horizontal(both)
        return frame.select(pl.when(gap).then(pl.lit("length_gap")).alias("reason"))["reason"]
