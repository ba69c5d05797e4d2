"""Batches: frozen in the log, held out by prompt and hash, and a curve that is a function of what was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.conversation import Answer, Candidates, Message
from curation.labeling.acquisition.batches import Batch, Batches, Pool, learn
from curation.labeling.consensus import agreed
from curation.labeling.tasks import Compared
from rlhf.recipe.caches import Labels


def asked(prompts: int = 10, answers: int = 2, ask: str | None = None) -> Compared:
    rows = [
        Candidates(prompt=(Message("user", f"q{p}"),), answers=tuple(Answer(f"{p}: {'x' * a}") for a in range(answers)))
        for p in range(prompts)
    ]
    return Compared.about(rows, ask)


def test_a_batch_is_in_the_log_and_belongs_to_the_step_and_its_guidelines(tmp_path: Path) -> None:
    first = Batches(Labels(tmp_path), "human", "")
    first.add("held_out", ["b", "a"])
    first.add("margin", ["c"])
    again = Batches(Labels(tmp_path), "human", "")
    assert again.all == first.all == [Batch("held_out", ("b", "a")), Batch("margin", ("c",))]
    assert again.items == {"a", "b", "c"}
    assert Batches(Labels(tmp_path), "human", "other").all == Batches(Labels(tmp_path), "people", "").all == []
    assert [line["batch"] for line in Labels(tmp_path).read("batches")] == [0, 1]


def test_prompts_are_held_out_whole_and_by_a_hash() -> None:
    pool = Pool.of(asked(answers=3, ask="pairs").items)
    assert len(pool.records) == 30 and len(pool.chats) == 30 and sorted(pool.lengths[:3]) == [3, 4, 5]
    nine = pool.held_out(9, 1)
    assert len({pool.records[key].prompt for key in nine}) == 3
    assert pool.held_out(12, 1)[:9] == nine and pool.held_out(9, 2) != nine
    some = asked(8, 3, "pairs").items
    kept = [key for key in nine if key in some]
    assert Pool.of(some).held_out(9, 1)[: len(kept)] == kept  # rows that went move nobody else


def test_a_ranking_says_every_pair_and_a_skip_nothing() -> None:
    rankings = asked(2, 3)
    pool = Pool.of(rankings.items)
    first, second = rankings.items
    said = {first: {"ann": (2, 1, 1)}, second: {"ann": "skip"}}
    verdicts = pool.verdicts(agreed(rankings.rankings(said))[0], rankings.items)
    a, b, c = pool.records[first].answers
    found = list(zip(verdicts.first, verdicts.second, verdicts.outcomes, strict=True))
    assert found == [(a, b, 0.0), (a, c, 0.0), (b, c, 0.5)]


def test_what_is_held_out_is_never_learned_from_and_what_was_said_before_is() -> None:
    pool = Pool.of(asked(12).items)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(24, 3))
    keys = list(pool.records)
    test, early, first, second = keys[:4], keys[4:6], keys[6:9], keys[9:]
    batches = [Batch("held_out", tuple(test)), Batch("margin", tuple(first)), Batch("margin", tuple(second))]
    ranks = dict.fromkeys(keys, (1, 2))
    answers = dict.fromkeys(keys, 1)
    found = learn(pool, points, ranks, answers, test, batches, 0)
    assert [p.answers for p in found.curve] == [6, 9, 12]
    other = {**ranks, **dict.fromkeys(test, (2, 1))}
    flipped = learn(pool, points, other, answers, test, batches, 0)
    assert (flipped.belief.head.weights == found.belief.head.weights).all()
    assert [p.accuracy for p in flipped.curve] == [1 - p.accuracy for p in found.curve]
    without = learn(pool, points, ranks, {k: 1 for k in keys if k not in early}, test, batches, 0)
    assert [p.answers for p in without.curve] == [4, 7, 10]
    assert not np.allclose(without.belief.head.weights, found.belief.head.weights)
