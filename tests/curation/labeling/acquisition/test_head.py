"""The reward head: right where the model is known in closed form, published, or found by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit

from curation.labeling.acquisition.head import ensemble, fit, fit_evident, log_evidence

# Agresti, Categorical Data Analysis, the American League in 1987: how often the team of a row beat that of a column.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
ABILITIES = (1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0)
"""Published estimates, Baltimore being 0."""


def comparisons(seed: int = 0, n: int = 40, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width))
    y = (rng.random(n) < expit(x @ rng.normal(size=width))).astype(float)
    y[:5] = 0.5
    return x, y


def test_the_teams_of_1987_have_their_published_abilities() -> None:
    rows, outcomes, counts = [], [], []
    for i in range(7):
        for j in range(7):
            if WINS[i][j]:
                rows.append(np.eye(7)[i] - np.eye(7)[j])
                outcomes.append(1.0)
                counts.append(WINS[i][j])
    head = fit(np.array(rows), np.array(outcomes), 1e-7, np.array(counts))
    found = head.weights - head.weights[-1]
    assert found == pytest.approx(ABILITIES, abs=1e-3)


def test_one_feature_is_a_share_of_wins() -> None:
    head = fit(np.ones((50, 1)), np.array([1.0] * 37 + [0.0] * 13), 1e-9)
    assert head.weights[0] == pytest.approx(math.log(37 / 13), abs=1e-7)
    assert head.precision[0, 0] == pytest.approx(50 * 0.74 * 0.26, rel=1e-6)
    assert head.deviation(np.array([[2.0]]))[0] == pytest.approx(2 / math.sqrt(50 * 0.74 * 0.26), rel=1e-6)


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
def test_the_fit_is_where_the_gradient_is_nothing_and_where_a_general_optimizer_ends(ridge: float) -> None:
    x, y = comparisons()
    head = fit(x, y, ridge)
    gradient = x.T @ (expit(x @ head.weights) - y) + ridge * head.weights
    assert np.abs(gradient).max() < 1e-6

    def loss(w: np.ndarray) -> float:
        p = expit(x @ w)
        return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum() + ridge / 2 * (w @ w))

    other = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    assert head.weights == pytest.approx(other, abs=1e-5)


def test_labels_that_one_line_parts_give_a_finite_head() -> None:
    x = np.linspace(-1, 1, 20)[:, None] * 1000
    head = fit(x, (x[:, 0] > 0).astype(float), 1e-3)
    assert np.isfinite(head.weights).all() and head.probability(x).round(3).tolist() == [0.0] * 10 + [1.0] * 10


def test_a_count_is_a_row_repeated_and_a_tie_is_half_a_win_each_way() -> None:
    x, y = comparisons()
    counts = np.arange(len(y)) % 3
    repeated = fit(np.repeat(x, counts, axis=0), np.repeat(y, counts), 1.0)
    assert fit(x, y, 1.0, counts).weights == pytest.approx(repeated.weights, abs=1e-8)
    both = fit(np.vstack([x, x]), np.concatenate([np.ones(40), np.zeros(40)]), 1.0)
    assert fit(x, np.full(40, 0.5), 0.5).weights == pytest.approx(both.weights, abs=1e-8)


def test_the_evidence_is_the_integral_that_it_stands_for() -> None:
    x, y = comparisons(1, n=60, width=1)
    for ridge in (0.3, 1.0, 3.0):

        def joint(w: float, ridge: float = ridge) -> float:
            p = expit(x[:, 0] * w)
            prior = math.sqrt(ridge / (2 * math.pi)) * math.exp(-ridge * w * w / 2)
            return prior * math.exp(float((y * np.log(p) + (1 - y) * np.log(1 - p)).sum()))

        exact = math.log(quad(joint, -10, 10, epsabs=0)[0])
        assert log_evidence(fit(x, y, ridge), x, y) == pytest.approx(exact, abs=0.02)


def test_few_labels_make_a_cautious_head_and_many_clear_ones_a_bold_one() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 4))
    clear = (x @ np.array([4.0, 0, 0, 0]) > 0).astype(float)
    noise = rng.integers(0, 2, 400).astype(float)
    ridges = [fit_evident(x, y).ridge for y in (clear, noise)]
    assert ridges[0] < 1 < ridges[1]
    nothing = fit_evident(np.zeros((0, 4)), np.zeros(0))
    assert not nothing.weights.any() and nothing.probability(x).tolist() == [0.5] * 400


def test_drawn_heads_have_the_mean_and_the_covariance_of_the_posterior() -> None:
    x, y = comparisons()
    head = fit(x, y, 1.0)
    drawn = head.draw(200_000, np.random.default_rng(0))
    covariance = np.linalg.inv(head.precision)
    assert drawn.mean(axis=0) == pytest.approx(head.weights, abs=0.01)
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.01 * covariance.max())
    assert head.deviation(x) == pytest.approx(np.sqrt(np.einsum("nd,de,ne->n", x, covariance, x)))


def test_an_ensemble_draws_prompts_and_not_comparisons() -> None:
    x, y = comparisons()
    one = ensemble(x, y, ["the same"] * 40, 1.0, 4, np.random.default_rng(0))
    assert np.ptp(one, axis=0).max() == 0 and one[0] == pytest.approx(fit(x, y, 1.0).weights)
    apart = ensemble(x, y, [str(i) for i in range(40)], 1.0, 200, np.random.default_rng(0))
    # Of one feature alone, the bootstrap's spread is known: that of the estimate itself.
    assert 0.3 < apart[:, 0].std() / math.sqrt(np.linalg.inv(fit(x, y, 1.0).precision)[0, 0]) < 2
