"""Intervals: right where the answer is known in closed form, honest where the bootstrap is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlhf.evaluation.intervals import bootstrap


def binomial_quantile(n: int, p: float, q: float) -> int:
    """Smallest k with P(Binomial(n, p) <= k) >= q, from the definition."""
    total = 0.0
    for k in range(n + 1):
        total += math.comb(n, k) * p**k * (1 - p) ** (n - k)
        if total >= q:
            return k
    return n


@pytest.mark.parametrize(("wins", "n"), [(30, 64), (49, 64), (7, 20), (400, 1000)])
def test_resampling_wins_and_losses_is_drawing_from_a_binomial(wins: int, n: int) -> None:
    found = bootstrap([1.0] * wins + [0.0] * (n - wins), samples=40_000)
    assert found.mean == wins / n
    # The quantile may fall on the neighbouring count: 40,000 draws know it to about 0.001 of probability.
    assert found.low * n == pytest.approx(binomial_quantile(n, wins / n, 0.025), abs=1)
    assert found.high * n == pytest.approx(binomial_quantile(n, wins / n, 0.975), abs=1)


def test_many_values_give_the_normal_approximation() -> None:
    x = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    found = bootstrap(x, share=False)
    half = 1.959964 * x.std() / math.sqrt(len(x))
    assert found.low == pytest.approx(x.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(x.mean() + half, abs=0.05 * half)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, truth, covered = np.random.default_rng(2), 0.6, 0
    for i in range(400):
        outcomes = rng.choice([0.0, 0.5, 1.0], size=64, p=[0.3, 0.2, 0.5])
        found = bootstrap(outcomes, samples=1000, seed=i)
        covered += found.low <= truth <= found.high
    # 95% promised; 400 tries know a share to about 0.011, and a percentile bootstrap of 64 is a little narrow.
    assert 0.91 <= covered / 400 <= 0.98


def test_answers_to_one_prompt_are_drawn_together() -> None:
    one = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0] * 5
    apart = bootstrap(one)
    # Each answer four times over: no more is known than before, though there are four times as many values.
    repeated = bootstrap(np.repeat(one, 4), np.repeat(np.arange(len(one)), 4))
    assert repeated == apart
    as_if_apart = bootstrap(np.repeat(one, 4))
    assert as_if_apart.high - as_if_apart.low == pytest.approx((apart.high - apart.low) / 2, rel=0.1)


def test_groups_of_unequal_size_weigh_by_their_values() -> None:
    found = bootstrap([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert found.mean == 0.75 and (found.low, found.high) == (0.0, 1.0)


def test_a_mean_over_tokens_weighs_rows_by_their_tokens() -> None:
    found = bootstrap([2.0, 4.0], weights=[30, 10], share=False)
    assert found.mean == (2.0 * 30 + 4.0 * 10) / 40 and (found.low, found.high) == (2.0, 4.0)


@pytest.mark.parametrize(("n", "low"), [(3, 0.2924), (10, 0.6915), (64, 0.9440)])
def test_winning_everything_is_not_certainty(n: int, low: float) -> None:
    """The exact bounds of Clopper and Pearson, from tables: 3/3 -> 0.2924, 10/10 -> 0.6915."""
    assert bootstrap([1.0] * n).low == pytest.approx(low, abs=1e-4) and bootstrap([1.0] * n).high == 1.0
    assert bootstrap([0.0] * n).high == pytest.approx(1 - low, abs=1e-4) and bootstrap([0.0] * n).low == 0.0


def test_the_same_seed_gives_the_same_interval_and_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(3).random(500)
    assert bootstrap(x, seed=1) == bootstrap(x, seed=1) != bootstrap(x, seed=2)
    whole = bootstrap(x, samples=300, seed=1)
    monkeypatch.setattr("rlhf.evaluation.intervals._AT_ONCE", 1000)
    assert bootstrap(x, samples=300, seed=1) == whole


def test_no_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])
