"""Where CI is set, a skip that nobody planned fails the run, with one process and with two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
PASSES = "def test_passes(): pass\n"
SKIPS = "import pytest\ndef test_skips(): pytest.skip({reason!r})\n"
MISSING = "import pytest\npytest.importorskip('no_such_module_at_all')\ndef test_passes(): pass\n"
XFAIL = "import pytest\n@pytest.mark.xfail(reason='one day')\ndef test_fails(): assert False\n"


def run(folder: Path, *options: str, ci: bool = True) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = heavy: long\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "CI"))} | (
        {"CI": "true"} if ci else {}
    )
    command = [sys.executable, "-m", "pytest", "-q", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two"])
def test_unplanned_skips_fail_in_ci(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "test_one.py").write_text(PASSES + SKIPS.format(reason="needs a GPU"))
    (tmp_path / "test_two.py").write_text(SKIPS.format(reason="no data here"))
    (tmp_path / "test_three.py").write_text(MISSING)
    (tmp_path / "test_four.py").write_text(XFAIL)
    done = run(tmp_path, *options)
    assert done.returncode == 1, done.stdout
    summary = done.stdout.partition("skips that CI does not accept")[2]
    assert "test_two.py::test_skips: no data here" in summary
    assert "no_such_module_at_all" in summary
    assert "test_four.py::test_fails: one day" in summary
    assert "test_one.py" not in summary


@pytest.mark.parametrize(("ci", "reason"), [(True, "needs a GPU: two"), (False, "no data here")])
def test_planned_skips_and_skips_at_home_do_not(tmp_path: Path, ci: bool, reason: str) -> None:
    (tmp_path / "test_one.py").write_text(PASSES + SKIPS.format(reason=reason))
    assert run(tmp_path, ci=ci).returncode == 0


def test_long_tests_start_first(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_short(): pass\n")
    (tmp_path / "test_b.py").write_text("import pytest\n@pytest.mark.heavy\ndef test_long(): pass\n")
    order = [line for line in run(tmp_path, "-vv").stdout.splitlines() if "::test_" in line]
    assert ["test_long" in line for line in order] == [True, False]
