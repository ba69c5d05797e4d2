"""How many words an answer has: a column to decide on, and the plainest reward and metric there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curation.operator import Scorer
from curation.operators.text import Of, contents, words

if TYPE_CHECKING:
    import polars as pl


class Words(Scorer):
    """Counts words by Unicode's rules (see `curation.operators.text`), so that no language has one endless word."""

    op: Literal["words"] = "words"
    of: Of = "last"
    """`last` counts the last message: the answer, or the question of a prompt. `chat` counts all messages."""

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        return frame.select(words(contents(self.of)).cast(pl.Float64).alias("score"))["score"]
