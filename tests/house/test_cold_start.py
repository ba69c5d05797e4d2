"""Help and checks answer at once: nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf.cli import VERBS
from rlhf.recipe import shipped

HEAVY = (
    "torch transformers trl peft datasets accelerate huggingface_hub polars pyarrow numpy openai httpx argilla jinja2"
).split()
PROBE = """
import json, sys
from rlhf.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code or 0
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported_by(*words: str, cwd: Path | None = None) -> tuple[int, list[str]]:
    """The exit code of the command and the heavy packages that it imported."""
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, [name for name in HEAVY if name in modules]


def cpu_seconds(*words: str) -> float:
    """CPU time of the command, the least of three: what others do on the machine does not count."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "rlhf.cli", *words], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


def test_help_imports_nothing_heavy_and_no_settings() -> None:
    code, heavy = imported_by("--help")
    assert code == 0 and heavy == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_nothing_heavy(verb: str) -> None:
    assert imported_by(verb, "--help") == (0, [])


@pytest.mark.parametrize("name", shipped.recipes())
def test_check_imports_nothing_heavy(name: str) -> None:
    code, heavy = imported_by("check", name)
    assert code == 0 and heavy == []


@pytest.mark.parametrize("words", [("recipes", "ls"), ("schema",), ("show", "smoke"), ("plan", "smoke")])
def test_looking_imports_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    assert imported_by(*words, cwd=tmp_path) == (0, [])


def test_help_within_a_quarter_of_a_second() -> None:
    assert cpu_seconds("--help") <= 0.25


def test_check_within_half_a_second() -> None:
    """The widest recipe there is: it has every step."""
    assert cpu_seconds("check", "smoke") <= 0.5
