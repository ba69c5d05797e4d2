"""`recipes/smoke.yaml`, every step there is: the same digests in any store, after any kill, and nothing runs twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

RLHF = Path(sys.executable).with_name("rlhf")
KILLS = int(os.environ.get("RLHF_TEST_KILLS", "8"))
"""Random moments; the figure in the documentation comes from 20."""

WRITERS = {"ai_feedback", "best_of_n", "evol_instruct", "magpie", "self_instruct"}
"""Steps that need a model which writes better than the smoke recipe's; their own tests run them against servers."""

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


def rlhf(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RLHF, *arguments], capture_output=True, text=True, check=False)


def digests(store: Path) -> dict[str, str]:
    shown = json.loads(rlhf("show", "smoke", "--json", "--store", str(store)).stdout)
    return {name: step["digest"] for name, step in shown["steps"].items()}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing disturbed."""
    store = tmp_path_factory.mktemp("clean")
    done = rlhf("run", "smoke", "--store", str(store))
    assert done.returncode == 0, done.stdout + done.stderr
    return store


def test_every_step_type_that_exists_is_in_the_smoke_recipe() -> None:
    from curation.registry import STEPS, builtin_names
    from rlhf.recipe.load import load

    there = {step.step for step in load("smoke").steps.values()}
    elsewhere = {"base", "review", *WRITERS}  # `base` is what recipes on a given model have; a review is people's alone
    assert set(builtin_names(STEPS)) - elsewhere <= there


def test_a_second_run_finds_everything_done(clean: Path) -> None:
    again = rlhf("run", "smoke", "--json", "--store", str(clean))
    assert again.returncode == 0
    states = {name: step["state"] for name, step in json.loads(again.stdout)["steps"].items()}
    assert set(states.values()) == {"cached"}


def kill_group(process: subprocess.Popen[Any], what: str) -> None:
    """SIGKILL to the run, to its child, or to both at once."""
    import psutil

    parent = psutil.Process(process.pid)
    children = parent.children(recursive=True)
    victims = {"parent": [parent], "child": children, "both": [parent, *children]}[what]
    for victim in victims:
        victim.send_signal(signal.SIGKILL)


def test_kill_at_random_moments_and_resume_gives_the_clean_digests(clean: Path, tmp_path: Path) -> None:
    chance = random.Random(20_231)
    store = tmp_path / "killed"
    for _ in range(KILLS):
        process = subprocess.Popen(
            [RLHF, "run", "smoke", "--store", str(store)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.5, 14))
        if process.poll() is None:
            kill_group(process, chance.choice(["parent", "child", "both"]))
        process.wait(timeout=120)
    last = rlhf("run", "smoke", "--store", str(store))
    assert last.returncode == 0, last.stdout + last.stderr
    assert digests(store) == digests(clean)
    assert not list((store / "work").glob("*/")), "scratch of finished steps is removed"
