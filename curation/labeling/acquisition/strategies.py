"""Which records to ask people about next, by what a reward head knows and is unsure of.

    random        the order of a hash: what every other strategy has to beat
    margin        where the head is least sure which answer wins (uncertainty sampling, Lewis and Gale 1994)
    disagreement  where heads fitted on bootstrap samples of the labels differ most (query by committee, Seung et al.
                  1992, Abe and Mamitsuka 1998)
    d_optimal     the batch that adds most to the log-determinant of the labels' Fisher information on the last layer
                  (Shen, Sun and Ton 2025, arXiv 2502.04354, the design that knows of past labels)
    delta_ucb     where one answer may be better by most: the upper bound of the gap (DeltaUCB of Melikidze et al. 2026,
                  arXiv 2603.09692)
    thompson      a head drawn from the posterior names the best answer, another one the worst (double reverse Thompson
                  sampling, the same paper)

The last two are published as the choice of two answers to a given prompt. Here the prompts are chosen too, with the
same measure: the prompt of the greatest bound, or of the greatest gap between the two drawn rewards. The bound is that
of the gap itself: heads know how the rewards of two answers move together.

All but `d_optimal`, which sees for itself what a batch holds already, take at most one record a prompt before they take
a second one. Equal records are taken in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curation.conversation import digest
from curation.labeling.acquisition import Strategy
from curation.labeling.acquisition.head import Array, Head, ensemble, fit_evident
from curation.labeling.acquisition.pool import Record, Verdicts

MEMBERS = 16
"""Heads of an ensemble."""
BETA = 1.0
"""Standard deviations that a bound lies above the mean; the value of the paper's own code."""
_DRAWS = 30
"""Pairs of heads that are drawn for one place of a batch before what is left is filled up by hash."""


@dataclass(frozen=True)
class Belief:
    """What the labels so far say."""

    head: Head
    members: Array
    """(MEMBERS, features) weights of the bootstrap ensemble."""

    @classmethod
    def of(cls, points: Array, verdicts: Verdicts, seed: int) -> Belief:
        """Fits the head and its ensemble.

        Args:
            points: (answers, features), as `points_of` gives them.
        """
        differences, outcomes = verdicts.differences(points), verdicts.results()
        head = fit_evident(differences, outcomes)
        rng = np.random.default_rng([seed, len(verdicts)])
        return cls(head, ensemble(differences, outcomes, verdicts.prompts, head.ridge, MEMBERS, rng))


def choose(
    strategy: Strategy, records: Sequence[Record], points: Array, belief: Belief, count: int, seed: int
) -> list[str]:
    """The ids of the next batch, in the order in which they were chosen.

    Args:
        records: What has not been asked yet, in any order.
        points: (answers, features), as `points_of` gives them.
        count: How many; all records where there are fewer.
        seed: For `random` and `thompson`; the others draw nothing.
    """
    pool = sorted(records, key=lambda r: r.id)
    count = min(count, len(pool))
    if strategy == "random":
        return by_hash([r.id for r in pool], seed)[:count]
    if strategy == "d_optimal":
        return _d_optimal(pool, points, belief.head, count)
    if strategy == "thompson":
        return _thompson(pool, points, belief.head, count, seed)
    return _one_a_prompt(pool, SCORES[strategy](pool, points, belief), count)


def by_hash(ids: Sequence[str], seed: int) -> list[str]:
    """The ids in an order that is as good as random, in which the place of one does not depend on the others."""
    return sorted(ids, key=lambda i: digest("acquire", str(seed), i))


def _pairs(pool: Sequence[Record], points: Array) -> tuple[Array, Array]:
    """((pairs, features) differences of all pairs of all records, (pairs,) the record that each belongs to)."""
    flat = [(k, a, b) for k, record in enumerate(pool) for a, b in record.pairs]
    owner, first, second = np.array(flat, dtype=np.int64).reshape(-1, 3).T
    return points[first] - points[second], owner


def _mean(values: Array, owner: Array, count: int) -> Array:
    """(count,) The mean of each record's values."""
    found: Array = np.bincount(owner, values, count) / np.maximum(np.bincount(owner, minlength=count), 1)
    return found


def margin(pool: Sequence[Record], points: Array, belief: Belief) -> Array:
    """(records,) Minus the distance of a probability from one half, the mean over a record's pairs."""
    differences, owner = _pairs(pool, points)
    return _mean(-np.abs(belief.head.probability(differences) - 0.5), owner, len(pool))


def disagreement(pool: Sequence[Record], points: Array, belief: Belief) -> Array:
    """(records,) Variance over the ensemble of the probability, the mean over a record's pairs."""
    differences, owner = _pairs(pool, points)
    chances = 1 / (1 + np.exp(-(differences @ belief.members.T)))
    return _mean(chances.var(axis=1), owner, len(pool))


def delta_ucb(pool: Sequence[Record], points: Array, belief: Belief) -> Array:
    """(records,) Upper bound of the gap between two answers, whichever is the better one; of a record's pairs the
    greatest.
    """
    differences, owner = _pairs(pool, points)
    bound = np.abs(belief.head.gap(differences)) + BETA * belief.head.deviation(differences)
    found = np.full(len(pool), -np.inf)
    np.maximum.at(found, owner, bound)
    return found


SCORES: dict[str, Callable[[Sequence[Record], Array, Belief], Array]] = {
    "margin": margin,
    "disagreement": disagreement,
    "delta_ucb": delta_ucb,
}


def _one_a_prompt(pool: Sequence[Record], scores: Array, count: int) -> list[str]:
    """The records of the highest scores; a prompt's second record comes after the first of every other prompt."""
    turn: dict[str, int] = {}
    places: list[tuple[int, int]] = []
    for k in sorted(range(len(pool)), key=lambda k: (-scores[k], pool[k].id)):
        places.append((turn.get(pool[k].prompt, 0), k))
        turn[pool[k].prompt] = turn.get(pool[k].prompt, 0) + 1
    places.sort(key=lambda place: place[0])  # stable
    return [pool[k].id for _, k in places[:count]]


def gains(pool: Sequence[Record], points: Array, head: Head, covariance: Array) -> Array:
    """(records,) What asking about each would add to the log-determinant of the information.

    The Fisher information of a comparison is p (1 - p) x x', for the difference x of its answers and the probability p
    that one of them is chosen. With the inverse A of the information so far, a record whose pairs have the rows
    C = sqrt(p (1 - p)) x adds log det(I + C A C') (the matrix determinant lemma).
    """
    found = np.zeros(len(pool))
    by_size: dict[int, list[int]] = {}
    for k, record in enumerate(pool):
        by_size.setdefault(len(record.pairs), []).append(k)
    for size, places in by_size.items():
        rows = _rows([pool[k] for k in places], points, head).reshape(len(places), size, -1)
        inner = rows @ covariance @ rows.transpose(0, 2, 1)
        found[places] = np.linalg.slogdet(np.eye(size) + inner)[1]
    return found


def _rows(pool: Sequence[Record], points: Array, head: Head) -> Array:
    """(pairs, features) The difference of each pair, by the root of what its verdict tells."""
    differences, _ = _pairs(pool, points)
    chance = head.probability(differences)
    return np.asarray(differences * np.sqrt(chance * (1 - chance))[:, None])


def _d_optimal(pool: Sequence[Record], points: Array, head: Head, count: int) -> list[str]:
    """Greedily, the record that adds most to what is known with the batch so far. The log-determinant is submodular, so
    a greedy batch is worth at least 1 - 1/e of the best one (Nemhauser, Wolsey and Fisher 1978).
    """
    covariance = np.linalg.inv(head.precision)
    left = list(pool)
    taken: list[str] = []
    while len(taken) < count:
        best = int(gains(left, points, head, covariance).argmax())  # the first of equal ones: `pool` is in order
        record = left.pop(best)
        taken.append(record.id)
        rows = _rows([record], points, head)
        reach = covariance @ rows.T
        covariance = covariance - reach @ np.linalg.solve(np.eye(len(rows)) + rows @ reach, reach.T)
    return taken


def _thompson(pool: Sequence[Record], points: Array, head: Head, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng([seed, len(pool), count])
    left = {record.id: record for record in pool}
    taken: list[str] = []
    prompts: set[str] = set()
    while len(taken) < count:
        fresh = [r for r in left.values() if r.prompt not in prompts]
        if not fresh:
            prompts.clear()
            continue
        found = next(filter(None, (_drawn(fresh, points, head, rng) for _ in range(_DRAWS))), None)
        found = found or left[by_hash([r.id for r in fresh], seed)[0]]
        taken.append(found.id)
        prompts.add(found.prompt)
        del left[found.id]
    return taken


def _drawn(records: Sequence[Record], points: Array, head: Head, rng: np.random.Generator) -> Record | None:
    """The record of the greatest gap between the answer that one drawn head finds best and the one that another finds
    worst, each among a prompt's answers; None where every prompt's two are the same one, or stand in no record.
    """
    answers: dict[str, list[int]] = {}
    for record in records:
        known = answers.setdefault(record.prompt, [])
        known += [a for a in record.answers if a not in known]
    up, down = head.draw(2, rng)
    best: tuple[float, Record] | None = None
    extremes: dict[str, tuple[int, int, float]] = {}
    for prompt, own in answers.items():
        apart = points[own] - points[own].mean(axis=0)
        high, low = apart @ up, apart @ down
        i, j = int(high.argmax()), int(low.argmin())
        if i != j:
            extremes[prompt] = (own[i], own[j], float(high[i] - low[j]))
    for record in records:
        if record.prompt in extremes:
            i, j, gap = extremes[record.prompt]
            if i in record.answers and j in record.answers and (best is None or gap > best[0]):
                best = (gap, record)
    return best[1] if best else None
