"""The command: exit codes, words for people and JSON for scripts; no mistake of a user ends in a traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rlhf.cli import VERBS

TOYS = Path(__file__).parent / "recipe"
Run = Callable[..., tuple[int, str, str]]

SUM = """\
recipe: toy
steps:
  one: {step: "toy_steps:Add", plus: 1}
  two: {step: "toy_steps:Add", data: one, plus: 1, require: "n >= 2"}
"""


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy steps can be imported."""
    monkeypatch.syspath_prepend(str(TOYS))


def write(text: str, name: str = "toy.yaml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_help_names_the_verbs_that_work_and_every_verb_has_help(rlhf: Run) -> None:
    code, out, _ = rlhf("--help")
    assert code == 0 and all(f"    {verb} " in out for verb in VERBS)
    for verb in VERBS:
        code, out, _ = rlhf(verb, "--help")
        assert code == 0 and "usage: rlhf " + verb in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu", "x"], "did you mean 'run'?"),
        (["frobnicate"], "verbs: run, check"),
        (["run"], "RECIPE"),
        (["run", "x", "--untill", "y"], "--untill"),
        (["recipes", "list"], "ls"),
        ([], ""),
    ],
)
def test_a_wrong_word_is_exit_code_2(rlhf: Run, words: Sequence[str], said: str) -> None:
    code, _, err = rlhf(*words)
    assert code == 2 and said in err


def test_a_run_does_what_is_not_done_and_says_so(rlhf: Run) -> None:
    write(SUM)
    code, out, _ = rlhf("run", "toy.yaml", "--no-page")
    assert code == 0 and "one: done" in out and "two: done" in out and "2 steps ran" in out
    code, out, _ = rlhf("run", "toy.yaml", "--no-page")
    assert code == 0 and "two: cached" in out and "0 steps ran" in out and "2 cached" in out
    assert Path(".rlhf/manifests").is_dir()


def test_a_run_as_json_leaves_standard_output_to_the_result(rlhf: Run) -> None:
    write(SUM)
    code, out, err = rlhf("run", "toy.yaml", "--no-page", "--json")
    found = json.loads(out)
    assert code == found["exit_code"] == 0 and "two: done" in err
    assert found["steps"]["two"]["metrics"] == {"n": 2} and Path(found["record"]).is_file()


def test_show_has_the_shape_that_scripts_rely_on(rlhf: Run) -> None:
    write(SUM)
    states = {"one": "done", "two": "not run"}
    rlhf("run", "toy.yaml", "--until", "one", "--no-page")
    code, out, _ = rlhf("show", "toy.yaml", "--json")
    found = json.loads(out)
    assert code == 0 and set(found) == {"recipe", "steps"} and found["recipe"] == "toy"
    for name, step in found["steps"].items():
        assert set(step) == {"step", "state", "digest", "path", "counts", "metrics"}
        assert step["state"] == states[name]
        assert (step["path"] is None) == (states[name] == "not run")
    assert Path(found["steps"]["one"]["path"]).is_dir()
    code, out, _ = rlhf("show", "toy.yaml", "one")
    assert code == 0 and "one: add, done" in out
    assert rlhf("show", "toy.yaml", "on")[0] == 2


def test_show_says_which_settings_the_last_run_had(rlhf: Run) -> None:
    write(SUM)
    rlhf("run", "toy.yaml", "--no-page", "--set", "two.plus=5")
    _, out, _ = rlhf("show", "toy.yaml")
    *_, line = out.strip().splitlines()
    _, found, _ = rlhf(*line.partition("rlhf ")[2].split())
    assert "not run" in out and "not run" not in found and "other settings" not in found


def test_plan_says_what_runs_and_why(rlhf: Run) -> None:
    write(SUM)
    rlhf("run", "toy.yaml", "--no-page")
    code, out, _ = rlhf("plan", "toy.yaml", "--set", "two.plus=5", "--json")
    steps = json.loads(out)["steps"]
    assert code == 0 and steps["one"]["state"] == "cached" and steps["two"]["state"] == "runs"
    assert "plus 1 -> 5" in steps["two"]["why"]
    assert "plus 1 -> 5" in rlhf("plan", "toy.yaml", "--set", "two.plus=5")[1]


def test_choosing_steps(rlhf: Run) -> None:
    write(SUM)
    assert "one: done" in rlhf("run", "toy.yaml", "--only", "one", "--no-page")[1]
    _, out, _ = rlhf("run", "toy.yaml", "--from", "two", "--redo", "two", "--no-page")
    assert "one: cached" in out and "two: done" in out
    code, _, err = rlhf("run", "toy.yaml", "--until", "tow")
    assert code == 2 and "did you mean 'two'?" in err


def test_the_store_is_flag_before_environment_before_profile(rlhf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(SUM)
    write("store: by-profile\n", "p.yaml")
    rlhf("run", "toy.yaml", "--no-page", "--profile", "p.yaml")
    assert Path("by-profile/manifests").is_dir()
    monkeypatch.setenv("RLHF_STORE", "by-environment")
    rlhf("run", "toy.yaml", "--no-page", "--profile", "p.yaml")
    assert Path("by-environment/manifests").is_dir()
    rlhf("run", "toy.yaml", "--no-page", "--profile", "p.yaml", "--store", "by-flag")
    assert Path("by-flag/manifests").is_dir() and not Path(".rlhf").exists()


def test_waiting_is_exit_code_3_and_names_the_place(rlhf: Run) -> None:
    write('steps: {ask: {step: "toy_steps:AskPeople", form: answers.txt}}')
    code, out, _ = rlhf("run", "toy.yaml", "--no-page")
    assert code == 3 and "0 of 1 answered" in out and "answers.txt" in out and "run the same command again" in out
    assert json.loads(rlhf("show", "toy.yaml", "--json")[1])["steps"]["ask"]["state"] == "waiting"
    write("done", "answers.txt")
    assert rlhf("run", "toy.yaml", "--no-page")[0] == 0


def test_a_gate_that_does_not_hold_is_exit_code_4_every_time(rlhf: Run) -> None:
    write(SUM)
    for _ in range(2):
        code, out, _ = rlhf("run", "toy.yaml", "--no-page", "--set", "two.require=n > 2")
        assert code == 4 and "its gate does not hold" in out and "n" in out
    assert json.loads(rlhf("show", "toy.yaml", "--json")[1])["steps"]["two"]["state"] == "gated"


def test_a_failure_is_exit_code_1_with_the_users_error_and_no_traceback(rlhf: Run) -> None:
    write('steps: {one: {step: "toy_steps:Break", how: user}}')
    code, out, err = rlhf("run", "toy.yaml", "--no-page")
    assert code == 1 and "rows.jsonl, record 3" in out and "mend record 3" in out
    assert "Traceback" not in out + err


def test_a_bug_comes_with_its_traceback(rlhf: Run) -> None:
    write('steps: {one: {step: "toy_steps:Break", how: bug}}')
    code, out, _ = rlhf("run", "toy.yaml", "--no-page")
    assert code == 1 and "Traceback" in out and "ZeroDivisionError" in out


@pytest.mark.parametrize("verb", ["run", "check", "plan", "show", "report"])
def test_a_wrong_recipe_is_exit_code_2_with_every_problem(rlhf: Run, verb: str) -> None:
    write('steps:\n  one: {step: "toy_steps:Add", plsu: 1}\n  two: {step: "toy_steps:Add", data: on}\n')
    code, out, err = rlhf(verb, "toy.yaml")
    assert code == 2 and not out
    assert "toy.yaml:2: steps.one.plsu: unknown key 'plsu'\n  did you mean 'plus'?" in err
    assert "toy.yaml:3: steps.two.data: there is no step 'on'\n  did you mean 'one'?" in err and "2 problems" in err
    code, out, _ = rlhf(verb, "toy.yaml", "--json")
    found = json.loads(out)
    assert code == 2 and [p["line"] for p in found["problems"]] == [2, 3] and found["ok"] is False


def test_a_missing_file_stops_the_run_before_anything_runs(rlhf: Run) -> None:
    write(SUM.replace("plus: 1}", "plus: 1, file: no.txt}", 1))
    code, out, err = rlhf("run", "toy.yaml", "--no-page")
    assert code == 2 and "toy.yaml:3: steps.one.file: there is no no.txt" in err and "started" not in out
    assert rlhf("check", "toy.yaml")[0] == 2


def test_check_is_content_with_a_good_recipe(rlhf: Run) -> None:
    write(SUM)
    assert rlhf("check", "toy.yaml") == (0, "toy.yaml: 2 steps, nothing wrong\n", "")
    found = json.loads(rlhf("check", "toy.yaml", "--json")[1])
    assert found == {"recipe": "toy", "ok": True, "problems": [], "warnings": []}


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [("", 2, "the file is empty"), ("a: [", 2, "not YAML"), ("\x00\x01", 2, "not YAML"), ("a: b: c", 2, "toy.yaml:1")],
)
def test_files_that_are_no_recipe(rlhf: Run, content: str, code: int, said: str) -> None:
    write(content)
    found, _, err = rlhf("run", "toy.yaml")
    assert found == code and said in err


def test_a_store_of_a_newer_version_is_left_alone(rlhf: Run) -> None:
    write(SUM)
    Path(".rlhf").mkdir()
    Path(".rlhf/store.json").write_text('{"format": 999}')
    code, _, err = rlhf("run", "toy.yaml")
    assert code == 1 and "newer version" in err and "--store" in err


def test_a_store_that_is_no_folder_is_refused(rlhf: Run) -> None:
    write(SUM)
    code, _, err = rlhf("run", "toy.yaml", "--store", "s3://bucket/rlhf")
    assert code == 1 and "object stores are not supported yet" in err and not Path("s3:").exists()


def test_a_full_disk_is_said_in_a_sentence(rlhf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(SUM)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/store/runs/x.json")

    monkeypatch.setattr("rlhf.recipe.store.Store.record_run", full)
    code, _, err = rlhf("run", "toy.yaml", "--no-page")
    assert code == 1 and "/store/runs/x.json" in err and "free some space" in err


def test_verbose_shows_where_an_error_came_from(rlhf: Run) -> None:
    code, _, err = rlhf("check", "nothing.yaml", "-v")
    assert code == 2 and "Traceback" in err and "there is no recipe 'nothing.yaml'" in err


def test_what_was_asked_for_is_said_to_scripts_too(rlhf: Run) -> None:
    code, out, _ = rlhf("show", "nothing.yaml", "--json")
    found = json.loads(out)
    assert code == 2 and "nothing.yaml" in found["error"]["what"] and found["error"]["exit_code"] == 2


def test_ctrl_c_ends_in_a_sentence_and_the_next_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(
        'steps:\n  one: {step: "toy_steps:Add", plus: 1}\n  stuck: {step: "toy_steps:Break", how: hang}\n'
    )
    environment = {**os.environ, "PYTHONPATH": str(TOYS), "RLHF_STORE": str(tmp_path / "store")}
    run = subprocess.Popen(
        [sys.executable, "-m", "rlhf.cli", "run", "toy.yaml", "--no-page"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if "stuck: started" in line:
            break
    time.sleep(0.3)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130 and "the same command goes on from here" in err and "Traceback" not in out + err
    shown: dict[str, Any] = json.loads(
        subprocess.run(
            [sys.executable, "-m", "rlhf.cli", "show", "toy.yaml", "--json"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        ).stdout
    )  # fmt: skip
    assert shown["steps"]["one"]["state"] == "done"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m rlhf.cli schema | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert "Traceback" not in done.stderr and len(done.stdout) == 10


def test_the_doctor_says_what_is_here_and_how_to_get_what_is_not(rlhf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf.cli.doctor.find_spec", lambda _: None)
    code, out, _ = rlhf("doctor", "--json")
    found = {f["what"]: f for f in json.loads(out)["findings"]}
    assert code == 0, out
    assert {"python", "packages", "cores", "memory", "device", "store", "disk"} <= set(found)
    for extra in ("label", "ray", "llamacpp", "quant"):
        assert f"pip install 'rlhf-curation[{extra}]'" in found[f"extra {extra}"]["hint"]


def test_the_doctor_names_a_package_that_is_missing_or_too_old(rlhf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf.cli.doctor.requires", lambda _: ["pydantic>=999", "no-such-package>=1", "rich>=1"])
    code, out, _ = rlhf("doctor", "--json")
    said = next(f for f in json.loads(out)["findings"] if f["what"] == "packages")
    assert code == 1 and said["state"] == "wrong"
    assert "needs >=999" in said["text"] and "no-such-package is missing" in said["text"] and "rich" not in said["text"]
