"""`rlhf curate`: files and operators in, a folder out that `datasets` opens. Killed, it goes on; wrong, it says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from rlhf.recipe.preset import loaded_for, presets

CHATS = Path(__file__).parents[2] / "recipes" / "data" / "smoke_chats.jsonl"
PAIRS = Path(__file__).parents[2] / "recipes" / "data" / "smoke_pairs.jsonl"
Run = Callable[..., tuple[int, str, str]]


def opened(folder: str, config: str | None = None) -> Any:
    from datasets import load_dataset

    return load_dataset(str(Path(folder).absolute()), config, cache_dir="cache")


def test_a_file_and_a_preset_make_a_folder_that_datasets_opens(rlhf: Run) -> None:
    words = ("curate", str(CHATS), "--preset", "smoke", "--out", "clean", "--license", "apache-2.0", "--json")
    code, out, err = rlhf(*words)
    assert code == 0, err
    said = json.loads(out)
    assert said["path"] == str(Path("clean").absolute())
    rows = opened("clean")
    assert {name: len(part) for name, part in rows.items()} == said["splits"]
    reading, entries = said["steps"]["rows"]["ledger"]["readings"][0], said["steps"]["curated"]["ledger"]["entries"]
    assert reading["records"] == reading["used"] + sum(reading["malformed"].values())
    assert sum(said["splits"].values()) + said["dropped"] == entries[0]["made"] == reading["rows"]
    if said["dropped"]:
        assert len(opened("clean", "dropped")["dropped"]) == said["dropped"]
    before = (Path("clean") / "README.md").read_text()
    code, out, _ = rlhf(*words)
    assert code == 0 and json.loads(out)["run"]["curated"]["state"] == "cached"
    assert (Path("clean") / "README.md").read_text() == before


PRESET = """
recipe: counted
base: {{model_name_or_path: {micro}}}
steps:
  rows: {{step: ingest, datasets: [{{path: {chats}}}]}}
  clean: {{step: curate, data: rows, operators: [{operators}]}}
"""


@pytest.mark.parametrize(
    ("operators", "weights"),
    [
        ("{tokens: {policy: base}}, {split_long: {policy: base, max_length: 400}}", False),
        ("trim, {tokens: {policy: base}}, {perplexity: {policy: base}}", True),
    ],
)
def test_weights_are_brought_in_only_when_a_model_is_asked(
    rlhf: Run, micro: Path, operators: str, weights: bool
) -> None:
    Path("counted.yaml").write_text(PRESET.format(micro=micro, chats=CHATS, operators=operators))
    code, _, err = rlhf("curate", str(CHATS), "--preset", "counted.yaml", "--out", "clean", "--json")
    assert code == 0, err
    base = next(path for path in Path(".rlhf/artifacts").iterdir() if (path / "tokenizer_config.json").exists())
    assert bool([*base.glob("*.safetensors")]) is weights
    assert min(row["tokens"] for row in opened("clean")["train"]["scores"]) > 0


def test_operators_are_written_out_or_in_a_file(rlhf: Run) -> None:
    Path("ops.yaml").write_text("- words\n- keep: words >= 3\n")
    for given in ("ops.yaml", "[words, {keep: 'words >= 3'}]"):
        code, out, err = rlhf("curate", str(CHATS), "--operators", given, "--out", "clean", "--json")
        assert code == 0, err
        assert [e["operator"] for e in json.loads(out)["steps"]["curated"]["ledger"]["entries"]] == [
            "words",
            "keep(words >= 3)",
        ]


def test_pairs_are_curated_too(rlhf: Run) -> None:
    words = ("--operators", "[identical_pair]", "--makes", "preferences", "--out", "pairs", "--json")
    code, out, err = rlhf("curate", str(PAIRS), *words)
    assert code == 0, err
    assert json.loads(out)["kind"] == "preferences"
    assert {"prompt", "chosen", "rejected"} <= set(opened("pairs")["train"].column_names)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "smokee"), ["there is no preset 'smokee'", "did you mean 'smoke'?", "presets: ", "quickstart"]),
        (("--preset", "smoke.nothing"), ["no curate step 'nothing'"]),
        (("--operators", "[turnz]"), ["--operators", "'turnz'", "did you mean 'turns'"]),
        (("--operators", "ops.yaml"), ["ops.yaml:2", "'minn'", "did you mean 'min'"]),
        (("--operators", "missing.yaml"), ["there is no file missing.yaml"]),
        (("--operators", "[words]", "--format", "shargpt"), ["'shargpt'", "did you mean 'sharegpt'"]),
        (("--operators", "[words]", "--engine", "rey"), ["there is no engine 'rey'", "did you mean 'ray'"]),
        (("--operators", "[{keep: 'wrds > 1'}]"), ["needs the score 'wrds'"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(rlhf: Run, words: tuple[str, ...], said: list[str]) -> None:
    Path("ops.yaml").write_text("- words\n- turns: {minn: 2}\n")
    code, _, err = rlhf("curate", str(CHATS), *words, "--out", "clean")
    assert code == 2
    assert all(part in err for part in said), err
    assert not Path("clean").exists()


def test_a_folder_that_holds_something_else_is_left_alone(rlhf: Run) -> None:
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    code, _, err = rlhf("curate", str(CHATS), "--operators", "[words]", "--out", "mine")
    assert code == 2 and "mine holds something else" in err
    assert Path("mine/letter.txt").read_text() == "dear"


def test_a_missing_file_is_named(rlhf: Run) -> None:
    code, _, err = rlhf("curate", "nothing.jsonl", "--operators", "[words]", "--out", "clean")
    assert code != 0 and "nothing.jsonl" in err + _


def test_a_disk_that_is_full_while_the_folder_is_written_is_named_and_the_next_run_goes_on(
    rlhf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polars.exceptions import ComputeError

    words = ("curate", str(CHATS), "--operators", "[words, {keep: words > 5}, {split: {test: 0.2}}]", "--out", "clean")
    assert rlhf(*words, "--store", "store")[0] == 0
    before = {p.name: p.read_bytes() for p in Path("clean").rglob("*") if p.is_file()}
    for made_already in (True, False):
        if not made_already:
            shutil.rmtree("clean")
        with monkeypatch.context() as patch:
            full = ComputeError("parquet: underlying IO error: No space left on device (os error 28)")
            patch.setattr("rlhf.export.shape.write", Mock(side_effect=[None, full]))
            code, _, err = rlhf(*words, "--store", "store")
        assert code == 1 and "the disk that holds clean is full" in err and "only the folder is to be written" in err
        assert sorted(p.name for p in Path().iterdir()) == [*["clean"] * made_already, "store"]
        code, out, _ = rlhf(*words, "--store", "store")
        assert code == 0 and "curated: cached" in out
        assert {p.name: p.read_bytes() for p in Path("clean").rglob("*") if p.is_file()} == before


def test_presets_are_the_recipes_that_curate_and_bring_their_base_only_where_it_is_needed() -> None:
    assert {"quickstart", "smoke", "openassistant"} <= set(presets())
    for name in presets():
        loaded = loaded_for([str(CHATS)], preset=name)
        assert set(loaded.steps) - {"base"} - {ref.step for ref in loaded.edges["curated"]} == {"curated"}
        uses = {ref.step for ref in loaded.edges["curated"]}
        assert ("base" in loaded.steps) == ("base" in uses), name
    assert loaded_for([str(CHATS)], preset="openassistant.curated").steps["curated"]


def test_another_folder_s_paths_and_engine_reach_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlhf.cli.curate import _engine

    monkeypatch.chdir(tmp_path)
    sets = _engine("ray://head:10001")
    engine = loaded_for([str(CHATS)], operators="[words]", sets=sets).profile.engine
    assert (engine.kind, engine.address) == ("ray", "ray://head:10001")
    assert loaded_for([str(CHATS)], operators="[words]", sets=_engine("ray")).profile.engine.address is None


def test_a_killed_command_goes_on_with_the_same_words(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"q{i % 700}"}, {"role": "assistant", "content": "a " * (i % 9)}]}
        for i in range(1500)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.yaml").write_text("engine: {batch_rows: 50}\n")
    words = ["curate", "a.jsonl", "--operators", "[words, exact_dedup, {keep: words > 2}, {split: {test: 0.2}}]"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "POLARS_MAX_THREADS": "1"}

    def start(out: str, store: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rlhf.cli", *words, "--out", out, "--store", store, "--profile", "p.yaml"]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)

    with start("clean", "one") as child:
        assert child.wait() == 0
    for pause in (1.0, 1.6):
        with start("again", "two") as child:
            time.sleep(pause)
            child.send_signal(signal.SIGKILL)
    with start("again", "two") as child:
        assert child.wait() == 0
    found = [json.loads((tmp_path / name / "curation.json").read_text()) for name in ("clean", "again")]
    assert found[0]["digest"] == found[1]["digest"] and found[0]["splits"] == found[1]["splits"]
    assert found[0]["dropped"] == found[1]["dropped"] > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "again", "clean", "one", "p.yaml", "two"]
