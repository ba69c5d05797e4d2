"""Check: what is missing beside the recipe, and what is unwise, without reading data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf.recipe.check import check

Write = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("kind_steps")

TEXT = """\
base: {model_name_or_path: org/model, chat_template_path: package:nobody_has_this/t.jinja}
steps:
  chats: {step: ingest, datasets: [{path: chats.jsonl}, {path: org/on-the-hub}]}
  sft: {step: sft, data: chats, num_train_epochs: 100}
  answers: {step: sample, prompts: chats, policy: sft}
  human: {step: compare, data: answers, guidelines: helpful.md}
"""


def test_missing_files_are_named_with_their_lines_and_hub_names_are_left_alone(write: Write) -> None:
    found = [(p.place.line, p.path) for p in check(write(TEXT)).problems]
    assert found == [
        (1, "base.chat_template_path"),
        (3, "steps.chats.datasets.0.path"),
        (6, "steps.human.guidelines"),
    ]


def test_they_are_reported_beside_what_else_is_wrong(write: Write) -> None:
    found = [p.path for p in check(write(TEXT.replace("num_train_epochs", "num_epochs"))).problems]
    assert found[-2:] == ["steps.sft.num_epochs", "steps.human.guidelines"]


def test_a_steps_own_advice_is_a_warning(write: Write) -> None:
    assert [(w.place.line, w.what) for w in check(write(TEXT)).warnings] == [(4, "that is a long way to learn")]


def test_nothing_is_wrong_once_the_files_are_there(write: Write) -> None:
    for name in ("chats.jsonl", "helpful.md", "t.jinja"):
        write("x", name)
    assert not check(write(TEXT.replace("package:nobody_has_this/", ""))).problems
