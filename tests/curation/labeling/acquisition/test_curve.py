"""The curve of held-out accuracy: right on counted hits, as wide as a binomial where that is all there is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from curation.labeling.acquisition.curve import PATIENCE, Point, has_stopped, measure
from curation.labeling.acquisition.head import Head
from curation.labeling.acquisition.pool import Verdicts
from curation.labeling.acquisition.strategies import Belief


def held_out(right: int, wrong: int, per_prompt: int = 1) -> tuple[np.ndarray, Verdicts]:
    """Points on a line and verdicts about them, of which a head that likes larger numbers gets `right` right."""
    points = np.arange(2.0 * (right + wrong))[:, None]
    said = Verdicts()
    for k in range(right + wrong):
        said.add(2 * k, 2 * k + 1, 0.0 if k < right else 1.0, str(k // per_prompt))
    return points, said


def sure(members: list[float] | None = None) -> Belief:
    return Belief(Head(np.array([1.0]), np.eye(1), 1.0), np.array(members or [1.0] * 4)[:, None])


def test_where_all_heads_agree_the_interval_is_that_of_drawing_the_prompts() -> None:
    points, said = held_out(63, 27)
    found = measure(points, sure(), said, [1, 2] * 90, answers=120, learned=9, seed=0)
    assert found is not None and (found.answers, found.accuracy, found.length) == (120, 0.7, 0.7)
    assert found.low * 90 == pytest.approx(binom.ppf(0.025, 90, 0.7), abs=1.01)
    assert found.high * 90 == pytest.approx(binom.ppf(0.975, 90, 0.7), abs=1.01)


def test_heads_that_disagree_widen_it() -> None:
    points, said = held_out(63, 27)
    one = measure(points, sure(), said, [1, 2] * 90, answers=1, learned=9, seed=0)
    other = measure(points, sure([1.0, 1.0, 1.0, -1.0]), said, [1, 2] * 90, answers=1, learned=9, seed=0)
    assert one and other and other.accuracy == one.accuracy and other.width > 1.3 * one.width


def test_pairs_about_one_prompt_are_drawn_together() -> None:
    wide = measure(*_with(held_out(60, 30, per_prompt=30)), [1, 2] * 90, answers=1, learned=9, seed=0)
    narrow = measure(*_with(held_out(60, 30)), [1, 2] * 90, answers=1, learned=9, seed=0)
    assert wide and narrow and wide.width > 2 * narrow.width


def _with(both: tuple[np.ndarray, Verdicts]) -> tuple[np.ndarray, Belief, Verdicts]:
    return both[0], sure(), both[1]


def test_ties_are_left_out_and_a_head_that_says_nothing_gets_one_half() -> None:
    points, said = held_out(4, 0)
    said.add(0, 1, 0.5, "tied")
    found = measure(points, sure(), said, [2, 1] * 4, answers=5, learned=9, seed=0)
    assert found is not None and (found.accuracy, found.length) == (1.0, 0.0)
    assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / 4)), 1.0)  # four out of four prove little
    nothing = Belief(Head(np.zeros(1), np.eye(1), 1.0), np.zeros((4, 1)))
    blank = measure(points, nothing, said, [1, 1] * 4, answers=5, learned=0, seed=0)
    assert blank is not None and (blank.accuracy, blank.length, blank.width) == (0.5, 0.5, 0.0)
    only = Verdicts()
    only.add(0, 1, 0.5, "tied")
    assert measure(points, sure(), only, [1, 1] * 4, answers=5, learned=9, seed=0) is None


def a_curve(widths: list[float], learned: int = 5) -> list[Point]:
    return [Point(10 * k, learned * k, 0.6, 0.6 - w / 2, 0.6 + w / 2, 0.5) for k, w in enumerate(widths)]


def test_it_has_stopped_when_the_last_rounds_were_no_narrower_than_those_before() -> None:
    assert PATIENCE == 3
    nothing_learned_yet = [0.0]
    shrinking = [0.40, 0.36, 0.32, 0.29, 0.26, 0.23]
    assert not has_stopped(a_curve(nothing_learned_yet + shrinking))
    assert not has_stopped(a_curve([*nothing_learned_yet, *shrinking, 0.27, 0.22]))  # 0.24 against 0.29 on average
    assert has_stopped(a_curve([*nothing_learned_yet, *shrinking, 0.27, 0.26, 0.25]))  # 0.26 against 0.26
    flat = [0.3] * 6
    assert has_stopped(a_curve(nothing_learned_yet + flat)) and not has_stopped(a_curve(nothing_learned_yet + flat[1:]))
    assert not has_stopped(a_curve(flat, learned=0))  # a head that knows nothing is sure of one half, and that is all
