"""The rule that stands in for a person who wants short, finished answers.

With w the words of the answer: `32 / (32 + w)`, minus 2 where the answer is not finished. So a finished answer is worth
between 0 and 1, half of it lost at 32 words, and an unfinished one lies between -2 and -1: far below every finished
one, and among themselves the shorter is better too. An answer without a word is worth -2, less than any other. It is a
rule and no judgement: whatever it decides must be called a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curation.operator import Scorer
from curation.operators.text import WORD, reply

if TYPE_CHECKING:
    import polars as pl

HALF = 32
"""Words at which a finished answer is worth one half."""
_CLOSERS = r"""["'”’»)\]}*_`」』）】]*"""
_ENDED = rf"""(?:[.!?…。！？؟।]{_CLOSERS}|```)\s*$"""
"""Ends on the mark of a sentence, closing quotes allowed, or on a closed code block."""
_NUMBER = r"(?:^|\n)\s*\d+\.\s*$"
"""Ends on the number of an item of a list, which only looks like the end of a sentence."""


class Brevity(Scorer):
    """Prefers finished answers to unfinished ones, and short ones among either.

    Finished is what `meta["finished"]` says (it is there for sampled answers: whether they ended by themselves), else
    an answer that ends on the mark of a sentence or a closed code block.
    """

    op: Literal["brevity"] = "brevity"

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        text = pl.col("reply")
        n = text.str.count_matches(WORD).cast(pl.Float64)
        said = pl.col("meta").str.json_path_match("$.finished")
        looks = text.str.contains(_ENDED) & text.str.contains(_NUMBER).not_()
        finished = pl.coalesce(pl.when(said == "true").then(True).when(said == "false").then(False), looks)
        score = pl.when(n == 0).then(-2.0).otherwise(HALF / (HALF + n) - pl.when(finished).then(0.0).otherwise(2.0))
        return frame.select(reply().alias("reply"), "meta").select(score.alias("score"))["score"]
