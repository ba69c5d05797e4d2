"""Pairs from numbers: a scorer stands in for people and says which answer is better.

The best stands against the worst, which gives the clearest pair of a prompt, or every answer against every other. Two
answers of (nearly) the same score are a tie, and stay in the data as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from curation.conversation import Preference
from curation.labeling.answers import Distinct

Pairs = Literal["best_worst", "all"]


def by_score(
    distinct: Distinct, scores: Sequence[float], column: str, decided_by: str, pairs: Pairs, min_gap: float = 0.0
) -> list[Preference]:
    """The pairs that one number an answer gives.

    Args:
        distinct: A row with at least two different answers.
        column: Name of the score; a pair keeps both as `<column>_chosen` and `<column>_rejected`.
        min_gap: Pairs whose scores differ by less are ties, and so are equal ones.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    wanted = [(order[0], order[-1])] if pairs == "best_worst" else list(combinations(order, 2))
    made = []
    for better, worse in wanted:
        gap = scores[better] - scores[worse]
        kept = {f"{column}_chosen": scores[better], f"{column}_rejected": scores[worse]}
        a, b = distinct.answers[better].message(), distinct.answers[worse].message()
        made.append(distinct.pair(a, b, decided_by, tie=gap <= 0 or gap < min_gap, scores=kept))
    return made
