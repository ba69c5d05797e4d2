"""Help and checks answer at once: nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from rlhf.cli import VERBS
from rlhf.recipe import shipped

HEAVY = (
    "torch transformers trl peft datasets accelerate huggingface_hub polars pyarrow numpy openai httpx argilla jinja2"
).split()
PROBE = """
import json, sys
from rlhf.cli import main
codes = []
for words in json.loads(sys.argv[1]):
    try:
        codes.append(main(words))
    except SystemExit as end:
        codes.append(end.code or 0)
print(json.dumps([codes, sorted(sys.modules)]), file=sys.stderr)
"""


def imported_by(commands: list[list[str]], cwd: Path) -> list[str]:
    """The heavy packages that these commands import, one after the other in one process; all must succeed."""
    probe = [sys.executable, "-c", PROBE, json.dumps(commands)]
    done = subprocess.run(probe, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    codes, modules = json.loads(done.stderr.splitlines()[-1])
    assert codes == [0] * len(commands), done.stderr
    return [name for name in HEAVY if name in modules]


FLOOR = "from pydantic import BaseModel, Field\nclass A(BaseModel): x: int = 1\nA()\nimport ruamel.yaml"
FLOOR_SECONDS = 0.17
"""CPU time of that on two cores of a laptop with nothing else to do."""


def within(seconds: float, folder: Path, *words: str) -> bool:
    """Whether the command needs no more CPU time than that, compiled, on a machine with nothing else to do.

    Two processes on one core slow each other down, so the limit grows with the time of a known piece of work.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder)

    def cpu(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], capture_output=True, check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    pairs = [(cpu("-c", FLOOR), cpu("-m", "rlhf.cli", *words)) for _ in range(4)]
    floor, needed = min(f for f, _ in pairs), min(n for _, n in pairs)
    return needed <= seconds * max(1.0, floor / FLOOR_SECONDS)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    assert imported_by([["--help"], *([verb, "--help"] for verb in VERBS)], tmp_path) == []


def test_check_imports_nothing_heavy(tmp_path: Path) -> None:
    assert imported_by([["check", name] for name in shipped.recipes()], tmp_path) == []


def test_looking_imports_nothing_heavy(tmp_path: Path) -> None:
    assert imported_by([["recipes", "ls"], ["schema"], ["show", "smoke"], ["plan", "smoke"]], tmp_path) == []


def test_help_within_a_quarter_of_a_second(tmp_path: Path) -> None:
    assert within(0.25, tmp_path, "--help")


def test_check_within_half_a_second(tmp_path: Path) -> None:
    """The widest recipe there is: it has every step."""
    assert within(0.5, tmp_path, "check", "smoke")
