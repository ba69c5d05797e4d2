"""Every YAML below `recipes/` is read by this test; nothing that is shipped goes unread."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rlhf.cli import main
from rlhf.recipe import shipped
from rlhf.recipe.load import load

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(path.relative_to(RECIPES).as_posix() for path in RECIPES.rglob("*.y*ml"))
PROFILES = [file for file in FILES if file.startswith("profiles/")]
NAMES = [file.removesuffix(".yaml") for file in FILES if file not in PROFILES]


def test_there_is_something_to_read() -> None:
    full = {
        "alpaca",
        "alpaca-data",
        "vicuna",
        "less-is-more",
        "gpt4all",
        "koala",
        "openassistant",
        "gsm8k",
        "stack",
        "llama-adapter",
        "distill",
        "cerebras-gpt",
        "rounds",
    }
    there = {"smoke", "quickstart", "openassistant-vi", *full, *(f"mini/{name}" for name in full)}
    assert there <= set(NAMES)


def test_the_command_knows_them_all() -> None:
    assert sorted(shipped.recipes()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_well_formed_typed_and_wired(name: str) -> None:
    assert load(name).steps


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_needs_and_what_to_expect(name: str) -> None:
    """Hardware, hours and cost are what people choose by, so they stand first."""
    said = load(name).head_comment
    for word in ("Hardware:", "Hours:", "Cost:", "What to expect:"):
        assert re.search(rf"{word} \S", said), f"the comment at the top of {name}.yaml does not say {word}"


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_planned_before_anything_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No network is asked, but for the newest commit of a set without a revision."""
    monkeypatch.setattr("curation.sources.hub.commit", lambda name, revision: "0" * 40)
    assert main(["plan", name, "--store", str(tmp_path), "--json"]) == 0
    states = {step: found["state"] for step, found in json.loads(capsys.readouterr().out)["steps"].items()}
    assert states.keys() == load(name).steps.keys()
    assert set(states.values()) <= {"runs", "unknown"} and "runs" in states.values()


UNPINNED = {
    "gpt4all": {"nomic-ai/gpt4all_prompt_generations_with_p3"},
    "koala": {"laion/OIG", "openai/webgpt_comparisons", "CarperAI/openai_summarize_comparisons"},
}
"""Sets whose commit nobody has looked up yet. A run warns and prints the line that pins what it read."""


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_from_a_hub_is_pinned(name: str) -> None:
    """A name without a commit would be another model, or other data, one day."""
    loose = set()
    for _, owner in maps(load(name).settings):
        for field, revision in (("model_name_or_path", "model_revision"), ("path", "revision")):
            written = str(owner.get(field, ""))
            outside = re.fullmatch(r"[\w.-]+/[\w.-]+", written) and not written.startswith((".", "data/"))
            if outside and not re.fullmatch(r"[0-9a-f]{40}", str(owner.get(revision))):
                loose.add(written)
    assert loose == UNPINNED.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_what_it_reads_has_a_licence(name: str) -> None:
    for place, owner in maps(load(name).settings):
        for entry in owner.get("datasets", ()):
            assert entry.get("license"), f"{place}.datasets: {entry.get('path')} has no license"


def test_every_profile_goes_with_a_recipe() -> None:
    for file in PROFILES:
        load("smoke", profile=RECIPES / file)


def maps(value: object, place: str = "") -> list[tuple[str, dict[str, object]]]:
    """Every mapping in plain data, with its place."""
    if isinstance(value, dict):
        return [(place, value), *(found for key, item in value.items() for found in maps(item, f"{place}.{key}"))]
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in maps(item, f"{place}.{i}")]
    return []
