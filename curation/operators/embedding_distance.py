"""`embedding_distance`: how far a row is from what was asked for, which is a text, a file, or the middle of a data set.

1 minus the cosine similarity to the vector of the text, or to the mean of a set's vectors: 0 is the same direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.operator import Scorer
from curation.operators.against import Others
from curation.operators.embedded import Embeds
from curation.operators.semantic_dedup import other_vectors

if TYPE_CHECKING:
    import polars as pl


class EmbeddingDistance(Embeds, Scorer):
    """Distance of a row to a reference: near 0 is about the same thing."""

    op: Literal["embedding_distance"] = "embedding_distance"
    text: str | None = None
    """The reference, in words. One of `text`, `file` and `to`."""
    file: InputFile | None = None
    """A file that holds the reference text."""
    to: Others = Field(default_factory=list)
    """Steps whose rows are the reference: the mean of their vectors."""

    _reference: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if (self.text is not None) + (self.file is not None) + bool(self.to) != 1:
            raise PydanticCustomError("range", "embedding_distance needs one reference: `text`, `file` or `to`")
        return self

    def prepare(self) -> None:
        import numpy as np

        if self._reference is None:
            if self.to:
                vectors = other_vectors(self, self.to, self.on)[1]
            else:
                text = self.file.text() if self.file is not None else self.text
                vectors = self.embedder()([text or ""])
            mean = vectors.sum(axis=0, dtype=np.float64)
            self._reference = mean / (np.linalg.norm(mean) or 1.0)

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        import numpy as np
        import polars as pl

        self.prepare()
        # A sum over each row by itself, not a matrix product: no row's last digit depends on the rows beside it.
        likeness = (self.vectors(frame) * self._reference).sum(axis=1)
        return pl.Series("score", np.round(1 - likeness, 6), dtype=pl.Float64)
