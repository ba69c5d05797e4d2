"""`novelty`: how far a row is from everything that was there before it.

1 minus the cosine similarity to the nearest row: of other data sets, or of the set itself among the rows that come
before it. 0 is a row that says nothing new; static embeddings rarely go beyond 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from curation.conversation import Conversation
from curation.operator import Decision, Scorer, Selector
from curation.operators.against import Others
from curation.operators.embedded import Embeds
from curation.operators.ranked import By, ranking, score_keys, scores_of
from curation.operators.semantic_dedup import other_vectors

if TYPE_CHECKING:
    import polars as pl


class Novelty(Embeds, Selector, Scorer):
    """Distance to the nearest row of another set, or to the nearest of the rows before it. Drops nothing.

    It is exact: every row is compared, in blocks.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["novelty"] = "novelty"
    against: Others = Field(default_factory=list)
    """Steps whose rows were there before. None: each row is compared with the rows of its own set that come before it;
    the first has a novelty of 1."""
    prefer: By | None = None
    """Score, or formula of scores: which rows of the own set come before others, the highest first. None, and among
    equals: by id. Not used with `against`."""

    def reads(self) -> frozenset[str]:
        return scores_of(self.prefer)

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.vector_column(frame).hstack(score_keys(frame, self.prefer).get_columns())

    def decide(self, table: pl.DataFrame) -> Decision:
        import numpy as np
        import polars as pl

        from curation.frame import SCORES
        from curation.operators.nearest import array

        order = ranking(table, self.prefer)
        distance = np.empty(len(table))
        distance[order] = self._distances(array(table["vector"])[order])
        none = pl.Series("reason", [None] * len(table), dtype=pl.String)
        return Decision(none, {SCORES + self.column: pl.Series(distance, dtype=pl.Float64)})

    def score(self, conversations: list[Conversation]) -> list[float]:
        """The same for a list: against the other sets, or of each conversation against those before it in the list."""
        from curation.frame import to_frame

        vectors = self.vectors(to_frame(conversations, Conversation))
        return [float(x) for x in self._distances(vectors)]

    def _distances(self, vectors: Any) -> Any:
        import numpy as np

        from curation.operators.nearest import nearest, nearest_before

        if self.against:
            found, likeness = nearest(vectors, other_vectors(self, self.against, self.on)[1])
        else:
            found, likeness = nearest_before(vectors)
        return np.round(1 - np.where(found >= 0, likeness, 0.0), 6)
