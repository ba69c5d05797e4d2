"""Loading: what a recipe means, and everything that is wrong with one, at once and with its line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.artifact import pointers
from curation.errors import RecipeError
from rlhf.recipe.load import LoadedRecipe, load
from rlhf.recipe.problem import RecipeProblems

Write = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("kind_steps")

GOOD = """\
# Hardware: any.
# What to expect: nothing.
recipe: good
seed: 7
base: {model_name_or_path: org/model, model_revision: abc}
budget: {usd: 20, hours: 2}
steps:
  threads: {step: ingest, datasets: [&set {path: rows.jsonl}]}
  ranked: {step: ingest, makes: preferences, datasets: [*set]}
  curated:
    step: curate
    data: threads
    operators:
      - words
      - turns: {min: 2, max: 12}
  sft: {step: sft, data: curated, learning_rate: 2e-4}
  dpo: {step: dpo, data: [ranked], policy: sft, seed: 1}
"""


def wrong(path: Path, **how: Any) -> list[str]:
    """`line path: what | hint` of each problem, in order."""
    with pytest.raises(RecipeProblems) as caught:
        load(path, **how)
    return [f"{p.place.line or p.place.flag} {p.path}: {p.what} | {p.hint}" for p in caught.value.problems]


def paths_of(loaded: LoadedRecipe, step: str) -> list[str]:
    return [str(p) for _, p, _ in pointers(loaded.steps[step])]


def test_a_recipe_means_typed_steps_with_seed_and_base_filled_in(write: Write) -> None:
    loaded = load(write(GOOD))
    assert loaded.name == "good" and loaded.head_comment == "Hardware: any.\nWhat to expect: nothing."
    assert list(loaded.steps) == ["base", "threads", "ranked", "curated", "sft", "dpo"]
    sft, dpo = loaded.steps["sft"], loaded.steps["dpo"]
    assert (sft.learning_rate, sft.seed, str(sft.policy)) == (0.0002, 7, "base")  # type: ignore[attr-defined]
    assert (dpo.seed, str(dpo.policy)) == (1, "sft")  # type: ignore[attr-defined]
    assert (loaded.budget.usd, loaded.budget.hours) == (20, 2)
    assert {n: k.name for n, k in loaded.kinds.items()} == {
        "base": "policy",
        "threads": "conversations",
        "ranked": "preferences",
        "curated": "conversations",
        "sft": "policy",
        "dpo": "policy",
    }
    assert loaded.needs("dpo") == ("sft", "ranked") and loaded.needs("threads") == ()


def test_a_recipe_without_a_name_has_its_files(write: Write) -> None:
    assert load(write("steps: {a: {step: ingest, datasets: [{path: x}]}}", "my first.yaml")).name == "my-first"


def test_everything_wrong_is_said_at_once_with_line_path_and_the_nearest_name(write: Write) -> None:
    path = write("""\
recipe: bad name
sead: 1
steps:
  threads: {step: ingest, datasets: [{path: a, formt: messages}, {path: b, format: sharegtp, weight: -1}]}
  curated:
    step: curate
    data: threads
    operators:
      - turns: {mn: 2, max: twelve}
      - wrods
      - [words]
  sft:
    step: sft
    data: thread
    policy: sft2
    tune: lroa
  dpo: {step: dop}
  seed: {step: sft}
  nothing:
""")
    assert wrong(path) == [
        "1 recipe: String should match pattern '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' | "
        "Name of the recipe: letters, digits, - and _",
        "2 sead: unknown key 'sead' | did you mean 'seed'?",
        "4 steps.threads.datasets.0.formt: unknown key 'formt' | did you mean 'format'?",
        "4 steps.threads.datasets.1.format: should be 'sharegpt' or 'messages', not 'sharegtp' | "
        "did you mean 'sharegpt'?",
        "4 steps.threads.datasets.1.weight: should be greater than 0, not -1 | ",
        "9 steps.curated.operators.0.turns.max: should be a valid integer, not 'twelve' | ",
        "9 steps.curated.operators.0.turns.mn: unknown key 'mn' | did you mean 'min'?",
        "10 steps.curated.operators.1: there is no operator 'wrods'; did you mean 'words'? | ",
        "11 steps.curated.operators.2: an operator is a name, or one name with its settings | ",
        "14 steps.sft.data: there is no step 'thread' | did you mean 'threads'?",
        "15 steps.sft.policy: there is no step 'sft2' | known here: curated, dpo, nothing, seed, threads",
        "16 steps.sft.tune: should be 'lora' or 'full', not 'lroa' | did you mean 'lora'?",
        "17 steps.dpo.step: there is no step 'dop' | did you mean 'dpo'?",
        "18 steps.seed: a step cannot be called 'seed' | "
        "names are letters, digits, - and _; those of the recipe's own keys and `base` are taken",
        "19 steps.nothing: a step is a map of settings | write `nothing: {step: sft, ...}`",
    ]


@pytest.mark.parametrize(
    ("line", "product"),
    [
        ("per_device_train_batch_size: 4, gradient_accumulation_steps: 8", 32),
        ("per_device_train_batch_size: 4", 4),  # transformers accumulates 1 where nothing is said
        ("gradient_accumulation_steps: 2", 16),  # and takes 8 rows a device
    ],
)
def test_a_pasted_batch_gets_the_line_to_write_instead(write: Write, line: str, product: int) -> None:
    found = wrong(write(GOOD.replace("learning_rate: 2e-4", line)))
    assert len(found) == 1 and f"`global_batch_size: {product}`" in found[0] and found[0].startswith("16 ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("attn_implementation: sdpa", "belongs in a profile: `training: {attn_implementation: sdpa}`"),
        ("lr: 1e-4", "here it is called 'learning_rate'"),
        ("bf16: true", "write `dtype: bfloat16`"),
        ("model_name_or_path: x", "the model belongs in `base:`"),
        ("learning_rat: 1", "did you mean 'learning_rate'?"),
    ],
)
def test_a_key_in_the_wrong_place_is_told_where_it_belongs(write: Write, line: str, said: str) -> None:
    assert said in wrong(write(GOOD.replace("learning_rate: 2e-4", line)))[0]


def test_a_step_written_beside_steps_is_told_where_it_belongs(write: Write) -> None:
    assert "under `steps:`" in wrong(write(GOOD + "more: {step: ingest}\n"))[0]
    assert "belongs in a profile" in wrong(write(GOOD + "engine: {kind: ray}\n"))[0]


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n"])
def test_a_file_that_is_no_map_is_told_so(write: Write, text: str) -> None:
    assert "start with `recipe: NAME`" in wrong(write(text))[0]


def test_a_recipe_without_steps_or_without_a_policy_to_start_from(write: Write) -> None:
    assert wrong(write("recipe: x\n")) == ["1 steps: the recipe has no steps | add `steps:` with at least one step"]
    assert any("'policy' is missing" in p for p in wrong(write(GOOD.replace("base:", "#"))))


def test_a_missing_setting_names_the_step_and_what_it_is(write: Write) -> None:
    found = wrong(write("steps:\n  a:\n    step: ingest\n"))
    assert found == ["2 steps.a: 'datasets' is missing | Where the records come from"]


def test_a_name_that_is_no_file_and_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="quickstart"):
        load("quickstrat")
    (tmp_path / "a.yaml").touch()
    with pytest.raises(RecipeError, match=r"is a folder(.|\n)*a\.yaml"):
        load(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke").write_text("recipe: mine\nsteps: {a: {step: ingest, datasets: [{path: x}]}}")
    assert load("smoke").name == "mine", "a file wins over a shipped name"


# extends


def test_extending_lays_maps_over_maps_and_replaces_lists(write: Write) -> None:
    write(GOOD, "big.yaml")
    small = write("""\
extends: ../big.yaml
recipe: small
base: {model_name_or_path: org/small, model_revision: null}
steps:
  threads: {datasets: [{path: few.jsonl}, {path: more.jsonl}]}
  sft: {learning_rate: 1e-3}
  extra: {step: export, policy: dpo}
""", "mini/small.yaml")  # fmt: skip
    loaded = load(small)
    assert loaded.name == "small" and loaded.seed == 7
    assert list(loaded.steps) == ["base", "threads", "ranked", "curated", "sft", "dpo", "extra"]
    assert paths_of(loaded, "threads") == ["few.jsonl", "more.jsonl"]
    assert loaded.steps["sft"].learning_rate == 1e-3  # type: ignore[attr-defined]
    assert str(loaded.steps["base"].model_name_or_path) == "org/small"  # type: ignore[attr-defined]
    assert loaded.steps["base"].model_revision is None  # type: ignore[attr-defined]
    assert list(loaded.texts) == ["small.yaml", "../big.yaml"]


def test_paths_count_from_the_file_that_they_are_written_in(write: Write, tmp_path: Path) -> None:
    write("yes", "template.jinja")
    write("{}", "rows.jsonl")
    write(GOOD.replace("model_revision: abc", "chat_template_path: template.jinja"), "big.yaml")
    loaded = load(write("extends: ../big.yaml\nrecipe: small\n", "mini/small.yaml"))
    assert paths_of(loaded, "base") == ["org/model", "../template.jinja"]
    assert paths_of(loaded, "threads") == ["../rows.jsonl"]
    assert loaded.here == tmp_path / "mini"


def test_a_mistake_in_the_extended_file_names_that_file(write: Write) -> None:
    write(GOOD.replace("learning_rate", "learning_rat"), "big.yaml")
    with pytest.raises(RecipeProblems) as caught:
        load(write("extends: big.yaml\nrecipe: small\n", "small.yaml"))
    assert [(p.place.file.name, p.place.line) for p in caught.value.problems if p.place.file] == [("big.yaml", 16)]


def test_only_one_level_and_only_a_file_that_is_there(write: Write) -> None:
    write("extends: x.yaml\n", "middle.yaml")
    assert "itself extends" in wrong(write("extends: middle.yaml\n"))[0]
    assert "did you mean 'middle.yaml'?" in wrong(write("extends: midle.yaml\n"))[0]


# --set


@pytest.mark.parametrize(
    ("flag", "place", "value"),
    [
        ("steps.sft.learning_rate=1e-3", ("sft", "learning_rate"), 1e-3),
        ("sft.learning_rate=1e-3", ("sft", "learning_rate"), 1e-3),
        ("sft.max_length=null", ("sft", "max_length"), None),
        ("sft.tune=full", ("sft", "tune"), "full"),
        ("curated.operators.1.turns.min=3", ("curated", "operators", 1, "min"), 3),
        ("curated.operators.0.words.as=w", ("curated", "operators", 0, "as_"), "w"),
        ("operators.1.turns.min=3", ("curated", "operators", 1, "min"), 3),
        ("curated.operators=[{turns: {min: 9}}]", ("curated", "operators", 0, "min"), 9),
        ("threads.datasets.0.weight=2", ("threads", "datasets", 0, "weight"), 2),
        ("threads.datasets.1.path=more", ("threads", "datasets", 1, "weight"), 1),
    ],
)
def test_a_setting_changed_from_the_command_line(write: Write, flag: str, place: tuple[Any, ...], value: Any) -> None:
    found: Any = load(write(GOOD), sets=[flag]).steps[place[0]]
    for part in place[1:]:
        found = found[part] if isinstance(part, int) else getattr(found, part)
    assert found == value


def test_top_level_settings_and_the_profile_can_be_set(write: Write) -> None:
    loaded = load(write(GOOD), sets=["seed=3", "base.model_revision=def", "profile.training.threads=2", "recipe=x"])
    assert loaded.name == "x" and loaded.steps["sft"].seed == 3  # type: ignore[attr-defined]
    assert loaded.steps["base"].model_revision == "def"  # type: ignore[attr-defined]
    assert loaded.profile.training.threads == 2


def test_python_sets_values_of_its_own(write: Write) -> None:
    loaded = load(write(GOOD), sets={"sft.learning_rate": 0.5, "curated.operators": [{"turns": {"min": 4}}]})
    assert loaded.steps["sft"].learning_rate == 0.5  # type: ignore[attr-defined]
    assert loaded.steps["curated"].operators[0].min == 4  # type: ignore[attr-defined]


def test_changing_one_use_of_an_alias_leaves_the_other(write: Write) -> None:
    loaded = load(write(GOOD), sets=["threads.datasets.0.path=mine.jsonl"])
    assert paths_of(loaded, "ranked") == ["rows.jsonl"]


def test_paths_on_the_command_line_count_from_the_working_directory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("{}", "elsewhere/mine.jsonl")
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = load(write(GOOD, "recipes/r.yaml"), sets=["threads.datasets.0.path=mine.jsonl"])
    assert paths_of(loaded, "threads") == [os.path.join(tmp_path, "elsewhere", "mine.jsonl")]
    assert paths_of(loaded, "ranked") == ["rows.jsonl"]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("sft.lerning_rate=1", "did you mean 'learning_rate'?"),
        ("stf.learning_rate=1", "did you mean 'sft'?"),
        ("datasets.0.path=x", "say which: threads.datasets.0.path, ranked.datasets.0.path"),
        ("threads.datasets.5.path=x", "list of 1"),
        ("threads.datasets.path=x", "takes a number"),
        ("sft.learning_rate.x=1", "set steps.sft.learning_rate itself"),
        ("learning_rate", "write --set sft.learning_rate=1e-4"),
        ("sft..x=1", "write --set"),
        ("sft.tune={a: 1, a: 2}", "occurs twice"),
        ("sft.learning_rate=fast", "should be a valid number"),
        ("dpo.data=threads", "'threads' makes conversations"),
        ("profile.training.thread=1", "did you mean 'threads'?"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_typed(write: Write, flag: str, said: str) -> None:
    found = wrong(write(GOOD), sets=[flag])
    assert len(found) == 1 and found[0].startswith(f"--set {flag} ") and said in found[0]


# profiles


def test_a_profile_says_where_and_how_fast(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = write("store: results\ntraining: {threads: 3}\nlabeling: {folder: /forms}\n", "team/p.yaml")
    for loaded in (load(write(GOOD), profile=profile), _with_environment(write, profile, monkeypatch)):
        assert loaded.profile.training.threads == 3
        assert loaded.profile.store == str(tmp_path / "team" / "results")
        assert loaded.profile.labeling.folder == "/forms"


def _with_environment(write: Write, profile: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedRecipe:
    monkeypatch.setenv("RLHF_PROFILE", str(profile))
    return load(write(GOOD))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rate: 1", "belongs in the recipe, in the step ("),
        ("training: {beta1: 1, thread: 1}", "did you mean 'threads'?"),
        ("threads: 1", "it stands one level down: training.threads"),
        ("training: {global_batch_size: 8}", "belongs in the recipe"),
        ("training: {gradient_accumulation_steps: 8}", "accumulation is derived"),
        ("seed: 1", "'seed' belongs in a recipe"),
        ("training: {device: gpu}", "should be 'auto', 'cpu', 'cuda' or 'mps'"),
        ("- a", "a profile is a map"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_beside_the_recipes_own(write: Write, text: str, said: str) -> None:
    found = wrong(write(GOOD.replace("learning_rate", "lr")), profile=write(text, "p.yaml"))
    assert any(said in p for p in found) and any("'learning_rate'" in p for p in found)


def test_an_empty_profile_is_the_default(write: Write) -> None:
    assert load(write(GOOD), profile=write("", "p.yaml")).profile == load(write(GOOD)).profile
