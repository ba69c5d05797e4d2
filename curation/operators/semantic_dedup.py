"""`semantic_dedup`: rows that say the same in other words, told by embeddings.

Rows are gone through in an order that is written down (the preferred ones first, then by id), and one goes if its
cosine similarity to a row that stays reaches the threshold. So no two rows that stay are that similar, and each that
goes names one that stays and is that similar to it: likeness is not passed on from row to row, because a chain of small
steps leads from any topic to any other.

Every row is compared with every row that stays, in blocks: exact, and quadratic. 100,000 rows take a minute or so on
one core; `near_dedup` first makes them fewer and costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curation.operator import Decision, Selector
from curation.operators.against import Others, chats
from curation.operators.embedded import Embeds
from curation.operators.ranked import By, ranking, score_keys, scores_of
from curation.operators.select import named

if TYPE_CHECKING:
    import polars as pl


class SemanticDedup(Embeds, Selector):
    """Keeps one of several rows that mean nearly the same. Reasons: `semantic_duplicate`,
    `semantic_duplicate_elsewhere`.

    The row that stays is named beside each row that goes, with the similarity. Every row is compared with every row
    that stays, exactly, so twice the rows take four times as long: on one core 100,000 rows take a minute or so, a
    million nearly two hours and a gigabyte of memory for their vectors. Put `exact_dedup` and `near_dedup` before it;
    beyond a few hundred thousand rows, curate in parts.
    """

    op: Literal["semantic_dedup"] = "semantic_dedup"
    threshold: float = Field(0.95, gt=0, le=1)
    """Cosine similarity from which on two rows mean the same. What that is depends on the embedding: look at what goes
    (`rlhf show RECIPE STEP --dropped semantic_dedup`) before lowering it."""
    prefer: By | None = None
    """Score, or formula of scores: of rows that mean the same, the highest stays; rows without it come last. None, and
    among equals: the row with the smallest id, then origin."""
    against: Others = Field(default_factory=list)
    """Steps whose rows count as seen already: a row that means the same as one of theirs goes, whatever else is like
    it. Where `on` is set, it says what is compared there too."""

    def reads(self) -> frozenset[str]:
        return scores_of(self.prefer)

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.vector_column(frame).hstack(score_keys(frame, self.prefer).get_columns())

    def decide(self, table: pl.DataFrame) -> Decision:
        import numpy as np
        import polars as pl

        from curation.operators.nearest import array, nearest, one_by_one

        words: list[str | None] = [None] * len(table)
        said: list[str | None] = [None] * len(table)
        vectors = array(table["vector"])
        order = ranking(table, self.prefer)
        if self.against:
            others, theirs = self.others()
            found, likeness = nearest(vectors, theirs)
            for place in np.flatnonzero(likeness >= self.threshold):
                words[place] = "semantic_duplicate_elsewhere"
                said[place] = named(others[int(found[place])], float(likeness[place]))
            order = order[likeness[order] < self.threshold]
        chosen = one_by_one(vectors[order], self.threshold, at_limit=True)
        for rank in np.flatnonzero(~chosen.stays):
            stays = int(order[chosen.nearest[rank]])
            words[order[rank]] = "semantic_duplicate"
            said[order[rank]] = named(table["id"][stays], float(chosen.likeness[rank]))
        reasons = pl.Series("reason", words, dtype=pl.String)
        return Decision(reasons, evidence=pl.Series("evidence", said, dtype=pl.String))

    def others(self) -> tuple[pl.Series, Any]:
        """(ids, vectors) of the rows of the other sets, sorted by id."""
        return other_vectors(self, self.against, self.on)


def other_vectors(embeds: Embeds, against: Others, on: str | None) -> tuple[pl.Series, Any]:
    """(ids, vectors) of the rows of other sets, sorted by id."""
    import numpy as np
    import polars as pl

    frames = [frame for ref in against for frame in chats(ref, on)]
    ids = pl.concat([frame["id"] for frame in frames]) if frames else pl.Series("id", [], dtype=pl.String)
    if not len(ids):
        return ids, np.zeros((0, embeds.embedder().width), dtype=np.float32)
    vectors = np.concatenate([embeds.vectors(frame) for frame in frames])
    order = ids.arg_sort()
    return ids.gather(order), vectors[order.to_numpy()]
