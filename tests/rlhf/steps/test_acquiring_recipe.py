"""A label budget as its user meets it: the base reads the answers, runs wait, and the budget is met."""

from __future__ import annotations

from pathlib import Path

import asking_room
import pytest

from rlhf import Recipe
from rlhf.recipe.load import load

RECIPE = """
recipe: budget
seed: 3
base: {{model_name_or_path: {base}}}
steps:
  chats: {{step: ingest, makes: conversations, datasets: [{{path: chats.jsonl, format: messages, license: mit}}]}}
  answers: {{step: sample, prompts: chats, num_generations: 2, max_completion_length: 12}}
  human: {{step: compare, data: answers, acquire: margin, held_out: 4, batch: 3, max_answers: 7}}
"""


@pytest.fixture
def recipe(tmp_path: Path, micro: Path) -> Path:
    return asking_room.recipe(tmp_path, RECIPE, micro)


def test_the_base_reads_the_answers_unless_another_policy_is_named(recipe: Path) -> None:
    loaded = load(recipe)
    assert set(loaded.needs("human")) == {"answers", "base"} and loaded.steps["human"].model_dump()["seed"] == 3
    plain = recipe.with_name("plain.yaml")
    plain.write_text(recipe.read_text().replace("acquire: margin, held_out: 4, batch: 3, ", ""))
    assert load(plain).needs("human") == ("answers",)


def further_on(row: dict[str, str]) -> str:
    """Which answer comes later in the alphabet."""
    return "a" if row["answer_a"] > row["answer_b"] else "b"


@pytest.mark.heavy
def test_a_recipe_waits_batch_by_batch_until_the_budget_is_spent(recipe: Path, tmp_path: Path) -> None:
    store, sizes, said = tmp_path / "store", [], []
    for _ in range(3):
        run = Recipe.load(recipe, store=store).run()
        said.append(run.result.outcomes["human"].message)
        if run.exit_code == 0:
            break
        assert run.exit_code == 3
        sizes.append(asking_room.fill_all(store / "labeling" / "human", further_on))
    assert sizes == [4, 3] and said[0] == "batch 1: 0 of 4 answered"
    assert said[1].startswith("batch 2: 4 of 7 answered; held-out accuracy after 4: ")
    assert len(run["human"].dataset()) == 7
    assert [p["answers"] for p in run["human"].manifest.pictures["label_budget"]["points"]] == [4, 7]
