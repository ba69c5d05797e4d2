"""The command `rlhf`, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in the working directory: (exit code, stdout, stderr)."""
    for name in ("RLHF_STORE", "RLHF_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def one(*words: str) -> tuple[int, str, str]:
        try:
            code = main(words)
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return one


@pytest.fixture
def rlhf(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    return command
