"""Files that are there when all of them is: written under another name, and renamed when they are whole.

A process that is killed leaves at most a `.part`, which nobody reads; one that fails (the disk is full) leaves nothing.
The other name is the process's own, so that two that write the same file do not meet.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from curation.spilled import spill_frame, spill_selection


def spill(frame: pl.DataFrame, path: Path) -> None:
    """Writes a frame for `curation.spilled.mapped`."""
    _whole(path, lambda part: spill_frame(frame, part))


def select(frame: pl.DataFrame, rows: pl.Series, of: Path, path: Path) -> None:
    """Writes a frame as a selection of a spilled one; see `curation.spilled.spill_selection`."""
    _whole(path, lambda part: spill_selection(frame, rows, of, part))


def note(text: str, path: Path) -> None:
    """Writes a short text."""
    _whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def tidy(folder: Path) -> None:
    """Removes what a process that was killed had begun to write."""
    for path in folder.glob("*.part"):
        path.unlink(missing_ok=True)


def _whole(path: Path, write: Callable[[Path], Any]) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    try:
        write(part)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
