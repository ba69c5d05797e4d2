"""The JSON Schema agrees with the loader: what one accepts, the other does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from rlhf.recipe import shipped
from rlhf.recipe.document import read
from rlhf.recipe.schema import recipe_schema

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    found = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("name", shipped.recipes())
def test_every_shipped_recipe_is_valid(schema: jsonschema.Draft202012Validator, name: str) -> None:
    tree, _ = read(shipped.recipes()[name])
    assert [f"{list(e.path)}: {e.message}" for e in schema.iter_errors(tree.plain())] == []


GOOD = {
    "recipe": "x",
    "steps": {
        "chats": {"step": "ingest", "makes": "conversations", "datasets": [{"path": "a.jsonl", "format": "sharegpt"}]},
        "curated": {"step": "curate", "data": "chats", "operators": ["words", {"turns": {"min": 2}}, "acme.ops:Own"]},
        "sft": {"step": "sft", "data": ["curated"], "policy": "base", "learning_rate": 1e-4},
        "own": {"step": "acme/soup", "anything": [1]},
    },
}


def test_lists_may_be_one_value_and_plugins_are_a_name_or_a_name_with_settings(
    schema: jsonschema.Draft202012Validator,
) -> None:
    assert not list(schema.iter_errors(GOOD))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(sead=1),
        lambda r: r["steps"]["sft"].update(lerning_rate=1),
        lambda r: r["steps"]["sft"].update(learning_rate="fast"),
        lambda r: r["steps"]["sft"].update(step="stf"),
        lambda r: r["steps"]["sft"].pop("step"),
        lambda r: r["steps"]["sft"].pop("data"),
        lambda r: r["steps"]["chats"]["datasets"][0].update(format="sharegtp"),
        lambda r: r["steps"]["curated"]["operators"].append("wrods"),
        lambda r: r["steps"]["curated"]["operators"].append({"turns": {"mn": 1}}),
        lambda r: r["steps"]["curated"]["operators"].append({"turns": {}, "words": {}}),
        lambda r: r.update(budget={"usd": -1}),
        lambda r: r.update(seed=-1),
        lambda r: r.pop("steps"),
    ],
)
def test_what_the_loader_refuses_an_editor_underlines(schema: jsonschema.Draft202012Validator, change: Change) -> None:
    recipe = copy.deepcopy(GOOD)
    change(recipe)
    assert list(schema.iter_errors(recipe))


def test_a_key_comes_with_its_sentence(schema: jsonschema.Draft202012Validator) -> None:
    """The sentence under a field is what the editor shows; it is written in the class, and inherited with the field."""
    sft = schema.schema["$defs"]["Sft"]["properties"]
    assert "optimizer step" in sft["global_batch_size"]["description"]
    assert "highest learning rate" in sft["learning_rate"]["description"]
