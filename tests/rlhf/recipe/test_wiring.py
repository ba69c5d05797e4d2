"""Wiring: every edge leads somewhere, carries what it should, and nothing goes in circles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf.recipe.load import load
from rlhf.recipe.problem import RecipeProblems

Write = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("kind_steps")

ROWS = """\
base: {model_name_or_path: org/model}
steps:
  chats: {step: ingest, datasets: [{path: x}]}
  ranked: {step: ingest, makes: preferences, datasets: [{path: x}]}
  sft: {step: sft, data: chats}
  reward: {step: reward, data: ranked}
"""


def wrong(path: Path) -> list[str]:
    with pytest.raises(RecipeProblems) as caught:
        load(path)
    return [f"{p.place.line} {p.path}: {p.what} | {p.hint}" for p in caught.value.problems]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            "{step: dpo, data: ranked, policy: reward}",
            "needs policy, but 'reward' makes reward model | steps that make policy: base, sft",
        ),
        ("{step: dpo, data: [ranked, chats]}", "data.1: needs preferences, but 'chats' makes conversations"),
        ("{step: sample, prompts: chats, policies: [sft, ranked]}", "policies.1: needs policy, but 'ranked'"),
        ("{step: export, policy: sft, gate: sft}", "no step of this recipe makes evaluation"),
        ("{step: dpo, data: ranked, policy: sft.train}", "'sft.train' asks for a part of a policy"),
        (
            "{step: evaluate, policies: sft, prompts: chats, judges: [{reward_model: {reward: sft}}]}",
            "judges.0.reward_model.reward: needs reward model, but 'sft' makes policy",
        ),
        ("{step: curate, data: [chats, ranked]}", "chats makes conversations, ranked makes preferences"),
        ("{step: curate, data: sft}", "needs rows, but 'sft' makes policy"),
        ("{step: sft, data: chats.train, policy: rewrad}", "there is no step 'rewrad' | did you mean 'reward'?"),
        ("{step: sft, data: x}", "x: the steps go in a circle: x needs x"),
    ],
)
def test_an_edge_that_does_not_fit(write: Write, step: str, said: str) -> None:
    found = wrong(write(ROWS + f"  x: {step}\n"))
    assert len(found) == 1 and found[0].startswith("7 steps.x") and said in found[0]


def test_parts_of_data_sets_and_what_curate_makes_of_its_input(write: Write) -> None:
    text = "  pairs: {step: curate, data: ranked}\n  dpo: {step: dpo, data: pairs.train, policy: sft}\n"
    loaded = load(write(ROWS + text))
    assert loaded.kinds["pairs"].name == "preferences" and loaded.edges["dpo"][1].part == "train"


def test_a_cycle_is_printed(write: Write) -> None:
    text = """\
base: {model_name_or_path: org/model}
steps:
  answers: {step: sample, prompts: chats, policy: dpo}
  pairs: {step: compare, data: answers}
  dpo: {step: dpo, data: pairs}
  chats: {step: ingest, datasets: [{path: x}]}
"""
    found = wrong(write(text))
    assert len(found) == 1
    assert "answers needs dpo needs pairs needs answers" in found[0] and found[0].startswith("3 ")


def test_the_base_is_missed_by_name(write: Write) -> None:
    text = "steps: {chats: {step: ingest, datasets: [{path: x}]}, sft: {step: sft, data: chats, policy: base}}"
    assert "add `base: {model_name_or_path: ...}`" in wrong(write(text))[0]


def test_each_step_comes_after_what_it_needs_and_else_in_the_files_order(write: Write) -> None:
    text = """\
steps:
  late: {step: curate, data: curated}
  curated: {step: curate, data: chats}
  other: {step: ingest, datasets: [{path: x}]}
  chats: {step: ingest, datasets: [{path: x}]}
"""
    assert load(write(text)).order == ("chats", "curated", "late", "other")


def test_what_nobody_uses_is_fine(write: Write) -> None:
    assert load(write(ROWS)).order == ("base", "chats", "ranked", "sft", "reward")


def test_a_step_that_is_wrong_does_not_make_its_neighbours_wrong(write: Write) -> None:
    found = wrong(write(ROWS.replace("makes: preferences", "makes: prefs")))
    assert len(found) == 1 and "'conversations' or 'preferences', not 'prefs'" in found[0]
