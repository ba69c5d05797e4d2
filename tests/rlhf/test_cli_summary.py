"""What a run ends with: who won as judged by whom, two answers side by side, what length alone would get."""

from __future__ import annotations

from typing import Any

import pytest

from rlhf.cli import summary, table
from rlhf.recipe.manifest import Made, Manifest

RATE = {"mean": 0.7711, "low": 0.702, "high": 0.829}
ESCAPES = "\x1b[31mred\x1b[0m \x07 end"


def evaluation(**more: Any) -> Manifest:
    fields = {
        "key": "k",
        "step": "evaluate",
        "name": "report",
        "settings": {"judges": [{"op": "brevity", "as_": None}, {"op": "reward_model", "as_": "second"}]},
        "sources": {"baseline": "sft", "policies.0": "dpo"},
        "output": Made(kind="evaluation", digest="d" * 64),
        "metrics": {
            "dpo": {
                "brevity": {"win_rate": RATE, "n": 64, "ties": 5},
                "second": {"win_rate": {"mean": 0.5, "low": 0.4, "high": 0.6}, "n": 64},
                "win_rate": RATE,
                "finished": 0.58,
            },
            "sft": {"finished": 0.03},
            "rewards": {"judge": {"accuracy": RATE, "length_accuracy": {"mean": 0.683, "low": 0.6, "high": 0.7}}},
        },
        "examples": [
            {"prompt": "same?", "answers": {"sft": "yes", "dpo": "yes"}, "verdict": "tie"},
            {"prompt": "Why?", "answers": {"sft": "Because " * 30, "dpo": "Because."}, "verdict": "dpo"},
        ],
    }
    return Manifest.model_validate({**fields, **more})


def test_each_judge_is_a_line_that_says_what_kind_of_judge_it_is() -> None:
    assert summary.verdict_lines(evaluation()) == [
        "dpo against sft: win rate 0.77 [0.70, 0.83], judged by brevity (a rule), 64 prompts",
        "dpo against sft: win rate 0.50 [0.40, 0.60], judged by second (a reward model), 64 prompts",
        "judge ranks pairs rightly: 0.77 [0.70, 0.83], length alone 0.68",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_two_answers_stand_side_by_side(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "width", lambda: width)
    lines = summary.side_by_side(evaluation()).splitlines()
    assert lines[1] == "asked: Why?" and all(len(line) <= min(width, 120) for line in lines)
    left, right = lines[2].split("|")
    assert (left.strip(), right.strip()) == ("sft", "dpo")
    left, right = lines[3].split("|")
    assert left.strip().startswith("Because Because") and right.strip() == "Because."


def test_an_example_in_which_all_say_the_same_shows_nothing() -> None:
    assert summary.side_by_side(evaluation(examples=evaluation().examples[:1])) == ""


def test_text_of_rows_cannot_steer_the_terminal() -> None:
    hostile = [{"prompt": ESCAPES, "answers": {"a": ESCAPES, "b": "x\r\ny\u202eZ"}, "verdict": ""}]
    shown = summary.side_by_side(evaluation(examples=hostile))
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(shown)


def test_columns_line_up_and_the_last_one_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "width", lambda: 40)
    assert table.columns([["a", "one two three four five six seven"], ["long", "x"]], ["name", "why"]).splitlines() == [
        "name  why",
        "a     one two three four five six seven",
        "long  x",
    ]
    wrapped = table.columns([["name", "one two three four five six seven eight nine"]]).splitlines()
    assert wrapped == ["name  one two three four five six seven", "      eight nine"]
