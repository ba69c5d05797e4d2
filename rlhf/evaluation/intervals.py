"""How sure a share or a mean is: percentile bootstrap intervals (Efron 1979) over what was drawn independently.

What is drawn are prompts, not answers: several answers to one prompt, or several pairs about it, rise and fall
together, so whole groups are drawn. Where every value is the same the bootstrap has nothing to draw from and claims to
be certain; at 0 and 1 the exact binomial bound (Clopper and Pearson 1934) stands in, so that three wins out of three
do not pass for proof.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
SAMPLES = 10_000
_AT_ONCE = 4_000_000
"""Numbers drawn at a time: bounds the memory."""
FEW = 30
"""Under so many groups a percentile bootstrap is known to be too narrow."""


@dataclass(frozen=True)
class Interval:
    """A mean, and the bounds between which it lies with 95% confidence."""

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def bootstrap(
    values: Sequence[float] | np.ndarray[Any, Any],
    groups: Sequence[Hashable] | None = None,
    *,
    weights: Sequence[float] | None = None,
    share: bool = True,
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Interval:
    """The mean of some values and its interval.

    Args:
        values: One number an observation.
        groups: What each observation belongs to; groups are drawn whole. None: each is its own.
        weights: How much each observation counts (tokens of a row, for a mean over tokens). None: all the same.
        share: The values lie between 0 and 1 (wins with ties as one half, hits): then certainty is never claimed.

    Raises:
        ValueError: there are no values.
    """
    x: np.ndarray[Any, Any] = np.asarray(values, dtype=np.float64)
    if not len(x):
        raise ValueError("an interval of no values")
    w: np.ndarray[Any, Any] = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    sums: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]
    if groups is not None:
        names: dict[Hashable, int] = {}
        index: np.ndarray[Any, Any] = np.array([names.setdefault(g, len(names)) for g in groups])
        sums = np.bincount(index, weights=x * w, minlength=len(names))
        counts = np.bincount(index, weights=w, minlength=len(names))
    else:
        sums, counts = x * w, w
    n = len(sums)
    mean = float(sums.sum() / counts.sum())
    if share and mean in (0.0, 1.0):
        bound = ((1 - level) / 2) ** (1 / n)
        return Interval(mean, bound if mean else 0.0, 1.0 if mean else 1 - bound)
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    step = max(1, _AT_ONCE // n)
    for start in range(0, samples, step):
        drawn = rng.integers(0, n, size=(min(step, samples - start), n))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))
