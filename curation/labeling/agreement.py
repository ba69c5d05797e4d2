"""How far people agree about the same items, beyond what chance alone would bring.

`Votes` are item -> annotator -> value; people may see different items, and not all of them. There are three
coefficients, because each field asks for one of them by name; all are 1 at full agreement and 0 at chance:

- Cohen's kappa (1960), of two people who saw the same items; weighted for grades (1968);
- Fleiss' kappa (1971), of any people who are exchangeable, for categories;
- Krippendorff's alpha (2011, "Computing Krippendorff's Alpha-Reliability"), of any people, with gaps, for categories,
  ranks and numbers.

An item that one person alone has seen says nothing about agreement and counts in none of them. Intervals are percentile
bootstraps over items, for an item's votes stand and fall together. Every coefficient is a function of sums over items,
so a draw costs one weighted sum of what each item adds, and no second look at the votes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Literal

import numpy as np

Value = Hashable
Votes = Mapping[str, Mapping[str, Any]]
"""Item -> annotator -> value. Values of the levels `ordinal` and up are numbers."""
Level = Literal["nominal", "ordinal", "interval", "ratio"]
Statistic = Callable[[Votes], float]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Summed:
    """A statistic that is a function of sums over items."""

    parts: Callable[[Votes], Array]
    """What each item adds (items, figures), in the order of the votes."""
    of: Callable[[Array], float]
    """The statistic, from the sums (figures)."""

    def __call__(self, votes: Votes) -> float:
        return self.of(self.parts(votes).sum(axis=0))


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


def _raw_parts(votes: Votes) -> Array:
    shares = [_share(combinations(people.values(), 2)) for people in votes.values()]
    return np.array([(s.agreed, s.pairs) for s in shares], dtype=np.float64).reshape(-1, 2)


RAW = Summed(_raw_parts, lambda sums: float(sums[0] / sums[1]) if sums[1] else float("nan"))
"""The share of pairs of votes on the same item that are equal."""


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
    return FLEISS(votes)


def _fleiss_parts(votes: Votes) -> Array:
    """(share of an item's pairs of votes that agree, 1, its votes by value)."""
    counts = _counts(votes, sorted(_values(votes), key=repr))
    n = counts.sum(axis=1)
    counts[n < 2] = 0
    pairs = np.where(n > 1, n * (n - 1), 1)
    agreed = (counts * (counts - 1)).sum(axis=1) / pairs
    return np.column_stack([agreed, n > 1, counts])


def _fleiss_of(sums: Array) -> float:
    agreed, items, by_value = sums[0], sums[1], sums[2:]
    if not items:
        return float("nan")
    chance = float(((by_value / by_value.sum()) ** 2).sum())
    return (float(agreed / items) - chance) / (1 - chance) if chance < 1 else float("nan")


FLEISS = Summed(_fleiss_parts, _fleiss_of)


def alpha(votes: Votes, level: Level = "nominal") -> float:
    """Krippendorff's alpha.

    Args:
        level: What a difference of values means: `nominal` (equal or not), `ordinal` (how many values lie between),
            `interval` (their distance), `ratio` (their distance as a share of their sum).

    Returns:
        NaN where all values are equal: nothing varies that people could agree about.
    """
    return alpha_of(votes, level)(votes)


def alpha_of(votes: Votes, level: Level = "nominal") -> Summed:
    """Krippendorff's alpha over the values that occur in these votes."""
    values = sorted(_values({i: v for i, v in votes.items() if len(v) > 1}), key=None if level != "nominal" else repr)

    def parts(votes: Votes) -> Array:
        """Each item's coincidences, every value against every other."""
        counts = _counts({i: v if len(v) > 1 else {} for i, v in votes.items()}, values)
        together = counts[:, :, None] * counts[:, None, :]
        diagonal = np.arange(len(values))
        together[:, diagonal, diagonal] -= counts
        seen = np.maximum(counts.sum(axis=1) - 1, 1)
        flat: Array = (together / seen[:, None, None]).reshape(len(counts), -1)
        return flat

    def of(sums: Array) -> float:
        together = sums.reshape(len(values), len(values))
        margin = together.sum(axis=1)
        far = _distances(values, margin, level)
        expected = (np.outer(margin, margin) * far).sum()
        return float(1 - (margin.sum() - 1) * (together * far).sum() / expected) if expected else float("nan")

    return Summed(parts, of)


def _values(votes: Votes) -> set[Any]:
    return {v for people in votes.values() for v in people.values()}


def _counts(votes: Votes, values: Sequence[Any]) -> Array:
    """How many gave each value (items, values)."""
    place = {v: i for i, v in enumerate(values)}
    counts = np.zeros((len(votes), len(values)))
    for n, people in enumerate(votes.values()):
        for v in people.values():
            counts[n, place[v]] += 1
    return counts


def _distances(values: Sequence[Any], margin: Array, level: Level) -> Array:
    """The squared difference of each two values."""
    if level == "nominal":
        return 1 - np.eye(len(values))
    # Ordinal: the ranks between two values, with half of each of the two.
    numbers = np.cumsum(margin) - margin / 2 if level == "ordinal" else np.array(values, dtype=np.float64)
    far: Array = np.subtract.outer(numbers, numbers) ** 2
    if level != "ratio":
        return far
    whole = np.add.outer(numbers, numbers) ** 2
    share: Array = np.divide(far, whole, out=np.zeros_like(far), where=whole > 0)
    return share


@dataclass(frozen=True)
class Interval:
    """A figure and where it lies with this confidence."""

    value: float
    low: float
    high: float


def interval(
    votes: Votes,
    statistic: Statistic,
    *,
    whole: Callable[[str], str] = str,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 42,
) -> Interval:
    """Percentile bootstrap over items (Efron and Tibshirani 1993). Draws without a value (NaN) are left out.

    Args:
        whole: Item -> the larger one that it is a part of, which is drawn whole; for statistics that are `Summed`.

    Returns:
        Bounds are NaN with fewer than two (whole) items that two people have seen.
    """
    shared = {item: people for item, people in votes.items() if len(people) > 1}
    value = statistic(votes)
    place: dict[str, int] = {}
    of = [place.setdefault(whole(item), len(place)) for item in shared]
    if len(place) < 2:
        return Interval(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    found = []
    if isinstance(statistic, Summed):
        own = statistic.parts(shared)
        parts = np.zeros((len(place), own.shape[1]))
        np.add.at(parts, of, own)
        for _ in range(draws):
            chosen = rng.integers(len(place), size=len(place))
            found.append(statistic.of(np.bincount(chosen, minlength=len(place)) @ parts))
    else:
        items = list(shared.values())
        for _ in range(draws):
            chosen = rng.integers(len(items), size=len(items))
            found.append(statistic({str(n): items[i] for n, i in enumerate(chosen.tolist())}))
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
    """Whether they agree with nobody: the whole interval lies below `floor`, and that with no other person lies above.
    Without the second half, two who agree would be held against each other's agreement with a third who never does."""


def annotators(
    votes: Votes,
    *,
    level: Level = "nominal",
    whole: Callable[[str], str] = str,
    floor: float = 0.2,
    draws: int = 1000,
    seed: int = 42,
) -> list[Standing]:
    """Everyone among the others, those who agree least first.

    Args:
        level: Of numbers, kappa weighs a difference by its square.
        whole: As in `interval`.
        floor: Agreement beyond chance that is expected of everyone; 0.2 is where Landis and Koch (1977) begin to call
            agreement fair.
    """
    people = sorted({who for seen in votes.values() for who in seen})
    found = []
    for who in people:
        theirs = {item: seen for item, seen in votes.items() if who in seen}
        how: dict[str, Any] = {"whole": whole, "draws": draws, "seed": seed}
        kappa = interval(theirs, kappa_with_others(theirs, who, level), **how)
        stray = kappa.high < floor
        for other in people if stray else ():
            both = {item: {w: seen[w] for w in (who, other)} for item, seen in theirs.items() if other in seen}
            alike = kappa_with_others(both, who, level)
            if other != who and alike(both) > floor and interval(both, alike, **how).low > floor:
                stray = False
                break
        found.append(Standing(who, len(theirs), _share(_with_others(theirs, who)), kappa, stray))
    return sorted(found, key=lambda s: (np.nan_to_num(s.kappa.value, nan=np.inf), s.annotator))


def _with_others(votes: Votes, who: str) -> list[tuple[Any, Any]]:
    """Each vote of one person with each of another on the same item."""
    return [(seen[who], v) for seen in votes.values() if who in seen for other, v in seen.items() if other != who]


def kappa_with_others(votes: Votes, who: str, level: Level) -> Summed:
    """Cohen's kappa of a person's votes with those of everybody else, each pair once."""
    values = sorted(_values(votes), key=repr if level == "nominal" else None)
    far = 1 - np.eye(len(values)) if level == "nominal" else np.subtract.outer(values, values) ** 2
    place = {v: i for i, v in enumerate(values)}

    def parts(votes: Votes) -> Array:
        crossed = np.zeros((len(votes), len(values), len(values)))
        for n, seen in enumerate(votes.values()):
            for other, v in seen.items():
                if who in seen and other != who:
                    crossed[n, place[seen[who]], place[v]] += 1
        return crossed.reshape(len(votes), -1)

    def of(sums: Array) -> float:
        crossed = sums.reshape(len(values), len(values))
        expected = (np.outer(crossed.sum(axis=1), crossed.sum(axis=0)) * far).sum()
        return float(1 - crossed.sum() * (crossed * far).sum() / expected) if expected else float("nan")

    return Summed(parts, of)


def _share(pairs: Iterable[tuple[Any, Any]]) -> Share:
    agreed = count = 0
    for a, b in pairs:
        agreed, count = agreed + (a == b), count + 1
    return Share(agreed, count)
