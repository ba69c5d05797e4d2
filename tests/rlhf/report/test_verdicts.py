"""What an evaluation's metrics are read as."""

from __future__ import annotations

import made_up_run as made_up
import pytest

from rlhf.report.verdicts import Comparison, accuracies, cell, comparisons, figures, flat, policies

METRICS = made_up.manifests()["report"]["metrics"]


def test_the_first_judge_of_a_policy_comes_first_and_a_rule_is_called_a_rule():
    found = comparisons(METRICS, "sft")
    assert [(c.policy, c.judge, c.by, c.words) for c in found] == [
        ("dpo", "brevity", "a rule", "0.77 [0.70, 0.83]"),
        ("dpo", "reward_model", "a reward model", "0.61 [0.49, 0.72]"),
    ]
    assert found[0].notes == ["64 prompts", "47 wins", "5 ties", "12 losses"]


def test_one_is_not_spoken_of_as_many():
    rate = {"mean": 0.5, "low": 0.4, "high": 0.6}
    (found,) = comparisons({"dpo": {"j": {"win_rate": rate, "n": 2, "wins": 1, "ties": 0, "losses": 1}}}, "sft")
    assert found.notes == ["2 prompts", "1 win", "0 ties", "1 loss"]


def test_a_judge_that_goes_by_another_name_is_known_by_its_scorer():
    rate = {"win_rate": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    (found,) = comparisons({"dpo": {"strict": rate}}, "sft", {"strict": "llm_judge"})
    assert (found.judge, found.by) == ("strict", "a language model")


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.51, 0.9, "dpo is preferred"),
        (0.1, 0.49, "sft is preferred"),
        (0.49, 0.9, "no clear difference"),
        (0.5, 0.5, "no clear"),
    ],
)
def test_only_an_interval_on_one_side_of_one_half_says_something(low, high, says):
    assert (
        says
        in Comparison("dpo", "sft", "j", "a rule", {"mean": (low + high) / 2, "low": low, "high": high}, []).reading
    )


def test_figures_are_a_table_with_the_baseline_first():
    assert policies(METRICS, "sft")[:2] == ["sft", "dpo"]
    table = {f.name: f.cells for f in figures(METRICS)}
    assert table["finished"] == {"dpo": "58%", "sft": "3%"}
    assert table["perplexity"] == {"dpo": "8.91", "sft": "6.2"}
    assert "win rate" not in table
    assert "accuracy" not in table


def test_an_accuracy_stands_beside_that_of_length():
    (found,) = accuracies({"reward": {"accuracy": {"mean": 0.7, "low": 0.66, "high": 0.74}, "length_accuracy": 0.683}})
    assert (found.where, found.words, found.length_words) == ("reward", "0.70 [0.66, 0.74]", "0.68")
    assert "not clearly better than length" in found.reading


def test_the_difference_on_the_same_pairs_decides_where_it_was_measured():
    """Two intervals may overlap although on the same pairs one is always better."""
    figures = {
        "accuracy": {"mean": 0.7, "low": 0.6, "high": 0.8},
        "length_accuracy": {"mean": 0.65, "low": 0.55, "high": 0.75},
        "over_length": {"mean": 0.05, "low": 0.01, "high": 0.09},
    }
    (found,) = accuracies(figures)
    assert "knows more than length" in found.reading
    (found,) = accuracies({**figures, "over_length": {"mean": 0.05, "low": -0.01, "high": 0.11}})
    assert "not clearly better" in found.reading


def test_a_length_that_is_wrong_most_of_the_time_is_turned_round():
    (found,) = accuracies(
        {"accuracy": {"mean": 0.9, "low": 0.8, "high": 0.95}, "length_accuracy": {"mean": 0.1, "low": 0, "high": 0.2}}
    )
    assert "the shorter answer wins” would get 0.90" in found.reading
    assert "not clearly better" in found.reading


def test_all_metrics_are_listed_as_gates_name_them():
    found = dict(flat({"dpo": {"win_rate": {"mean": 0.7, "low": 0.6, "high": 0.8}, "n": 3}, "left": None}))
    assert found == {"dpo.win_rate": "0.70 [0.60, 0.80]", "dpo.n": "3", "left": "–"}


def test_a_share_is_shown_in_percent_and_a_length_is_not():
    assert cell("finished", 0.583) == "58%"
    assert cell("tokens", 0.5) == "0.5"
