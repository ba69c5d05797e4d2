"""Fractions: TRL's numbers, and rows by hash."""

from __future__ import annotations

import hashlib
import random

import pytest

from curation.errors import RecipeError
from curation.sources import mixture


@pytest.mark.parametrize(
    ("counts", "fractions", "expected"),
    [
        ([100, 100], [0.5, 0.5], [100, 100]),
        ([1000, 100], [0.5, 0.5], [100, 100]),
        ([1000, 100], [0.9, 0.1], [900, 100]),
        ([1000, 100], [9, 1], [900, 100]),  # relative to each other
        ([30, 50, 20], [0.2, 0.5, 0.3], [13, 33, 20]),  # 20 / 0.3 = 66.7 in all
    ],
)
def test_shares_are_the_largest_mixture_without_repetition(
    counts: list[int], fractions: list[float], expected: list[int]
) -> None:
    assert mixture.shares(counts, fractions) == expected


def test_a_single_data_set_gives_that_share_of_itself() -> None:
    assert mixture.shares([200], [0.25]) == [50]


def marks(count: int) -> list[mixture.Mark]:
    return [(hashlib.sha256(str(i).encode()).hexdigest()[:32], "d", i) for i in range(count)]


def test_which_rows_are_taken_depends_neither_on_their_order_nor_on_what_comes_later() -> None:
    rows = marks(1000)
    chosen = {m for m, kept in zip(rows, mixture.taken(rows, 300), strict=True) if kept}
    assert len(chosen) == 300
    assert 110 < sum(i < 500 for _, _, i in chosen) < 190  # not the first ones
    shuffled = random.Random(1).sample(rows, 1000)
    assert {m for m, kept in zip(shuffled, mixture.taken(shuffled, 300), strict=True) if kept} == chosen
    fewer = {m for m, kept in zip(rows, mixture.taken(rows, 200), strict=True) if kept}
    assert fewer < chosen


def test_the_choice_is_apart_from_one_that_hashes_ids_without_the_salt() -> None:
    rows = marks(1000)
    chosen = [int(m[0], 16) / 2**128 for m, kept in zip(rows, mixture.taken(rows, 500), strict=True) if kept]
    assert 0.4 < sum(x < 0.5 for x in chosen) / 500 < 0.6


def test_fractions_are_for_all_or_for_none() -> None:
    mixture.check([None, None])
    mixture.check([2, 1])
    for wrong in ([0.5, None], [1.5]):
        with pytest.raises(RecipeError):
            mixture.check(wrong)
