"""How far people agree about the same items, beyond what chance alone would bring.

`Votes` are item -> annotator -> value; people may see different items, and not all of them. Three coefficients, for
each is asked for by name, all 1 at full agreement and 0 at chance:

- Cohen's kappa (1960), of two people who saw the same items; weighted for grades (1968);
- Fleiss' kappa (1971), of any people who are exchangeable, for categories;
- Krippendorff's alpha (2011, "Computing Krippendorff's Alpha-Reliability"), of any people, with gaps, for categories,
  ranks and numbers.

An item that one person alone has seen says nothing about agreement and counts in none of them. Intervals are percentile
bootstraps over items, for an item's votes stand and fall together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from typing import Any, Literal

import numpy as np

Value = Hashable
Votes = Mapping[str, Mapping[str, Any]]
"""Item -> annotator -> value. Values of the levels `ordinal` and up are numbers."""
Level = Literal["nominal", "ordinal", "interval", "ratio"]
Statistic = Callable[[Votes], float]


@dataclass(frozen=True)
class Share:
    """Pairs of votes on the same item, and how many of them are equal."""

    agreed: int
    pairs: int

    @property
    def value(self) -> float:
        """NaN where no item has two votes."""
        return self.agreed / self.pairs if self.pairs else float("nan")


def raw(votes: Votes) -> Share:
    """Each two people on each item, once."""
    return _share(pair for people in votes.values() for pair in combinations(people.values(), 2))


def between(one: Votes, other: Votes) -> Share:
    """Each vote of one group with each of the other on the same item: people and a judge, say."""
    shared = (item for item in one if item in other)
    return _share(pair for item in shared for pair in product(one[item].values(), other[item].values()))


def without(votes: Votes, value: Value) -> Votes:
    """The votes but those of one value: ties, say."""
    return {item: {who: v for who, v in people.items() if v != value} for item, people in votes.items()}


def cohen(one: Sequence[Any], other: Sequence[Any], weights: Literal["none", "linear", "quadratic"] = "none") -> float:
    """Cohen's kappa of two people's values for the same items, in the same order.

    Args:
        weights: How bad a disagreement is: all alike, or by the (squared) distance between two numbers.

    Returns:
        NaN where both gave one and the same value throughout: chance explains everything then.
    """
    if len(one) != len(other):
        raise ValueError(f"two people's values for the same items: {len(one)} and {len(other)} are not as many")
    pairs = Counter(zip(one, other, strict=True))
    first, second = Counter(one), Counter(other)

    def far(a: Any, b: Any) -> float:
        return float(a != b) if weights == "none" else abs(a - b) ** (1 if weights == "linear" else 2)

    seen = sum(n * far(a, b) for (a, b), n in pairs.items()) * len(one)
    expected = sum(n * m * far(a, b) for (a, n), (b, m) in product(first.items(), second.items()))
    return 1 - seen / expected if expected else float("nan")


def aligned(votes: Votes, one: str, other: str) -> tuple[list[Any], list[Any]]:
    """The values of two people for the items that both have seen."""
    both = [people for people in votes.values() if one in people and other in people]
    return [people[one] for people in both], [people[other] for people in both]


def fleiss(votes: Votes) -> float:
    """Fleiss' kappa. Items may have different numbers of votes; each item of two and more counts alike."""
    counts = [Counter(people.values()) for people in votes.values() if len(people) > 1]
    if not counts:
        return float("nan")
    agreed = [sum(n * (n - 1) for n in c.values()) / (c.total() * (c.total() - 1)) for c in counts]
    total = sum((c for c in counts), Counter[Any]())
    chance = sum((n / total.total()) ** 2 for n in total.values())
    return (float(np.mean(agreed)) - chance) / (1 - chance) if chance < 1 else float("nan")


def alpha(votes: Votes, level: Level = "nominal") -> float:
    """Krippendorff's alpha.

    Args:
        level: What a difference of values means: `nominal` (equal or not), `ordinal` (how many values lie between),
            `interval` (their distance), `ratio` (their distance as a share of their sum).

    Returns:
        NaN where all values are equal: nothing varies that people could agree about.
    """
    units = [list(people.values()) for people in votes.values() if len(people) > 1]
    values = sorted({v for unit in units for v in unit}, key=None if level != "nominal" else repr)
    place = {v: i for i, v in enumerate(values)}
    together = np.zeros((len(values), len(values)))
    for unit in units:
        n = np.zeros(len(values))
        np.add.at(n, [place[v] for v in unit], 1)
        together += (np.outer(n, n) - np.diag(n)) / (len(unit) - 1)
    margin = together.sum(axis=1)
    far = _distances(values, margin, level)
    expected = (np.outer(margin, margin) * far).sum()
    return float(1 - (margin.sum() - 1) * (together * far).sum() / expected) if expected else float("nan")


def _distances(values: Sequence[Any], margin: np.ndarray[Any, Any], level: Level) -> np.ndarray[Any, Any]:
    """The squared difference of each two values."""
    if level == "nominal":
        return 1 - np.eye(len(values))
    # Ordinal: the ranks between two values, with half of each of the two.
    numbers = np.cumsum(margin) - margin / 2 if level == "ordinal" else np.array(values, dtype=np.float64)
    far: np.ndarray[Any, Any] = np.subtract.outer(numbers, numbers) ** 2
    if level != "ratio":
        return far
    whole = np.add.outer(numbers, numbers) ** 2
    share: np.ndarray[Any, Any] = np.divide(far, whole, out=np.zeros_like(far), where=whole > 0)
    return share


@dataclass(frozen=True)
class Interval:
    """A figure and where it lies with this confidence."""

    value: float
    low: float
    high: float


def interval(
    votes: Votes, statistic: Statistic, *, confidence: float = 0.95, draws: int = 1000, seed: int = 42
) -> Interval:
    """Percentile bootstrap over items (Efron and Tibshirani 1993). Draws without a value (NaN) are left out.

    Returns:
        Bounds are NaN with fewer than two items that two people have seen.
    """
    items = [people for people in votes.values() if len(people) > 1]
    value = statistic(votes)
    if len(items) < 2:
        return Interval(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        chosen = rng.integers(len(items), size=len(items)).tolist()
        found.append(statistic({str(n): items[i] for n, i in enumerate(chosen)}))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail]) if not np.isnan(found).all() else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


@dataclass(frozen=True)
class Standing:
    """One annotator among the others."""

    annotator: str
    votes: int
    shared: Share
    """Pairs of a vote of theirs and one of another person on the same item."""
    kappa: Interval
    """Agreement with the others beyond chance: 1 - disagreement seen / disagreement if votes were dealt at random."""
    stray: bool
    """Whether they agree with nobody: the whole interval lies below `floor`."""


def annotators(votes: Votes, *, floor: float = 0.2, draws: int = 1000, seed: int = 42) -> list[Standing]:
    """Everyone among the others, those who agree least first.

    Args:
        floor: Agreement beyond chance that is expected of everyone; 0.2 is where Landis and Koch (1977) begin to call
            agreement fair.
    """
    people = sorted({who for seen in votes.values() for who in seen})
    found = []
    for who in people:
        theirs = {item: seen for item, seen in votes.items() if who in seen}
        kappa = interval(theirs, partial(_kappa_with_others, who=who), draws=draws, seed=seed)
        found.append(Standing(who, len(theirs), _share(_with_others(theirs, who)), kappa, kappa.high < floor))
    return sorted(found, key=lambda s: (np.nan_to_num(s.kappa.value, nan=np.inf), s.annotator))


def _with_others(votes: Votes, who: str) -> list[tuple[Any, Any]]:
    """Each vote of one person with each of another on the same item."""
    return [(seen[who], v) for seen in votes.values() if who in seen for other, v in seen.items() if other != who]


def _kappa_with_others(votes: Votes, who: str) -> float:
    pairs = _with_others(votes, who)
    return cohen([a for a, _ in pairs], [b for _, b in pairs]) if pairs else float("nan")


def _share(pairs: Iterable[tuple[Any, Any]]) -> Share:
    agreed = count = 0
    for a, b in pairs:
        agreed, count = agreed + (a == b), count + 1
    return Share(agreed, count)
