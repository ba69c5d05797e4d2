"""The order of the rows: of (seed, epoch) alone, every row once, batches of like lengths."""

from __future__ import annotations

import random

from rlhf.training.order import BatchOrder


def lengths(n: int = 500) -> list[int]:
    rng = random.Random(1)
    return [int(rng.lognormvariate(4.5, 0.6)) + 1 for _ in range(n)]  # skewed, as chats are


def padded(order: list[int], sizes: list[int], batch: int) -> float:
    """Padded tokens by real tokens."""
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    return sum(len(b) * max(sizes[i] for i in b) for b in batches) / sum(sizes)


def test_each_row_comes_once_an_epoch_and_epochs_differ() -> None:
    order = BatchOrder(lengths(), 8, seed=3)
    first, second = order.order(0), order.order(1)
    assert sorted(first) == sorted(second) == list(range(500))
    assert first != second
    assert first == BatchOrder(lengths(), 8, seed=3).order(0)
    assert first != BatchOrder(lengths(), 8, seed=4).order(0)


def test_batches_of_like_lengths_pad_little() -> None:
    sizes = lengths()
    grouped = padded(BatchOrder(sizes, 8, 0).order(0), sizes, 8)
    random_order = padded(BatchOrder(sizes, 8, 0, by_length=False).order(0), sizes, 8)
    assert grouped < 1.15
    assert random_order > 1.4


def test_long_batches_are_not_kept_for_one_end() -> None:
    sizes = lengths()
    order = BatchOrder(sizes, 8, 0).order(0)
    halves = order[:250], order[250:]
    means = [sum(sizes[i] for i in half) / len(half) for half in halves]
    assert 0.7 < means[0] / means[1] < 1.4


def test_the_batch_that_is_not_full_comes_last() -> None:
    order = BatchOrder(lengths(21), 8, 0).order(0)
    assert len(order) == 21
    sizes = lengths(21)
    assert max(sizes[i] for i in order[:8]) / min(sizes[i] for i in order[:8]) < 4


def test_the_sampler_follows_the_epoch_that_it_is_told() -> None:
    order = BatchOrder(lengths(40), 8, 0)
    order.set_epoch(2)
    assert list(order) == order.order(2)


def test_seen_counts_the_rows_of_the_steps_made() -> None:
    order = BatchOrder([1] * 20, 8, 0)  # 3 steps an epoch: 8, 8, 4
    assert order.seen(1, [1] * 20) == 8
    assert order.seen(3, [1] * 20) == 20
    assert order.seen(4, [1] * 20) == 28
    assert order.seen(6, [1] * 20) == 40
