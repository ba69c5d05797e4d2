"""Ranked pairs (Tideman 1987, "Independence of clones as a criterion for voting rules"): how OpenAssistant merged the
rankings of its people.

Over every two answers the people have a majority, but majorities may go in circles: A over B, B over C, C over A. So
they are locked in one after the other, the largest margin first, and one that would close a circle is passed over. The
outcome does not depend on how the answers are numbered: majorities of the same margin are looked at together, and where
they close a circle only with each other none of them is locked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import permutations

from curation.labeling.consensus.ranks import Ranks, check, dense

Edge = tuple[int, int]
"""(better, worse)."""


def ranked_pairs(answers: Mapping[str, Ranks]) -> Ranks:
    """One ranking out of many: person -> ranking in, ranking out. What no locked majority tells apart is a tie.

    Raises:
        ValueError: there is no ranking, or they are of different numbers of answers.
    """
    size = check(answers)
    margins: dict[int, list[Edge]] = defaultdict(list)
    for a, b in permutations(range(size), 2):
        margin = sum((ranks[a] < ranks[b]) - (ranks[a] > ranks[b]) for ranks in answers.values())
        if margin > 0:
            margins[margin].append((a, b))
    locked: set[Edge] = set()
    for margin in sorted(margins, reverse=True):
        below = _closure(locked)
        free = [(a, b) for a, b in margins[margin] if (b, a) not in below]
        below = _closure(locked.union(free))
        locked.update((a, b) for a, b in free if (b, a) not in below)
    return _places(locked, size)


def _closure(edges: Iterable[Edge]) -> set[Edge]:
    """Everything that follows from the edges."""
    found = set(edges)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


def _places(locked: set[Edge], size: int) -> Ranks:
    """Whoever is beaten by nobody that is left shares the next place."""
    places = [0] * size
    left = set(range(size))
    for place in range(1, size + 1):
        beaten = {b for a, b in locked if a in left}
        first = left - beaten
        for answer in first:
            places[answer] = place
        left -= first
    return dense(places)
