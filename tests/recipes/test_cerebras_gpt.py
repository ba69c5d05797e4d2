"""`recipes/cerebras-gpt.yaml`: what is said before a run, and the run in miniature, at 20 tokens a weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.cli import main
from rlhf.recipe.door import Recipe
from rlhf.recipe.load import load


def test_it_is_the_table_of_cerebras_gpt() -> None:
    step: Any = load("cerebras-gpt").steps["gpt"]
    assert step.parametrization == "mup"
    assert (step.mup_base_width, step.embedding_multiplier) == (256, 10)
    assert (step.learning_rate, step.initializer_range, step.tokens_per_parameter) == (6e-3, 0.08, 20)
    small: Any = load("mini/cerebras-gpt").steps["gpt"]
    assert small.learning_rate == step.learning_rate  # at another width, which is what muP is for


def test_plan_prints_the_compute_optimal_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As for the published model of 111M: 2.2 billion tokens."""
    assert main(["plan", "cerebras-gpt", "--store", str(tmp_path), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["steps"]["gpt"]["outlook"]
    weights, tokens = (int(said.split(word)[0].split()[-1].replace(",", "")) for word in (" weights", " tokens ("))
    assert tokens == 20 * weights
    assert tokens == pytest.approx(2.2e9, rel=0.02)
    assert main(["plan", "mini/cerebras-gpt", "--store", str(tmp_path)]) == 0
    assert "compute-optimal" in " ".join(capsys.readouterr().out.split())


def test_the_mini_learns_the_shape_of_a_chat(tmp_path: Path) -> None:
    made = Recipe.load("mini/cerebras-gpt", set={"gpt.tokens_per_parameter": 2}, store=tmp_path / "store").run()
    found = made["gpt"].manifest.metrics
    assert found["tokens_per_parameter"] == pytest.approx(2, rel=0.02)
    assert found["compute_optimal_tokens"] == 20 * found["parameters"]
    assert found["loss_last"] < 0.75 * found["loss_first"]
