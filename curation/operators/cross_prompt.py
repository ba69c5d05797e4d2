"""Pairs of conversations with different prompts, which reward models learn from and policies do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class CrossPrompt(Filter):
    """Drops preferences whose two sides answer different prompts (`compare` with `cross_prompt` makes them).

    `dpo` and the other methods that train a policy refuse such pairs. Reasons: `cross_prompt`.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences"})
    op: Literal["cross_prompt"] = "cross_prompt"

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        first = pl.col("chosen").list.first().struct.field("role")
        across = (pl.col("prompt").list.len() == 0) & (first != "assistant")
        return frame.select(pl.when(across).then(pl.lit("cross_prompt")).alias("reason"))["reason"]
