"""Answers that leave nothing to choose: both of a pair, or all of a prompt, say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class IdenticalPair(Filter):
    """Drops preferences whose chosen and rejected answers differ in white space or Unicode form at most.

    Of candidates it drops those that have no two different answers. Reasons: `identical_pair`; `identical_answers` and
    `one_answer` for candidates.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences", "candidates"})
    op: Literal["identical_pair"] = "identical_pair"

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.operators.text import squeezed, squeezed_chat

        if "answers" in frame.columns:
            answer = pl.element().struct
            tidy = pl.struct(squeezed(answer.field("content")).alias("content"), answer.field("extra").alias("extra"))
            several = pl.col("answers").list.len() > 1
            alone = pl.col("answers").list.eval(tidy).list.n_unique() < 2
            word = pl.when(alone & several).then(pl.lit("identical_answers")).when(alone).then(pl.lit("one_answer"))
            return frame.select(word.alias("reason"))["reason"]
        same = squeezed_chat("chosen") == squeezed_chat("rejected")
        return frame.select(pl.when(same).then(pl.lit("identical_pair")).alias("reason"))["reason"]
