"""Bounds on length, in words, characters or tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Filter
from curation.operators.text import Of, chars, contents, words

if TYPE_CHECKING:
    import polars as pl


class Length(Filter):
    """Keeps what is neither too short nor too long.

    Reasons: `too_few_words`, `too_many_words`, `too_few_chars`, `too_many_chars`.
    """

    op: Literal["length"] = "length"
    min_words: int | None = Field(None, ge=1)
    """Fewest words, by Unicode's rules; None: no bound, like every bound here."""
    max_words: int | None = Field(None, ge=1)
    """Most words."""
    min_chars: int | None = Field(None, ge=1)
    """Fewest characters (Unicode code points)."""
    max_chars: int | None = Field(None, ge=1)
    """Most characters."""
    of: Of | None = None
    """`chat` measures all messages together, `last` the last one. None: the answer alone where `on` names one
    (`chosen`, `rejected`, `reply`), else the whole chat."""

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        pairs = [(self.min_words, self.max_words), (self.min_chars, self.max_chars)]
        if all(bound is None for pair in pairs for bound in pair):
            raise PydanticCustomError("range", "length needs a bound: min_words, max_words, min_chars or max_chars")
        if any(low is not None and high is not None and high < low for low, high in pairs):
            raise PydanticCustomError("range", "a max_ is below its min_: nothing could stay")
        return self

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        texts = contents(self.of or ("last" if self.on in ("chosen", "rejected", "reply") else "chat"))
        found = []
        for unit, measure in (("words", words), ("chars", chars)):
            low, high = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if low is not None:
                found.append(pl.when(measure(texts) < low).then(pl.lit(f"too_few_{unit}")))
            if high is not None:
                found.append(pl.when(measure(texts) > high).then(pl.lit(f"too_many_{unit}")))
        return frame.select(pl.coalesce(found).alias("reason"))["reason"]
