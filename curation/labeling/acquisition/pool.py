"""What can still be asked, and what was said, as numbers: answers are points, a record is some pairs of them.

A record that asks which of two answers is better is one pair; one that asks for a ranking of four is six. Pairs are
never taken apart: people are asked about records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WIDTH = 32
"""Directions that are kept of the features."""


@dataclass(frozen=True)
class Record:
    """One thing that people can be asked."""

    id: str
    prompt: str
    """Which prompt it is about: what is said about one prompt rises and falls together. Two prompts, with a space
    between them, where it compares answers to different ones."""
    answers: tuple[int, ...]
    """The answers that it shows, by their place in the points; two at least."""

    @property
    def prompts(self) -> list[str]:
        """The prompts that its answers are to."""
        return self.prompt.split(" ")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two of its answers."""
        return [(a, b) for i, a in enumerate(self.answers) for b in self.answers[i + 1 :]]


@dataclass(frozen=True)
class Verdicts:
    """What was said, as comparisons of two answers."""

    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    outcomes: list[float] = field(default_factory=list)
    """1 where the first was chosen, 0 where the second was, 0.5 for a tie."""
    prompts: list[str] = field(default_factory=list)

    def add(self, first: int, second: int, outcome: float, prompt: str) -> None:
        """One comparison more."""
        self.first.append(first)
        self.second.append(second)
        self.outcomes.append(outcome)
        self.prompts.append(prompt)

    def __len__(self) -> int:
        return len(self.outcomes)

    def differences(self, points: Array) -> Array:
        """(comparisons, features) The first answer minus the second."""
        made: Array = points[np.array(self.first, dtype=np.int64)] - points[np.array(self.second, dtype=np.int64)]
        return made

    def results(self) -> Array:
        """(comparisons,) The outcomes."""
        return np.array(self.outcomes, dtype=np.float64)


def points_of(states: Array, prompts: Sequence[str], width: int = WIDTH) -> Array:
    """The answers as points in a space that is small enough to learn in from a few hundred labels.

    What a reward model is for is telling answers to one prompt apart, so the directions are those in which such answers
    differ most, also where people compare answers to different prompts: principal components (Pearson 1901) of the
    states minus the mean of their prompt, each state having been brought to unit variance first, because a few states
    of a transformer are a hundred times larger than the others (Sun et al. 2024, arXiv 2402.17762). No label is looked
    at.

    Args:
        states: (answers, states).
        prompts: Which prompt each answer is to.

    Returns:
        (answers, at most `width`) points, scaled so that the squared length of a difference between two answers to one
        prompt is on average the number of features. Fewer features where the answers differ in fewer directions.
    """
    x = np.asarray(states, dtype=np.float64)
    if len(set(prompts)) == len(prompts):  # one answer to each: they differ by their prompts and in nothing else
        prompts = [""] * len(prompts)
    names = {name: k for k, name in enumerate(dict.fromkeys(prompts))}
    index = np.array([names[p] for p in prompts], dtype=np.int64)
    sizes = np.bincount(index, minlength=len(names)).astype(np.float64)
    means = np.zeros((len(names), x.shape[1]))
    np.add.at(means, index, x)
    apart = x - (means / np.maximum(sizes, 1)[:, None])[index]
    spread = np.sqrt((apart * apart).mean(axis=0))
    alive = spread > 1e-9 * max(float(spread.max(initial=0.0)), 1e-30)
    if not alive.any():
        return np.zeros((len(x), 1))
    scaled, apart = x[:, alive] / spread[alive], apart[:, alive] / spread[alive]
    directions = _principal(apart, width)
    points: Array = scaled @ directions
    # The mean squared difference of two answers to a prompt is twice their variance around the prompt's mean, which of
    # m answers is m / (m - 1) times what the deviations from that mean show.
    several = sizes[index] > 1
    grown = np.where(several, sizes[index] / np.maximum(sizes[index] - 1, 1), 0.0)
    squared = ((apart @ directions) ** 2).sum(axis=1)
    mean = 2 * float(squared @ grown) / max(int(several.sum()), 1)
    points = points - points.mean(axis=0)
    return points * np.sqrt(directions.shape[1] / mean) if mean > 0 else points


def _principal(rows: Array, width: int) -> Array:
    """(columns, at most `width`) The directions of greatest variance, signs fixed."""
    n, columns = rows.shape
    if columns <= n:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        directions = vectors[:, ::-1][:, :width]
    else:  # the same directions from the smaller matrix of inner products
        values, vectors = np.linalg.eigh(rows @ rows.T)
        directions = rows.T @ vectors[:, ::-1][:, :width]
    kept = values[::-1][:width] > 1e-10 * max(float(values.max()), 1e-300)
    directions = directions[:, kept]
    directions = directions / np.linalg.norm(directions, axis=0)
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    return np.asarray(directions * np.where(largest < 0, -1.0, 1.0))
