"""The table of defaults in the documentation is the classes' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.recipe.defaults import COLUMNS, table, written
from rlhf.steps.dpo import Dpo
from rlhf.steps.grpo import Grpo
from rlhf.steps.orpo import Orpo
from rlhf.steps.sft import Sft

PAGE = Path(__file__).parents[3] / "docs" / "training.md"


def rows() -> dict[tuple[str, str], dict[str, str]]:
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table().splitlines()[2:]]
    return {(step, tune): dict(zip(COLUMNS, rest, strict=True)) for step, tune, *rest in cells}


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "run: python -m rlhf.recipe.defaults docs/training.md"


def test_it_says_what_a_step_without_settings_does() -> None:
    found = rows()
    for name, cls in (("sft", Sft), ("dpo", Dpo), ("orpo", Orpo)):
        for tune in ("lora", "full"):
            step = cls.model_validate({"data": "d", "tune": tune})
            assert float(found[name, tune]["learning_rate"]) == step.learning_rate
            assert int(found[name, tune]["max_length"]) == step.max_length
    grpo = Grpo.model_validate({"prompts": "p", "rewards": ["brevity"]})
    assert found["grpo", "lora"]["num_generations"] == str(grpo.num_generations)
    assert found["grpo", "lora"]["loss_type"] == grpo.loss_type
    assert found["grpo", "lora"]["max_length"] == ""  # it has no such key


def test_every_method_is_in_it() -> None:
    assert {step for step, _ in rows()} >= {
        "sft",
        "reward",
        "dpo",
        "kto",
        "orpo",
        "cpo",
        "rloo",
        "grpo",
        "ppo",
        "distill",
    }


def test_a_page_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="lacks one of the marks"):
        written("# Train\n")
