"""`select`: the best rows up to a budget, none of which is too similar to a better one.

The rule is DEITA's (Liu et al., "What Makes Good Data for Alignment?", arXiv 2312.15685): go through the rows from the
highest score down; leave a row out if its cosine similarity to the nearest row chosen so far exceeds a bound; stop when
the budget is reached. Every row is compared, in blocks, with every row chosen before it, so the result is exact. Ties
go by id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curation.operator import Decision, Selector
from curation.operators.embedded import Embeds
from curation.operators.ranked import By, ranking, score_keys, scores_of, value

if TYPE_CHECKING:
    import polars as pl


class Select(Embeds, Selector):
    """Keeps the best rows that differ from one another. Reasons: `similar`, `over_budget`, `no_score`.

    Beside a row that is too similar stands the better one that it is similar to, and how similar.
    """

    op: Literal["select"] = "select"
    budget: int | None = Field(None, ge=1)
    """Rows that stay at most. None: all that differ enough."""
    by: By
    """What rows are ranked by, the highest first: a score, or a formula of scores such as `complexity * quality`, or
    `-perplexity` where less is better. A row that lacks one of them goes."""
    max_similarity: float | None = Field(0.9, gt=-1, le=1)
    """A row goes if its cosine similarity to a row chosen before it exceeds this. None: rows are not compared, and
    need no embedding."""

    def reads(self) -> frozenset[str]:
        return scores_of(self.by)

    @property
    def embeds(self) -> bool:
        return self.max_similarity is not None

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        scores = score_keys(frame, self.by)
        return scores if not self.embeds else self.vector_column(frame).hstack(scores.get_columns())

    def decide(self, table: pl.DataFrame) -> Decision:
        import polars as pl

        from curation.operators.nearest import array, one_by_one

        words: list[str | None] = ["no_score"] * len(table)
        said: list[str | None] = [None] * len(table)
        order = ranking(table, self.by)
        order = order[: len(order) - table.select(value(self.by).is_null().sum()).item()]
        if self.max_similarity is None:
            most = len(order) if self.budget is None else self.budget
            for rank, place in enumerate(order):
                words[place] = None if rank < most else "over_budget"
            return Decision(pl.Series("reason", words, dtype=pl.String))
        vectors: Any = array(table["vector"])[order]
        chosen = one_by_one(vectors, self.max_similarity, at_limit=False, budget=self.budget)
        ids = table["id"].gather(order)
        for rank, place in enumerate(order):
            if chosen.stays[rank]:
                words[place] = None
            elif rank < chosen.seen:
                words[place] = "similar"
                said[place] = named(ids[int(chosen.nearest[rank])], float(chosen.likeness[rank]))
            else:
                words[place] = "over_budget"
        return Decision(
            pl.Series("reason", words, dtype=pl.String), evidence=pl.Series("evidence", said, dtype=pl.String)
        )


def named(row: str, likeness: float) -> str:
    """A similar row, for people."""
    return f"{row}, similarity {likeness:.4f}"
