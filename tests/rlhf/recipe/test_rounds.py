"""`rounds: N`: one setting runs answers, labels and training again on the last policy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "steps"))

import asking_room

from curation.models.lineage import Lineage
from rlhf import Recipe
from rlhf.cli import main
from rlhf.recipe.load import LoadedRecipe, load
from rlhf.recipe.problem import RecipeProblems
from rlhf.recipe.run import Choice

RECIPE = """
recipe: rounds
seed: 3
base: {{model_name_or_path: {base}}}
steps:
  chats: {{step: ingest, makes: conversations, datasets: [{{path: chats.jsonl, format: messages, license: mit}}]}}
  prompts: {{step: curate, data: chats, operators: [{{split: {{test: 0.4}}}}]}}
  answers: {{step: sample, prompts: prompts.train, policy: base, num_generations: 2, max_completion_length: 10}}
  human: {{step: compare, data: answers, decided_by: brevity}}
  reward: {{step: reward, data: human, policy: base, lora_r: 2, max_steps: 1, global_batch_size: 4}}
  dpo:
    {{step: dpo, data: human, rounds: 2, lora_r: 2, max_steps: 2, learning_rate: 3e-3, global_batch_size: 4}}
  report: {{step: evaluate, policies: [dpo_1, dpo], baseline: base, prompts: prompts.test, judges: [brevity],
           max_completion_length: 8, require: "dpo.win_rate.mean >= 0"}}
"""


@pytest.fixture
def recipe(tmp_path: Path, micro: Path) -> Path:
    return asking_room.recipe(tmp_path, RECIPE, micro)


def needs(loaded: LoadedRecipe) -> dict[str, list[str]]:
    return {name: sorted({ref.step for ref in loaded.edges[name]}) for name in loaded.order}


def test_each_round_begins_with_the_policy_of_the_one_before(recipe: Path) -> None:
    loaded = load(recipe, sets=["dpo.rounds=3"])
    found = needs(loaded)
    assert [name for name in found if name.startswith("dpo")] == ["dpo_1", "dpo_2", "dpo_3"]
    assert found["answers_1"] == ["base", "prompts"] and found["dpo_1"] == ["base", "human_1"]
    assert found["answers_3"] == ["dpo_2", "prompts"] and found["dpo_3"] == ["dpo_2", "human_3"]
    assert str(loaded.steps["answers_3"].prompts) == "prompts.train"  # type: ignore[attr-defined]
    # What no round needs reads the last: here a reward model of the base, on the last labels.
    assert found["reward"] == ["base", "human_3"] and "reward_1" not in found
    assert found["report"] == ["base", "dpo_1", "dpo_3", "prompts"]
    assert loaded.steps["report"].names == {"dpo_1": "dpo_1", "dpo_3": "dpo", "base": "base"}  # type: ignore[attr-defined]
    assert loaded.called("dpo") == "dpo_3" and loaded.called("dpo_1") == "dpo_1" and loaded.called("chats") == "chats"
    assert loaded.find("steps", "human_2").place.line == loaded.find("steps", "human").place.line


def test_a_hundred_rounds_are_looked_through_once(recipe: Path) -> None:
    """Each round can be reached in two ways, and so the first in two to the power of a hundred."""
    loaded = load(recipe, sets=["dpo.rounds=100", "report.require=null"])
    wanted = Choice(until="dpo").called(loaded).names(loaded)
    assert wanted == loaded.steps.keys() - {"reward", "report"} and len(wanted) == 3 + 3 * 100


def test_a_reward_model_on_the_way_is_a_part_of_each_round(recipe: Path) -> None:
    text = recipe.read_text().partition("  dpo:")[0]
    ppo = "  ppo: {step: ppo, prompts: prompts, policy: base, rewards: [{reward_model: {reward: reward}}], rounds: 2}\n"
    recipe.write_text(text + ppo)
    found = needs(load(recipe))
    assert found["ppo_1"] == ["base", "prompts", "reward_1"] and found["reward_1"] == ["base", "human_1"]
    assert found["ppo_2"] == ["ppo_1", "prompts", "reward_2"] and found["reward_2"] == ["human_2", "ppo_1"]


def test_rounds_of_one_are_a_round_and_none_are_none(recipe: Path) -> None:
    assert "dpo_1" in load(recipe, sets=["dpo.rounds=1"]).steps
    plain = load(recipe, sets=["dpo.rounds=null", "report.policies=dpo"])
    assert not plain.rounds and "dpo" in plain.steps


def test_what_another_step_calls_rounds_is_its_own(recipe: Path) -> None:
    evolved = "  harder: {step: evol_instruct, prompts: prompts, policy: base, rounds: 3}\n"
    recipe.write_text(recipe.read_text() + evolved)
    loaded = load(recipe)
    assert loaded.steps["harder"].model_dump()["rounds"] == 3 and "harder_1" not in loaded.steps
    assert {one.step for one in loaded.rounds.values()} == {"answers", "human", "dpo"}


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        (["dpo.rounds=0"], "greater than or equal to 1", ""),
        (["reward.rounds=2", "dpo.rounds=null"], "this makes a reward model", "trains the policy"),
        (["reward.rounds=2"], "and one step of a recipe can have them", "a recipe of its own"),
        (["dpo.data=pairs"], "every round would be the same", "step: sample, policy: base"),
        (["report.policies=dpo_7", "report.require=null"], "there is no step 'dpo_7'", "dpo_"),
    ],
)
def test_what_cannot_be_repeated_is_said_with_its_line(recipe: Path, changes: list[str], said: str, hint: str) -> None:
    more = "  pairs: {step: ingest, makes: preferences, datasets: [{path: chats.jsonl, license: mit}]}\n"
    recipe.write_text(recipe.read_text() + more)
    with pytest.raises(RecipeProblems) as caught:
        load(recipe, sets=changes)
    (problem,) = caught.value.problems
    assert said in problem.what and hint in problem.hint
    assert problem.place.line or problem.place.flag


def test_a_name_that_a_round_needs_must_be_free(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "  human_2: {step: compare, data: answers, decided_by: brevity}\n")
    with pytest.raises(RecipeProblems, match="need the name 'human_2'"):
        load(recipe)


def keys(run: Any) -> dict[str, str]:
    return {name: outcome.key for name, outcome in run.result.outcomes.items()}


def test_the_shipped_recipe_runs_and_more_rounds_leave_the_first_as_they_are(
    micro: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    small: dict[str, Any] = {"base.model_name_or_path": str(micro), "base.model_revision": None, "sft.max_steps": 1}
    small |= {"answers.max_prompts": 6, "answers.max_completion_length": 10, "dpo.learning_rate": 3e-3}
    small |= {"dpo.max_steps": 2, "report.max_prompts": 4, "report.max_completion_length": 8}
    two = Recipe.load("mini/rounds", store=store, set=small).run(until="report")
    assert two["dpo"].path == two["dpo_2"].path != two["dpo_1"].path
    first, second = (Lineage.read(Path(two[f"dpo_{n}"].path)) for n in (1, 2))
    assert second.stack == (*first.stack, Path(two["dpo_1"].path).name)  # trained on the policy of round 1
    said = [{answer["content"] for row in two[f"answers_{n}"].dataset()["answers"] for answer in row} for n in (1, 2)]
    assert said[0] != said[1]  # another policy answers
    assert {"dpo_1", "dpo"} <= two["report"].manifest.metrics.keys()
    assert [two[f"human_{n}"].manifest.decided_by for n in (1, 2)] == ["brevity", "brevity"]

    three = Recipe.load("mini/rounds", store=store, set={**small, "dpo.rounds": 3}).run(until="dpo")
    before, after = keys(two), keys(three)
    rounds = [f"{name}_{n}" for name in ("answers", "human", "dpo") for n in (1, 2)]
    assert all(after[name] == before[name] and three.result.outcomes[name].state == "cached" for name in rounds)
    assert three.result.outcomes["dpo_3"].state == "done"
    assert three.result.outcomes["report"].state == "skipped"  # `until` means the last round, and what it needs

    capsys.readouterr()
    flags = ["--store", str(store), *(word for k, v in small.items() for word in ("--set", f"{k}={json.dumps(v)}"))]
    assert main(["show", "mini/rounds", "dpo", "--json", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "dpo_2"
    assert main(["report", "mini/rounds", *flags, "--set", "dpo.rounds=3"]) == 0
    page = max((store / "runs" / "mini-rounds").glob("*.html")).read_text()
    section = page.partition('<section id="rounds">')[2].partition("</section>")[0]
    for n in (1, 2, 3):
        assert f"round {n}<" in section and f'href="#step-dpo_{n}"' in section
    assert section.count("decided by brevity, a rule") == 3 and "loss " in section


def shorter(row: dict[str, str]) -> str:
    return "a" if len(row["answer_a"]) <= len(row["answer_b"]) else "b"


def test_where_people_label_the_run_waits_in_each_round(recipe: Path, tmp_path: Path) -> None:
    store, waited = tmp_path / "store", []
    changes = {"human.decided_by": "people"}
    for _ in range(3):
        run = Recipe.load(recipe, store=store, set=changes).run(until="dpo")
        if run.exit_code == 0:
            break
        assert run.exit_code == 3
        (waiting,) = [name for name, outcome in run.result.outcomes.items() if outcome.state == "waiting"]
        waited.append(waiting)
        assert asking_room.fill_all(store / "labeling" / waiting, shorter) > 0
    assert waited == ["human_1", "human_2"] and run.exit_code == 0
    assert run["human_2"].manifest.decided_by == "people"
    log = [json.loads(line) for file in (store / "labels").rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(log) >= len(run["human_1"].dataset()) + len(run["human_2"].dataset())
