"""How strong each answer is, from duels that people decided, and how far each of them can be relied on.

After Bradley and Terry (1952) an answer of strength s beats one of strength t with probability e^s / (e^s + e^t). After
Chen, Bennett, Collins-Thompson and Horvitz (2013, "Pairwise ranking aggregation in a crowdsourced setting", Crowd-BT)
a person says so with probability r, and the contrary otherwise: r = 1/2 is a coin, and r near 0 someone who took the
scale for its opposite. As in that paper every answer also wins and loses against a made-up opponent of strength 0,
which keeps the strength of an answer that always won finite. What a coin says can also be answers that are about as
good, so reliabilities come apart where answers meet several others, and little where each item is a pair by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PRIOR = (10.0, 1.0)
"""Beta prior of a person's reliability (Chen et al.): without any answer it is the prior's mean, 10/11, so that people
are believed until their answers speak against it."""
OPPONENT = 0.5
"""Weight of the duels with the made-up opponent (Chen et al.)."""


@dataclass(frozen=True)
class Duel:
    """One person's word on two answers, by number. A tie is two duels of half the weight, one each way."""

    person: int
    better: int
    worse: int
    weight: float = 1.0


@dataclass(frozen=True)
class Fit:
    """What was found."""

    strengths: Array
    """Of each answer; only differences between answers that met, or met the same ones, mean something."""
    reliability: Array
    """Of each person: how often they say what the strengths say."""


def bradley_terry(
    duels: Sequence[Duel],
    answers: int,
    people: int,
    *,
    opponent: float = OPPONENT,
    prior: tuple[float, float] | None = PRIOR,
) -> Fit:
    """The most likely strengths and log-odds of reliability (maximum a posteriori).

    Args:
        answers: How many there are.
        people: How many there are.
        opponent: Weight of the duels with the made-up opponent; 0 leaves it out.
        prior: Of reliabilities; None: everybody is relied on alike, which is the plain model.
    """
    from scipy.optimize import minimize

    person = np.array([d.person for d in duels], dtype=np.int64)
    better = np.array([d.better for d in duels], dtype=np.int64)
    worse = np.array([d.worse for d in duels], dtype=np.int64)
    weight = np.array([d.weight for d in duels], dtype=np.float64)

    def loss(x: Array) -> tuple[float, Array]:
        strengths = x[:answers]
        right = _sigmoid(strengths[better] - strengths[worse])
        r = _sigmoid(x[answers:]) if prior else np.ones(people)
        chance = r[person] * right + (1 - r[person]) * (1 - right)
        by_strength = weight * (2 * r[person] - 1) * right * (1 - right) / chance
        up: Array = np.bincount(better, by_strength, answers) - np.bincount(worse, by_strength, answers)
        own = _sigmoid(strengths)
        total = (weight * np.log(chance)).sum() + opponent * (np.log(own) + np.log1p(-own)).sum()
        up = up + opponent * (1 - 2 * own)
        if not prior:
            return -total, -up
        a, b = prior
        total = total + (a * np.log(r) + b * np.log1p(-r)).sum()
        by_r = np.bincount(person, weight * (2 * right - 1) / chance, people) * r * (1 - r)
        return -total, -np.concatenate([up, by_r + a * (1 - r) - b * r])

    start = np.zeros(answers + (people if prior else 0))
    if prior:
        start[answers:] = np.log(prior[0] / prior[1])  # the prior's mean
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-12, "gtol": 1e-7})
    reliability = _sigmoid(found.x[answers:]) if prior else np.ones(people)
    return Fit(found.x[:answers], reliability)


def _sigmoid(x: Array) -> Array:
    """Kept off 0 and 1, where logarithms end."""
    made: Array = np.clip(1 / (1 + np.exp(-np.clip(x, -500, 500))), 1e-12, 1 - 1e-12)
    return made
