"""A package that somebody else wrote, really installed: its operator, format and step work by name and by import path.

The package is `plugin_package/`, and its code is what `docs/extend.md` shows.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from curation import table

HERE = Path(__file__).parent
PACKAGE = HERE / "plugin_package"
ROWS = [{"q": "What is up?", "a": "The sky!!!!"}, {"q": "What is down?", "a": "The ground."}, {"q": "And?", "a": ""}]

CURATES = """
recipe: acme
steps:
  asked: {{step: ingest, makes: conversations, datasets: [{{path: rows.jsonl, format: {format}, license: cc0-1.0}}]}}
  calm: {{step: curate, data: asked, operators: [{operator}, {{keep: "shouting < 3"}}]}}
"""

MIXES = """
recipe: acme
steps:
  asked: {{step: ingest, makes: conversations, datasets: [{{path: rows.jsonl, format: acme/qa, license: cc0-1.0}}]}}
  one: {{step: pretrain, data: asked, vocab_size: 300, hidden_size: 32, num_attention_heads: 2, max_steps: 2, seed: 1}}
  two: {{step: pretrain, data: asked, vocab_size: 300, hidden_size: 32, num_attention_heads: 2, max_steps: 2, seed: 2}}
  mixed: {{step: {step}, policies: [one, two]}}
"""

JUDGES = """
recipe: acme
steps:
  asked: {{step: ingest, makes: conversations, datasets: [{{path: rows.jsonl, format: acme/qa, license: cc0-1.0}}]}}
  one: {{step: pretrain, data: asked, vocab_size: 300, hidden_size: 32, num_attention_heads: 2, max_steps: 2}}
  two: {{step: pretrain, data: asked, vocab_size: 300, hidden_size: 32, num_attention_heads: 2, max_steps: 3}}
  answers: {{step: sample, prompts: asked, policy: one, num_generations: 2}}
  pairs: {{step: compare, data: answers, decided_by: {operator}}}
  report: {{step: evaluate, policies: [one], baseline: two, prompts: asked, judges: [{operator}]}}
"""


TRAINS = """
recipe: acme
steps:
  asked: {{step: ingest, makes: conversations, datasets: [{{path: chats.jsonl, format: acme/qa, license: cc0-1.0}}]}}
  one: {{step: pretrain, data: asked, vocab_size: 300, hidden_size: 32, num_attention_heads: 2, max_steps: 2, seed: 1}}
  plain: {{step: sft, data: asked, policy: one, lora_r: 4, max_steps: 4, global_batch_size: 4}}
  same: {{step: {focal}, data: asked, policy: one, lora_r: 4, max_steps: 4, global_batch_size: 4, focus: 0}}
  focal: {{step: {focal}, data: asked, policy: one, lora_r: 4, max_steps: 4, global_batch_size: 4}}
  rl:
    step: {reinforce}
    prompts: asked
    policy: focal
    rewards: [{operator}]
    reward_weights: [-1.0]
    max_steps: 1
    num_ppo_epochs: 1
    global_batch_size: 4
    max_completion_length: 8
    lora_r: 4
"""


class Place:
    """A folder with a recipe and rows, and the command with the package installed."""

    def __init__(self, site: Path, folder: Path) -> None:
        self.site, self.folder = site, folder
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def rlhf(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RLHF_")} | {
            "PYTHONPATH": str(self.site)
        }
        command = [sys.executable, "-m", "rlhf.cli", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == exit_code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def recipe(self, text: str, **names: str) -> None:
        (self.folder / "acme.yaml").write_text(text.format(**names))

    def steps(self, verb: str) -> dict[str, dict[str, Any]]:
        """What `plan` or `show` says about each step."""
        found: dict[str, dict[str, Any]] = json.loads(self.rlhf(verb, "acme.yaml", "--json").stdout)["steps"]
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip installed the package."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(site), str(PACKAGE)], check=True)
    return site


@pytest.fixture
def place(site: Path, tmp_path: Path) -> Place:
    return Place(site, tmp_path)


def test_an_operator_and_a_format_by_name_and_by_import_path_share_a_key(place: Place) -> None:
    place.recipe(CURATES, operator="acme/shouting", format="acme/qa")
    place.rlhf("run", "acme.yaml")
    named = place.steps("plan")
    place.recipe(CURATES, operator="acme_rlhf.ops:Shouting", format="acme_rlhf.formats:QA")
    by_path = place.steps("plan")
    assert {name: step["state"] for name, step in by_path.items()} == {"asked": "cached", "calm": "cached"}
    assert {step["key"] for step in by_path.values()} == {step["key"] for step in named.values()}


def test_they_do_what_they_say(place: Place) -> None:
    """One record has no answer; of the other two, one shouts with four exclamation marks."""
    place.recipe(CURATES, operator="acme/shouting", format="acme/qa")
    place.rlhf("run", "acme.yaml")
    rows = table.rows(Path(place.steps("show")["calm"]["path"]))
    assert [(row.prompt[0].content, row.reply, row.scores) for row in rows] == [
        ("What is down?", "The ground.", {"shouting": 0.0})
    ]
    assert "no_question_or_answer" in place.rlhf("show", "acme.yaml", "asked", "--json").stdout


def test_a_step_that_makes_a_policy_by_name_and_by_import_path(place: Place) -> None:
    place.recipe(MIXES, step="acme/soup")
    place.rlhf("run", "acme.yaml")
    named = place.steps("plan")
    place.recipe(MIXES, step="acme_rlhf.steps:Soup")
    by_path = place.steps("plan")
    assert {step["state"] for step in by_path.values()} == {"cached"}
    assert by_path["mixed"]["key"] == named["mixed"]["key"]

    shown = place.steps("show")
    one, two, mixed = (load_file(Path(shown[n]["path"]) / "model.safetensors") for n in ("one", "two", "mixed"))
    assert any((one[name] != two[name]).any() for name in one)
    for name in one:
        np.testing.assert_allclose(mixed[name], (one[name] + two[name]) / 2, rtol=1e-6)


def test_a_method_of_training_a_reward_and_a_variant_of_ppo(place: Place) -> None:
    """With a focus of 0 the focal loss is the likelihood of `sft`; with more, every token costs less (1 - p < 1)."""
    rows = [{"q": f"What is {i}?", "a": f"It is {i}, and after it comes {i + 1}."} for i in range(8)]
    (place.folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {"focal": "acme/focal", "reinforce": "acme/reinforce", "operator": "acme/shouting"}
    place.recipe(TRAINS, **names)
    place.rlhf("run", "acme.yaml")
    shown = {name: step.get("metrics") or {} for name, step in place.steps("show").items()}
    for loss in ("loss_first", "loss_last"):
        assert shown["same"][loss] == pytest.approx(shown["plain"][loss], abs=1e-5)
        assert 0 < shown["focal"][loss] < shown["plain"][loss]
    assert shown["rl"]["updates"] == 1
    assert shown["rl"]["reward_first"] <= 0

    places = {"focal": "Focal", "reinforce": "Reinforce"}
    by_path = {name: f"acme_rlhf.methods:{cls}" for name, cls in places.items()}
    place.recipe(TRAINS, **by_path, operator="acme_rlhf.ops:Shouting")
    assert {step["state"] for step in place.steps("plan").values()} == {"cached"}


@pytest.mark.parametrize("operator", ["acme/shouting", "acme_rlhf.ops:Shouting"])
def test_the_same_class_decides_pairs_and_judges(place: Place, operator: str) -> None:
    place.recipe(JUDGES, operator=operator)
    place.rlhf("check", "acme.yaml")


def test_a_plugin_that_does_not_import_hurts_nobody_else(place: Place) -> None:
    place.recipe(CURATES, operator="acme/shouting", format="acme/qa")
    place.rlhf("check", "acme.yaml")
    place.recipe(CURATES, operator="acme/broken", format="acme/qa")
    said = place.rlhf("check", "acme.yaml", exit_code=2).stderr
    assert "acme/broken" in said
    assert "a_module_that_nobody_has" in said
    assert re.search(r"acme\.yaml:5\b", said), "the line of the recipe"


def test_a_near_miss_names_the_plugin(place: Place) -> None:
    place.recipe(CURATES, operator="acme/shoutin", format="acme/qa")
    assert "acme/shouting" in place.rlhf("check", "acme.yaml", exit_code=2).stderr


def test_the_documentation_shows_this_code() -> None:
    text = (HERE.parent / "docs" / "extend.md").read_text()
    shown = dict(re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", text, flags=re.DOTALL))
    modules = ("ops", "formats", "steps", "methods", "trainers")
    assert set(shown) == {*(f"acme_rlhf/{name}.py" for name in modules), "pyproject.toml"}
    for file, code in shown.items():
        real = (PACKAGE / file).read_text()
        if file == "pyproject.toml":  # from the entry points on, without the plugin that is broken on purpose
            real = "".join(
                line for line in real[real.index("[project.entry-points") :].splitlines(True) if "broken" not in line
            )
        assert code == real, file
