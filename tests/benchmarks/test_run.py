"""`make bench-curation`: what it measures is what was spent, and what cannot be measured is said."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "curation"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives one of the scripts as a module, which finds those beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


BUSY = """
import subprocess, sys, time
def spend(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
held = bytearray(64 << 20)
child = "import time\\nu = time.process_time() + 0.4\\nwhile time.process_time() < u: pass"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)  # nobody here waits for it
spend(0.3)
"""


def test_costs_are_those_of_the_whole_tree(tmp_path: Path) -> None:
    """0.3 seconds there and 0.4 in a process that outlives its parent; 64 MB are held.

    In a process of its own, because it waits for everything that is below it.
    """
    (tmp_path / "busy.py").write_text(BUSY, encoding="utf-8")
    asked = (
        "import json, sys, dataclasses, pathlib, measured;"
        "cost = measured.measured([sys.executable, 'busy.py'], pathlib.Path('log'), 60);"
        "print(json.dumps(dataclasses.asdict(cost)))"
    )
    around = {**os.environ, "PYTHONPATH": str(FOLDER)}
    said = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, env=around, capture_output=True, check=True)
    cost = json.loads(said.stdout)
    assert cost["code"] == 0
    assert 0.7 <= cost["cpu"] < 3
    assert 64 <= cost["peak"] < 400


def test_every_peer_says_what_it_needs(script: Any) -> None:
    run = script("run")
    theirs = [FOLDER / "peers" / job.script for job in run.JOBS if not job.ours]
    assert len(theirs) == 4
    for path in theirs:
        assert run.requires(path)
    assert all((FOLDER / "peers" / job.script).is_file() for job in run.JOBS)


def test_a_peer_that_cannot_be_installed_is_a_row_that_says_so(script: Any, tmp_path: Path) -> None:
    run, results = script("run"), script("results")
    peer = tmp_path / "peer.py"
    peer.write_text(f'REQUIRES = ["{tmp_path / "absent"}"]\n', encoding="utf-8")
    python, why = run.environment(peer, tmp_path)
    assert python is None and why.startswith("could not be installed: ")
    page = results.written({"with_daft": {"rows": 200_000, "threads": 2, "runs": [], "error": why}})
    assert "| 200,000 | Daft 0.7.26, native | could not be installed: " in page


def test_ratios_are_of_medians(script: Any) -> None:
    def job(rows: int, *costs: float) -> dict[str, Any]:
        return {"rows": rows, "threads": 2, "error": "", "runs": [{"cpu": c, "peak": 100.0, "code": 0} for c in costs]}

    page = script("results").written({"ours_200k": job(200_000, 9, 10, 50), "with_daft": job(200_000, 20, 18, 22)})
    assert "| 200,000 | Daft 0.7.26, native | 20.0 | 3 | 2.00x | at least 1.4x | 100 |" in page


def test_repeated_rows_are_other_rows(script: Any, tmp_path: Path) -> None:
    import polars as pl

    chats = script("chats")
    given, more = tmp_path / "given.jsonl", tmp_path / "more.jsonl"
    turn = {"from": "human", "value": "abc где 天地 ภาษา é1"}
    given.write_text(json.dumps({"id": "a", "conversations": [turn]}) + "\n", encoding="utf-8")
    fact = {"id": "a", "kind": "base", "root": "a", "language": "en", "chars": 20}
    pl.DataFrame([fact]).write_parquet(given.with_suffix(".truth.parquet"))
    chats.repeat(given, more, 3)
    records = [json.loads(line) for line in more.read_text(encoding="utf-8").splitlines()]
    texts = [record["conversations"][0]["value"] for record in records]
    assert texts[0] == turn["value"]
    assert len({t.split()[0] for t in texts}) == len({t.split()[2] for t in texts}) == 3
    assert [len(t) for t in texts] == [len(turn["value"])] * 3
    assert [r["id"] for r in records] == pl.read_parquet(more.with_suffix(".truth.parquet"))["root"].to_list()
