"""A reward head that is fitted in milliseconds: Bradley and Terry's model on fixed features, with what it is unsure of.

An answer is worth `w . x`, where `x` are its features, and it is chosen before another with probability
`sigmoid(w . (x - x'))` (Bradley and Terry 1952): logistic regression without an intercept on differences of features.
A ridge keeps the weights small, and is the precision of a normal prior on them; so the curvature at the fitted weights
is the precision of Laplace's normal approximation of what the weights may be (MacKay 1992), and one fit gives both a
reward and its uncertainty. The ridge is the one under which the labels are most probable (MacKay's evidence), so
few labels give cautious heads and many give bold ones, with no setting to tune.

All is plain numpy, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

Array = np.ndarray[Any, Any]

RIDGES: tuple[float, ...] = tuple(float(10.0**k) for k in np.arange(-1, 3.01, 0.5))
"""What the ridge is chosen from, for differences whose mean squared length is their number of features."""
_STEPS = 100
_FLAT = 1e-10
"""Length of the gradient, by comparison with the number of comparisons, at which a fit ends."""


@dataclass(frozen=True)
class Head:
    """A fitted head."""

    weights: Array
    """(features,)."""
    precision: Array
    """(features, features) curvature of the loss at the weights: the inverse of their covariance."""
    ridge: float

    def gap(self, differences: Array) -> Array:
        """(...) How much better the first answer is, for (..., features) differences."""
        found: Array = differences @ self.weights
        return found

    def probability(self, differences: Array) -> Array:
        """(...) That the first answer is chosen."""
        found: Array = expit(self.gap(differences))
        return found

    def deviation(self, differences: Array) -> Array:
        """(n,) Standard deviation of each gap of (n, features) differences."""
        lower = np.linalg.cholesky(self.precision)
        solved = np.linalg.solve(lower, differences.T)
        found: Array = np.sqrt((solved * solved).sum(axis=0))
        return found

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """(count, features) weights, drawn from the normal approximation."""
        lower = np.linalg.cholesky(self.precision)
        noise = rng.standard_normal((len(self.weights), count))
        drawn: Array = self.weights + np.linalg.solve(lower.T, noise).T
        return drawn


def fit(differences: Array, outcomes: Array, ridge: float, weights: Array | None = None) -> Head:
    """The head of greatest posterior density, by Newton's method.

    Args:
        differences: (n, features) features of the first answer minus those of the second.
        outcomes: (n,) 1 where the first was chosen, 0 where the second was, 0.5 for a tie.
        ridge: Precision of the prior, above 0; so there is exactly one solution, whatever the labels.
        weights: (n,) how much each comparison counts. None: all the same.
    """
    n, width = differences.shape
    counts = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    w = np.zeros(width)
    loss = _loss(w, differences, outcomes, counts, ridge)
    for _ in range(_STEPS):
        chance = expit(differences @ w)
        gradient = differences.T @ (counts * (chance - outcomes)) + ridge * w
        if np.linalg.norm(gradient) <= _FLAT * max(1.0, n):
            break
        step = np.linalg.solve(_curvature(differences, chance, counts, ridge), gradient)
        size = 1.0
        while (after := _loss(w - size * step, differences, outcomes, counts, ridge)) > loss and size > 1e-6:
            size /= 2
        if after > loss:
            break  # the loss is flat to the last bit
        w, loss = w - size * step, after
    precision = _curvature(differences, expit(differences @ w), counts, ridge)
    return Head(w, precision, ridge)


def _loss(w: Array, differences: Array, outcomes: Array, counts: Array, ridge: float) -> float:
    gaps = differences @ w
    return float(counts @ (np.logaddexp(0, gaps) - outcomes * gaps) + 0.5 * ridge * w @ w)


def _curvature(differences: Array, chance: Array, counts: Array, ridge: float) -> Array:
    weighed = differences * (counts * chance * (1 - chance))[:, None]
    found: Array = differences.T @ weighed + ridge * np.eye(differences.shape[1])
    return found


def log_evidence(head: Head, differences: Array, outcomes: Array) -> float:
    """Logarithm of the labels' probability under the head's ridge, the weights integrated out by Laplace's method."""
    width = differences.shape[1]
    loss = _loss(head.weights, differences, outcomes, np.ones(len(outcomes)), head.ridge)
    log_volume = float(width * np.log(head.ridge) - np.linalg.slogdet(head.precision)[1])
    return 0.5 * log_volume - loss


def fit_evident(differences: Array, outcomes: Array, ridges: Sequence[float] = RIDGES) -> Head:
    """The head under the ridge of greatest evidence; of equal ones the larger. Without labels the most cautious one."""
    if not len(outcomes):
        return fit(differences, outcomes, max(ridges))
    heads = [fit(differences, outcomes, ridge) for ridge in sorted(ridges, reverse=True)]
    return max(heads, key=lambda head: log_evidence(head, differences, outcomes))


def ensemble(
    differences: Array, outcomes: Array, groups: Sequence[str], ridge: float, count: int, rng: np.random.Generator
) -> Array:
    """(count, features) weights of heads that were each fitted on a bootstrap sample of the labels (Efron 1979).

    Args:
        groups: What each comparison is about. Comparisons about one prompt are drawn together.
    """
    names = {name: k for k, name in enumerate(sorted(set(groups)))}
    index = np.array([names[g] for g in groups], dtype=np.int64)
    made = np.zeros((count, differences.shape[1]))
    for k in range(count):
        drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)) if names else index
        made[k] = fit(differences, outcomes, ridge, drawn[index] if names else None).weights
    return made
