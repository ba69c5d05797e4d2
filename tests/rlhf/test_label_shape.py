"""What `rlhf label push` says of a file before anything is put up, and what its flags mean for the step."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from curation.errors import RecipeError, UserError
from curation.formats.auto import Auto
from rlhf.cli import label_push
from rlhf.cli.label_shape import look

CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
PAIR = {"prompt": "p", "chosen": "x", "rejected": "y"}
SEVERAL = {"prompt": "p", "answers": ["x", "y", "z"]}
ALONE = {"prompt": "p"}


def wrote(tmp_path: Path, *rows: Any, name: str = "mine.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("question", "row"),
    [("compare", PAIR), ("compare", SEVERAL), ("rate", CHAT), ("review", CHAT), ("rate", PAIR)],
)
def test_a_file_that_fits_is_warned_of_with_nothing(tmp_path: Path, question: str, row: Any) -> None:
    assert look(wrote(tmp_path, row, row), question, Auto()) == ""


@pytest.mark.parametrize(
    ("question", "row", "seen", "fits"),
    [
        ("compare", CHAT, "it holds `messages`, which `compare` cannot ask about", "`--question rate or review`"),
        ("compare", {"prompt": "p", "response": "r"}, "`prompt`, `response`", "`--question rate or review`"),
        ("rate", SEVERAL, "`prompt`, `answers`", "`--question compare`"),
        ("review", ALONE, "`prompt`", ""),
        ("rate", "hello", "no JSON object but 'hello'", ""),
        ("compare", {"colour": 1}, "`colour`", ""),
    ],
)
def test_a_file_of_another_shape_names_the_line_what_stands_there_and_what_fits(
    tmp_path: Path, question: str, row: Any, seen: str, fits: str
) -> None:
    with pytest.raises(UserError) as error:
        look(wrote(tmp_path, "", row), question, Auto())
    assert error.value.what.startswith("mine.jsonl, line 2: ") and seen in error.value.what
    assert error.value.hint.startswith(f"`{question}` needs ")
    assert fits in error.value.hint and bool(fits) == ("would fit" in error.value.hint)


def test_some_lines_of_another_shape_are_warned_of(tmp_path: Path) -> None:
    said = look(wrote(tmp_path, PAIR, CHAT, PAIR, ALONE), "compare", Auto())
    assert said.startswith("mine.jsonl, line 2 and 1 more are left out: it holds `messages`")
    assert "`--question rate or review` would fit it" in said
    table = wrote(tmp_path, "prompt,chosen,rejected", "p,x,y", name="mine.csv")
    assert look(table, "compare", Auto()) == ""


def settings(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    label_push.arguments(parser)
    return label_push.step_settings(parser.parse_args(["file.jsonl", *words]))


def test_flags_are_settings_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--question", "rate", "--aspects", "help=one can go on, with it", "--aspects", "truth,care")
    assert settings(*words) == {"aspects": {"help": "one can go on, with it", "truth": "", "care": ""}}
    words = ("--question", "review", "--reasons", "wrong, rude", "--gold", "known.jsonl", "--gold-items", "3")
    gold = {"gold_file": str(tmp_path / "known.jsonl"), "gold_items": 3}
    assert settings(*words) == {"reasons": ["wrong", "rude"], **gold}
    words = ("--question", "compare", "--ask", "pairs", "--cross-prompt", "4", "--set", "consensus=majority")
    assert settings(*words) == {"ask": "pairs", "cross_prompt": 4, "consensus": "majority"}
    assert settings("--question", "rate", "--set", "aspects={help: yes}") == {"aspects": {"help": "yes"}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--question", "compare", "--aspects", "help"), "--aspects is for `--question rate`, and here it is compare"),
        (("--question", "rate", "--reasons", "wrong"), "--reasons is for `--question review`"),
        (("--question", "rate", "--cross-prompt", "2"), "--cross-prompt is for `--question compare`"),
        (("--question", "rate", "--set", "a.b=2"), "a setting of the step is one word"),
    ],
)
def test_a_flag_of_another_question_says_whose_it_is(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        settings(*words)
