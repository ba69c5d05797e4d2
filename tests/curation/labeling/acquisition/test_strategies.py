"""Each strategy against what its definition says, computed the long way on sets small enough for that."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import multivariate_normal

from curation.labeling.acquisition import STRATEGIES
from curation.labeling.acquisition.head import Head, fit
from curation.labeling.acquisition.pool import Record, Verdicts
from curation.labeling.acquisition.strategies import BETA, MEMBERS, Belief, choose


def a_pool(prompts: int = 6, answers: int = 3, width: int = 4, seed: int = 0) -> tuple[list[Record], np.ndarray]:
    """Every pair of every prompt as a record of its own."""
    points = np.random.default_rng(seed).normal(size=(prompts * answers, width))
    records = [
        Record(f"r{p}-{a}{b}", f"p{p}", (p * answers + a, p * answers + b))
        for p in range(prompts)
        for a, b in combinations(range(answers), 2)
    ]
    return records, points


def a_belief(points: np.ndarray, labels: int = 12, seed: int = 1) -> tuple[Belief, Verdicts]:
    rng = np.random.default_rng(seed)
    said = Verdicts()
    for k in range(labels):
        i, j = rng.choice(len(points), 2, replace=False)
        said.add(int(i), int(j), float(rng.integers(0, 2)), f"other {k}")
    return Belief.of(points, said, seed), said


def apart(records: list[Record], points: np.ndarray) -> np.ndarray:
    return np.array([points[r.answers[0]] - points[r.answers[1]] for r in records])


def one_of_each_prompt(ids: list[str]) -> bool:
    return len({i.partition("-")[0] for i in ids}) == len(ids)


def test_margin_takes_what_is_nearest_to_one_half() -> None:
    records, points = a_pool(answers=2, prompts=20)
    belief, _ = a_belief(points)
    p = expit(apart(records, points) @ belief.head.weights)
    nearest = [records[k].id for k in np.argsort(np.abs(p - 0.5))[:5]]
    assert choose("margin", records, points, belief, 5, 0) == nearest


def test_disagreement_takes_the_largest_variance_of_the_ensemble() -> None:
    records, points = a_pool(answers=2, prompts=20)
    belief, _ = a_belief(points)
    assert len(belief.members) == MEMBERS
    votes = [[expit(d @ w) for w in belief.members] for d in apart(records, points)]
    most = [records[k].id for k in np.argsort([-np.var(v) for v in votes])[:5]]
    assert choose("disagreement", records, points, belief, 5, 0) == most


def test_delta_ucb_takes_the_greatest_upper_bound_of_the_gap() -> None:
    records, points = a_pool(answers=2, prompts=20)
    belief, _ = a_belief(points)
    covariance = np.linalg.inv(belief.head.precision)
    bounds = [abs(d @ belief.head.weights) + BETA * np.sqrt(d @ covariance @ d) for d in apart(records, points)]
    most = [records[k].id for k in np.argsort(bounds)[::-1][:5]]
    assert choose("delta_ucb", records, points, belief, 5, 0) == most


def information(record: Record, points: np.ndarray, head: Head) -> np.ndarray:
    """Fisher information of a record, from the definition."""
    total = np.zeros_like(head.precision)
    for a, b in record.pairs:
        d = points[a] - points[b]
        p = expit(d @ head.weights)
        total += p * (1 - p) * np.outer(d, d)
    return total


@pytest.mark.parametrize("rankings", [False, True])
def test_d_optimal_adds_the_most_information_at_every_place(rankings: bool) -> None:
    records, points = a_pool(prompts=8)
    if rankings:  # of three answers each, beside the pairs
        records += [Record(f"z{p}", f"p{p}", (3 * p, 3 * p + 1, 3 * p + 2)) for p in range(8)]
    belief, said = a_belief(points)
    known = belief.head.precision
    by_hand = belief.head.ridge * np.eye(4)
    for d in said.differences(points):
        p = expit(d @ belief.head.weights)
        by_hand += p * (1 - p) * np.outer(d, d)
    assert known == pytest.approx(by_hand)  # past labels count
    wanted, left = [], list(records)
    for _ in range(5):
        best = max(left, key=lambda r: np.linalg.slogdet(known + information(r, points, belief.head))[1])
        known = known + information(best, points, belief.head)
        left.remove(best)
        wanted.append(best.id)
    assert choose("d_optimal", records, points, belief, 5, 0) == wanted


def test_a_greedy_design_is_near_the_best_of_all_batches() -> None:
    records, points = a_pool(prompts=4, width=3)
    belief, _ = a_belief(points)
    before = np.linalg.slogdet(belief.head.precision)[1]

    def gained(batch: tuple[Record, ...]) -> float:
        total = belief.head.precision + sum(information(r, points, belief.head) for r in batch)
        return float(np.linalg.slogdet(total)[1] - before)

    best = max(map(gained, combinations(records, 3)))
    taken = choose("d_optimal", records, points, belief, 3, 0)
    assert gained(tuple(r for r in records if r.id in taken)) >= (1 - 1 / np.e) * best


def test_d_optimal_compares_across_prompts_as_well() -> None:
    """Answers to two prompts that point in new directions are worth more than any pair within one."""
    points = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 5.0], [0.1, 5.0]])
    within = [Record("within 1", "p1", (0, 1)), Record("within 2", "p2", (2, 3))]
    belief = Belief(fit(np.zeros((0, 2)), np.zeros(0), 1.0), np.zeros((1, 2)))
    assert choose("d_optimal", [*within, Record("across", "p1 p2", (0, 2))], points, belief, 1, 0) == ["across"]


def orthant(head: Head, points: np.ndarray, i: int) -> float:
    """Probability that answer `i` is the best under a drawn head, by the bivariate normal distribution."""
    others = [j for j in range(3) if j != i]
    worse = np.array([points[j] - points[i] for j in others])
    covariance = worse @ np.linalg.inv(head.precision) @ worse.T
    return float(multivariate_normal(worse @ head.weights, covariance).cdf(np.zeros(2)))


def test_thompson_draws_pairs_with_the_probability_that_they_are_best_and_worst() -> None:
    records, points = a_pool(prompts=1, width=3, seed=5)
    belief, _ = a_belief(points, labels=6)
    best = [orthant(belief.head, points, i) for i in range(3)]
    worst = [orthant(Head(-belief.head.weights, belief.head.precision, 1.0), points, i) for i in range(3)]
    both = 1 - sum(b * w for b, w in zip(best, worst, strict=True))
    seen = Counter(choose("thompson", records, points, belief, 1, seed)[0] for seed in range(3000))
    for i, j in combinations(range(3), 2):
        expected = (best[i] * worst[j] + best[j] * worst[i]) / both
        assert seen[f"r0-{i}{j}"] / 3000 == pytest.approx(expected, abs=0.03)


def test_thompson_takes_the_prompt_whose_drawn_gap_is_greatest() -> None:
    sure = Head(np.array([1.0]), np.array([[1e12]]), 1.0)
    points = np.array([[0.0], [1.0], [0.0], [3.0], [0.0], [2.0]])
    records = [Record(f"r{k}", f"p{k}", (2 * k, 2 * k + 1)) for k in range(3)]
    belief = Belief(sure, np.zeros((1, 1)))
    assert choose("thompson", records, points, belief, 3, 0) == ["r1", "r2", "r0"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_a_function_of_the_set_and_the_seed(strategy: str) -> None:
    records, points = a_pool()
    belief, said = a_belief(points)
    taken = choose(strategy, records, points, belief, 6, 7)
    assert len(set(taken)) == 6 and taken == choose(strategy, records[::-1], points, Belief.of(points, said, 1), 6, 7)
    assert sorted(choose(strategy, records, points, belief, 99, 7)) == sorted(r.id for r in records)
    assert choose(strategy, [], points, belief, 3, 7) == []
    if strategy not in ("random", "d_optimal"):
        assert one_of_each_prompt(taken)  # six prompts, so none twice


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s not in ("random", "thompson")])
def test_equal_records_come_in_the_order_of_their_ids(strategy: str) -> None:
    points = np.tile([[0.0, 0.0], [1.0, 1.0]], (5, 1))
    records = [Record(f"r{k}", f"p{k}", (2 * k, 2 * k + 1)) for k in (3, 1, 4, 0, 2)]
    belief = Belief.of(points, Verdicts(), 0)
    taken = choose(strategy, records, points, belief, 5, 0)
    assert taken == ["r0", "r1", "r2", "r3", "r4"]


def test_random_keeps_its_order_when_records_come_and_go() -> None:
    records, points = a_pool()
    belief, _ = a_belief(points)
    whole = choose("random", records, points, belief, 99, 3)
    some = [r for r in records if r.prompt != "p2"]
    assert choose("random", some, points, belief, 99, 3) == [i for i in whole if not i.startswith("r2-")]
    assert whole != choose("random", records, points, belief, 99, 4)
