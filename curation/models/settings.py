"""Settings that name no model: how answers are drawn. Free of torch, so that recipes are checked fast."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.settings import Settings

DType = Literal["auto", "float32", "bfloat16", "float16"]
"""How finely weights are kept, by transformers' names; `auto`: as they were saved."""


class Sampling(Settings):
    """How answers are drawn. The names and defaults are those of TRL's GRPO."""

    max_completion_length: int = Field(256, ge=1)
    """Tokens of an answer, its end token included. One that is longer is cut, and counts as not finished."""
    temperature: float = Field(1.0, ge=0)
    """Below 1 sharpens, above 1 flattens; 0 takes the likeliest token each time."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Draw from the smallest set of tokens that holds this much probability; 1: from all."""
    top_k: int = Field(0, ge=0)
    """Draw from this many of the likeliest tokens; 0: from all."""
    seed: int = 42
    """The same seed, model and prompts give the same answers."""

    @property
    def greedy(self) -> bool:
        """True when nothing is left to chance."""
        return self.temperature == 0 or self.top_k == 1
