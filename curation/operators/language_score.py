"""How sure it is that a chat is in one of some languages: a column for `keep`, a metric, a reward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from curation.operator import Scorer
from curation.operators.detection import detect, prose, unknown_codes, wanted
from curation.operators.text import Of

if TYPE_CHECKING:
    import polars as pl


class LanguageScore(Scorer):
    """Confidence, from 0 to 1, that a chat is in one of the languages named; told as the filter `language` tells it."""

    op: Literal["language_score"] = "language_score"
    languages: tuple[str, ...] = Field(min_length=1)
    """ISO 639 codes of the languages wanted; their confidences add up."""
    min_letters: int = Field(20, ge=1)
    """Texts with fewer letters get `unknown`; a letter of Chinese, Japanese or Korean counts three."""
    unknown: float = Field(1.0, ge=0, le=1)
    """The score of a chat with too little prose to tell, code say. 1: a lower bound in `keep` does not drop it."""
    of: Of = "chat"
    """`chat` looks at all messages of user and assistant, `last` at the last message alone: did the model answer in
    the language that it should?"""

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := unknown_codes(value):
            raise PydanticCustomError("language", "{text}", {"text": wrong})
        return value

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        found = detect(prose(frame, self.of), self.min_letters)
        return wanted(found, self.languages).fill_null(self.unknown).alias("score")
