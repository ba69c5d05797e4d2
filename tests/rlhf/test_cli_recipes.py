"""The shipped recipes by name: listed, shown, copied whole, and right where they are copied to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlhf.cli import main
from rlhf.recipe import shipped


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_list_says_what_to_expect_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "ls"]) == 0
    out = capsys.readouterr().out
    for name in shipped.recipes():
        assert name in out
    assert "Hardware:" in out
    assert main(["recipes", "ls", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["recipes"]) == set(shipped.recipes())


def test_a_recipe_is_shown_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "mini/alpaca"]) == 0
    assert capsys.readouterr().out == shipped.recipes()["mini/alpaca"].read_text(encoding="utf-8")
    assert main(["recipes", "show", "alpacka"]) == 2
    assert "did you mean 'alpaca'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", shipped.recipes())
def test_a_copy_is_whole(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "cp", name, "copies"]) == 0
    copy = tmp_path / "copies" / f"{name}.yaml"
    assert main(["check", str(copy)]) == 0, capsys.readouterr().err


def test_copying_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "quickstart.yaml").write_text("mine")
    assert main(["recipes", "cp", "quickstart"]) == 1
    assert "quickstart.yaml: already there" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["quickstart.yaml"]


def test_a_file_of_ones_own_is_not_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("recipe: mine")
    assert main(["recipes", "cp", "mine.yaml"]) == 1
    assert "a file of your own" in capsys.readouterr().err
