"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from rlhf.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012_345, "0.0123"),
        (0.000_2, "0.0002"),
        (12.0, "12"),
        (1_204, "1,204"),
        (123_456.7, "123,457"),
        (8.914, "8.91"),
        (True, "yes"),
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "-∞"),
        (1e-7, "1e-07"),
        ("text", "text"),
    ],
)
def test_a_number_keeps_three_digits_that_matter(value, text):
    assert words.number(value) == text


def test_an_interval_is_written_as_the_command_line_writes_it():
    from rlhf.recipe.headline import interval

    found = {"mean": 0.7749, "low": 0.7, "high": 0.8321}
    assert words.interval(found) == interval(found) == "0.77 [0.70, 0.83]"
    assert words.interval({"mean": 0.5, "low": None, "high": None}) == "0.50"


def test_a_zero_has_no_minus():
    assert words.interval({"mean": 0.0, "low": -1e-17, "high": 0.35}) == "0.00 [0.00, 0.35]"


def test_times_and_sizes():
    assert [words.duration(s) for s in (0.04, 42.4, 307, 7391, None)] == ["0.0 s", "42 s", "5:07", "2:03:11", "–"]
    assert [words.megabytes(mb) for mb in (0.0124, 812.3, 2140, 0)] == ["12 kB", "812 MB", "2.1 GB", "–"]
    assert words.moment(1_700_000_000) == "2023-11-14 22:13 UTC"


def test_only_what_is_known_to_be_more_than_a_rule_is_called_more():
    assert words.decider("people") == "people"
    assert words.decider("reward_model") == "a reward model"
    assert words.decider("llm_judge") == "a language model"
    assert words.decider("brevity") == "a rule"
    assert words.decider("my_pkg.ops:Wise") == "a rule"
