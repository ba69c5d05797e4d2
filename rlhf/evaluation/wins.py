"""Who wins against whom: paired outcomes on the same prompts, ties worth one half."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from rlhf.evaluation.intervals import bootstrap


def outcome(ours: float, theirs: float) -> float:
    """1 when ours is better, 0 when theirs is, 0.5 when there is no difference."""
    return 1.0 if ours > theirs else 0.0 if ours < theirs else 0.5


def tally(outcomes: Sequence[float], prompts: Sequence[Hashable], seed: int = 0) -> dict[str, Any]:
    """`win_rate` with its interval over prompts, and what it is made of.

    Args:
        outcomes: 1, 0.5 or 0 a pair of answers.
        prompts: What each pair answers; pairs about one prompt are drawn together.
    """
    return {
        "win_rate": bootstrap(outcomes, prompts, seed=seed).to_dict(),
        "wins": sum(o == 1.0 for o in outcomes),
        "ties": sum(o == 0.5 for o in outcomes),
        "losses": sum(o == 0.0 for o in outcomes),
        "n": len(set(prompts)),
    }
