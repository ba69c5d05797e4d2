"""Why somebody should look at a person's answers. A flag is a question to a human and drops nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Flag = Literal["disagrees", "too_fast", "misses_gold"]
WORDS: Mapping[Flag, str] = {
    "disagrees": "agrees with nobody beyond chance",
    "too_fast": "answers faster than anyone can read",
    "misses_gold": "misses questions whose answer is known",
}
"""As people read them, after a name."""
