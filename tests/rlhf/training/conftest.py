"""Fixtures that run a training step in a folder of its own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `small_runs`, here and in child processes

import small_runs as small

from curation.artifact import Ref
from curation.conversation import AnyRow
from rlhf.recipe.step import Done, Room, Step


@pytest.fixture
def rows_ref(tmp_path: Path) -> small.Make:
    """`rows_ref(rows)`: a bound Ref to a data set with these rows; `part=` names one of its parts."""
    count = itertools.count(1)

    def make(rows: Sequence[AnyRow], *, part: str | None = None) -> Ref[Any]:
        return small.data_ref(tmp_path / f"data{next(count)}", rows, part)

    return make


@pytest.fixture
def run_step(tmp_path: Path) -> small.Run:
    """`run_step(step, beside=parent)`: runs it and publishes the artifact; gives (Done, its folder, the room)."""
    count = itertools.count(1)

    def run(step: Step, *, beside: Path, **training: Any) -> tuple[Done, Path, Room]:
        own = small.room(tmp_path / f"run{next(count)}", **training)
        done = step.run(own)
        assert isinstance(done, Done)
        return done, small.publish(step, own.out, beside), own

    return run
