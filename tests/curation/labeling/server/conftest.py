"""The real server under the name that the tests of this folder use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parents[n]) for n in (1, 3)]  # memory_log; labeling_server, labeling_ui


@pytest.fixture(scope="session")
def server(labeling_server: Any) -> Any:
    return labeling_server


@pytest.fixture(scope="session")
def measuring() -> Iterator[Callable[[str], Any]]:
    """Gives a module of `benchmarks/labeling`: what measures at full size is tested at a small one."""
    sys.path.insert(0, str(Path(__file__).parents[4] / "benchmarks" / "labeling"))
    yield importlib.import_module
    sys.path.pop(0)
