"""Whom to believe, from nothing but what everybody said (Dawid and Skene 1979, "Maximum likelihood estimation of
observer error-rates using the EM algorithm").

Each item has a true value that nobody knows, and each person a table of what they say when it is this or that. EM goes
back and forth between the two: with the tables the true values become likely or unlikely, and with these the tables are
counted anew. It begins with the votes as they are. A person who is wrong in a regular way is as good a witness as one
who is right; one whose answers hang on nothing counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Model:
    """What was found."""

    truth: Array
    """How likely each value is for each item (items, values)."""
    prevalence: Array
    """How common each true value is (values)."""
    said: Array
    """How often each person says a value when another is true (people, true values, said values)."""

    def reliability(self) -> Array:
        """How often each person says what is true (people)."""
        right: Array = np.einsum("v,pvv->p", self.prevalence, self.said)
        return right


def dawid_skene(counts: Array, *, smoothing: float = 0.0, rounds: int = 500, tolerance: float = 1e-9) -> Model:
    """Maximum likelihood by EM; with `smoothing`, so much is added to every cell of everybody's table.

    Args:
        counts: How often each person gave each value to each item (items, people, values).
        rounds: At most so many; it ends earlier when no probability moves by more than `tolerance`.

    Raises:
        ValueError: an item has no vote.
    """
    votes = counts.sum(axis=1, dtype=np.float64)
    if not votes.sum(axis=1).all():
        raise ValueError("an item without a vote has no likely value")
    truth: Array = votes / votes.sum(axis=1, keepdims=True)
    items, people, values = counts.shape
    flat: Array = counts.reshape(items, people * values).astype(np.float64)
    for _ in range(rounds):
        prevalence, said = _tables(flat, truth, people, smoothing)
        with np.errstate(divide="ignore"):  # what never happened has a probability of zero
            log_said, log_prevalence = np.log(said), np.log(prevalence)
        # What was said zero times has no say, also where its probability is zero.
        by_cell = said.transpose(0, 2, 1).reshape(people * values, values)
        seen = flat @ np.where(by_cell > 0, log_said.transpose(0, 2, 1).reshape(people * values, values), 0.0)
        never = flat @ (by_cell == 0).astype(np.float64) > 0
        log_joint = np.where(never, -np.inf, seen) + log_prevalence
        joint = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
        new = joint / joint.sum(axis=1, keepdims=True)
        moved = np.abs(new - truth).max()
        truth = new
        if moved <= tolerance:
            break
    return Model(truth, *_tables(flat, truth, people, smoothing))


def _tables(flat: Array, truth: Array, people: int, smoothing: float) -> tuple[Array, Array]:
    """(prevalence, what everybody says): the M step, equations 2.3 and 2.4 of the paper.

    Args:
        flat: Counts (items, people * values).
    """
    values = truth.shape[1]
    said: Array = (truth.T @ flat).reshape(values, people, values).transpose(1, 0, 2) + smoothing
    whole = said.sum(axis=2, keepdims=True)
    return truth.mean(axis=0), np.divide(said, whole, out=np.zeros_like(said), where=whole > 0)
