"""Rankings as everybody gives them and as they are agreed on: the place of each answer, 1 the best, equal for a tie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

Ranks = tuple[int, ...]
Said = Mapping[str, Mapping[str, Ranks]]
"""Item -> person -> ranking."""


def dense(places: Sequence[Any]) -> Ranks:
    """The same order without gaps: `(1, 1, 4)` becomes `(1, 1, 2)`. Smaller is better; any numbers will do."""
    number = {place: n for n, place in enumerate(sorted(set(places)), 1)}
    return tuple(number[place] for place in places)


def duels(ranks: Ranks) -> Iterator[tuple[int, int, bool]]:
    """Each two answers once, as (better, worse, whether they are a tie)."""
    for a, b in combinations(range(len(ranks)), 2):
        better, worse = (a, b) if ranks[a] <= ranks[b] else (b, a)
        yield better, worse, ranks[a] == ranks[b]


def check(answers: Mapping[str, Ranks]) -> int:
    """How many answers these rankings order.

    Raises:
        ValueError: there is no ranking, or two of them order different numbers of answers.
    """
    sizes = {len(ranks) for ranks in answers.values()}
    if len(sizes) != 1:
        raise ValueError("no ranking" if not sizes else f"rankings of {sorted(sizes)} answers are of different items")
    return sizes.pop()
