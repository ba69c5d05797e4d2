"""What `pip install .` gives: two packages, the recipes inside one of them, and a command that needs no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

import rlhf

ROOT = Path(__file__).parents[2]


def tracked(folder: str) -> list[str]:
    """Files below a folder that git would keep: the index and what is new, without what is ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", folder]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted({path for path in listed if (ROOT / path).is_file()})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an sdist, and with the wheel that was built from it (and not from the checkout)."""
    out = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], check=True)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as opened:
        yield opened


def test_the_wheel_holds_two_packages_and_the_recipes_inside(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    moved = {"rlhf/_recipes" + path.removeprefix("recipes") for path in tracked("recipes")}
    assert held == {*tracked("curation"), *tracked("rlhf"), *moved}
    assert {"curation/py.typed", "rlhf/py.typed", "rlhf/_recipes/quickstart.yaml"} <= held


def test_recipes_hold_no_python(wheel: zipfile.ZipFile) -> None:
    assert not [path for path in tracked("recipes") if path.endswith(".py")]


def test_the_metadata_say_what_it_is(wheel: zipfile.ZipFile) -> None:
    folder = f"rlhf_curation-{rlhf.__version__}.dist-info"
    metadata = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert metadata["Name"] == "rlhf-curation"
    assert metadata["Version"] == rlhf.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "embed",
        "label",
        "ray",
        "llamacpp",
        "names",
        "math",
        "quant",
        "track",
        "dev",
    }
    assert wheel.read(f"{folder}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "rlhf",
        "=",
        "rlhf.cli:main",
    ]
    assert b"Apache License" in wheel.read(f"{folder}/licenses/LICENSE")


def test_the_source_distribution_is_complete(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert {*tracked("curation"), *tracked("rlhf"), *tracked("recipes"), "pyproject.toml", "LICENSE"} <= held


class Installed:
    """The wheel in a folder of its own, used from a place where no checkout is."""

    def __init__(self, site: Path, elsewhere: Path) -> None:
        self.site, self.elsewhere = site, elsewhere

    def rlhf(self, *arguments: str) -> str:
        """Standard output of the installed command.

        The variable comes before the environment's own packages, among which the checkout may be.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RLHF_")} | {
            "PYTHONPATH": str(self.site)
        }
        command = [sys.executable, str(self.site / "bin" / "rlhf"), *arguments]
        done = subprocess.run(command, cwd=self.elsewhere, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    site = tmp_path_factory.mktemp("site")
    wheel = next(built.glob("*.whl"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    return Installed(site, tmp_path_factory.mktemp("elsewhere"))


def test_the_installed_command_lists_its_recipes(installed: Installed) -> None:
    listed = installed.rlhf("recipes", "ls")
    assert "quickstart" in listed
    assert "openassistant" in listed


def test_the_installed_command_checks_a_shipped_recipe(installed: Installed) -> None:
    installed.rlhf("check", "quickstart")
    assert not list(installed.elsewhere.iterdir()), "a check leaves nothing behind"


def test_a_copied_recipe_is_a_whole_one(installed: Installed) -> None:
    installed.rlhf("recipes", "cp", "quickstart")
    assert (installed.elsewhere / "quickstart.yaml").read_bytes() == (ROOT / "recipes" / "quickstart.yaml").read_bytes()
    installed.rlhf("check", "quickstart.yaml")
