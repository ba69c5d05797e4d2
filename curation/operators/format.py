"""Whether an answer has the form that was asked for: 1 or 0.

The plainest reward beside one that looks at the content: reasoning in its tags, a result behind its mark. The pattern
is matched by an engine whose time grows with the text alone, so that no answer can hang a run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from curation.operator import Scorer
from curation.operators.text import reply

if TYPE_CHECKING:
    import polars as pl


class AnswerFormat(Scorer):
    """1 where the whole answer matches a regular expression, else 0."""

    op: Literal["format"] = "format"
    pattern: str = r"<think>.*</think>\s*\S.*"
    """What the whole answer must match; a dot matches line breaks too. Of regular expressions all but look-around and
    back references."""

    @field_validator("pattern")
    @classmethod
    def _reads(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        if re.search(r"\(\?(<?[=!]|P=|\(|>)|\\[1-9]", pattern):
            raise ValueError("look-around and back references cannot be matched in time that is known beforehand")
        return pattern

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        found = reply().str.contains(rf"(?s)\A(?:{self.pattern})\z")
        return frame.select(found.fill_null(False).cast(pl.Float64).alias("score"))["score"]
