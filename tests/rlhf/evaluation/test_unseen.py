"""Length, end and repetition of answers."""

from __future__ import annotations

import pytest

from curation.conversation import Answer
from rlhf.evaluation.unseen import figures, repetition


def test_repetition_is_the_share_of_groups_that_came_before() -> None:
    words = "a b c d a b c d".split()  # groups: abcd bcda cdab dabc abcd: one of five came before
    assert repetition(words) == pytest.approx(1 / 5)
    assert repetition("to be or not to be".split()) == 0.0
    assert repetition(["la"] * 20) == pytest.approx(1 - 1 / 17)
    assert repetition(["too", "short"]) == 0.0


def test_means_over_answers() -> None:
    found = figures([Answer("One two three."), Answer("So so so so SO", finished=False), Answer(" ")])
    assert found["finished"] == pytest.approx(2 / 3)
    assert found["words"] == pytest.approx((3 + 5 + 0) / 3)
    assert found["repetition"] == pytest.approx((0 + 1 / 2 + 0) / 3)  # capital letters are no other word
    assert found["empty"] == pytest.approx(1 / 3)


def test_words_of_scripts_without_spaces_are_counted() -> None:
    found = figures([Answer("天空是蓝色的天空是蓝色的")])
    assert found["words"] == 12 and found["repetition"] == pytest.approx(3 / 9)
