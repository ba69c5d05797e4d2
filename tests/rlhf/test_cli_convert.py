"""`rlhf convert`: a file of another tool becomes a recipe that `rlhf check` takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]

THEIRS = "model_name_or_path: org/base\ndataset_name: org/chats\nuse_peft: true\nlogging_steps: 5\n"


def test_the_recipe_is_printed_under_what_was_left_out(rlhf: Run) -> None:
    Path("sft.yaml").write_text(THEIRS)
    code, out, err = rlhf("convert", "--from", "trl", "--method", "sft", "sft.yaml")
    assert code == 0 and err == ""
    head, _, recipe = out.partition("recipe: sft\n")
    assert all(line.startswith("#") for line in head.splitlines()) and "logging_steps: " in head
    assert "model_name_or_path: org/base" in recipe


def test_a_written_recipe_passes_check_and_is_never_overwritten(rlhf: Run) -> None:
    Path("sft.yaml").write_text(THEIRS)
    words = ("convert", "--from", "trl", "--method", "sft", "sft.yaml", "--out", "made/ours.yaml")
    assert rlhf(*words)[0] == 0
    code, out, _ = rlhf("check", "made/ours.yaml")
    assert code == 0 and "nothing wrong" in out
    code, _, err = rlhf(*words)
    assert code == 1 and "already there" in err


def test_json_says_what_became_of_each_key(rlhf: Run) -> None:
    Path("sft.yaml").write_text(THEIRS)
    code, out, _ = rlhf("convert", "--from", "trl", "--method", "sft", "--num-processes", "2", "sft.yaml", "--json")
    found = json.loads(out)
    assert code == 0 and found["recipe"]["steps"]["sft"]["global_batch_size"] == 8 * 2
    assert found["carried"]["dataset_name"] == "steps.data.datasets.0.path"
    assert "logging_steps" in found["not_carried"] and found["to_fill_in"] == []


def test_what_is_still_missing_is_named_by_its_place(rlhf: Run) -> None:
    Path("x.yaml").write_text("model_name_or_path: org/base\ndataset_name: org/prompts\nreward_funcs: [f]\n")
    code, out, err = rlhf("convert", "--from", "trl", "--method", "grpo", "x.yaml")
    assert code == 2 and "steps.grpo" in err and "'rewards' is missing" in err and "rewards" in out


def test_flags_that_are_wrong_are_said(rlhf: Run) -> None:
    Path("x.yaml").write_text(THEIRS)
    assert "did you mean 'axolotl'" in rlhf("convert", "--from", "axolot", "x.yaml")[2]
    assert "did you mean 'dpo'" in rlhf("convert", "--from", "trl", "--method", "dpoo", "x.yaml")[2]
    assert rlhf("convert", "--from", "trl", "--method", "sft", "--num-processes", "0", "x.yaml")[0] == 2
    assert "cannot be read" in rlhf("convert", "--from", "trl", "nowhere.yaml")[2]
