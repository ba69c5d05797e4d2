"""Every command that README, CONTRIBUTING and docs/ show is one that works.

The commands of a page run in its order, in one folder. There `quickstart` is a file that holds the smoke recipe, which
has steps of the same names and takes a minute instead of six, and `chats.jsonl` the real one's chats;
`tests/recipes/test_quickstart.py` runs that.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))]


def commands(page: str) -> list[str]:
    """The lines of the page's `sh` blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


ALL = [(page, command) for page in PAGES for command in commands(page)]
WITH_A_SERVER = "docs/labeling.md"
"""A page whose commands need a server: `tests/rlhf/test_labeling_page.py` runs them."""


def made(target: str) -> list[str]:
    """What make would run for a target, line by line, where everything is up to date."""
    command = ["make", "--dry-run", "--assume-old=.venv/made", target]
    # `make test ARGS=...` hands its own flags and variables to every make below it.
    alone = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "ARGS")
    }
    listed = subprocess.run(command, cwd=ROOT, env=alone, check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def test_the_pages_use_known_programs() -> None:
    assert {shlex.split(command)[0] for _, command in ALL} <= {"make", "rlhf", "pip"}
    assert {"make quickstart", "make test"} <= set(commands("README.md"))


@pytest.mark.parametrize("target", sorted({c.split()[1] for _, c in ALL if c.startswith("make ")}))
def test_make_has_the_target_and_explains_it(target: str) -> None:
    made(target)
    explained = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.search(rf"^  make {target} +\w", explained, flags=re.MULTILINE)


def test_ci_runs_check_and_test() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "make check" in script
    assert "make test" in script


def test_make_quickstart_runs_a_recipe_that_is_right() -> None:
    """The line that make runs, with `check` for `run`: the recipe and its packaged model are there."""
    line = next(line for line in made("quickstart") if "rlhf run" in line)
    words = shlex.split(line)
    words = words[words.index("run") + 1 :]
    done = subprocess.run([sys.executable, "-m", "rlhf.cli", "check", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_every_rlhf_command_of_the_pages_runs(tmp_path: Path) -> None:
    copies, runs = tmp_path / "copies", tmp_path / "runs"
    copies.mkdir()
    runs.mkdir()
    smoke = (ROOT / "recipes" / "smoke.yaml").read_text()
    (runs / "quickstart").write_text(smoke.replace("data/", f"{ROOT}/recipes/data/"))
    shutil.copy(ROOT / "recipes" / "data" / "quickstart_chats.jsonl", runs / "chats.jsonl")
    (runs / "axolotl.yaml").write_text((ROOT / "docs" / "convert.md").read_text().split("```yaml\n")[1].split("```")[0])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RLHF_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    shown = [(page, command) for page, command in ALL if command.startswith("rlhf ") and page != WITH_A_SERVER]
    shown.sort(key=lambda found: found[0] != "docs/first-run.md")  # it begins with what `make quickstart` did
    for page, command in dict.fromkeys([("docs/first-run.md", "rlhf run quickstart"), *shown]):
        words = shlex.split(command)
        folder = copies if "recipes" in words or "quickstart.yaml" in words else runs
        if words[:3] == ["rlhf", "recipes", "cp"]:
            shutil.rmtree(copies)
            copies.mkdir()
        done = subprocess.run(words, cwd=folder, env=environment, input="Hello\n", capture_output=True, text=True)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout}\n{done.stderr}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text()
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_index_leads_to_every_page() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert listed == {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_the_python_of_the_documentation_runs(tmp_path: Path) -> None:
    """Each block by itself, in a folder of its own."""
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.DOTALL):
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
