from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the toy steps, by name, here and in child processes

Write = Callable[..., Path]


@pytest.fixture
def kind_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step and operator names of `kind_steps.py` in place of the real ones."""
    import kind_steps as toys

    monkeypatch.setattr("rlhf.steps.BUILTIN", toys.STEPS)
    monkeypatch.setattr("curation.operators.BUILTIN", toys.OPERATORS)
    monkeypatch.delenv("RLHF_PROFILE", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(text)` makes `recipe.yaml`; `write(text, "sub/other.yaml")` another file."""

    def one(text: str, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return one
