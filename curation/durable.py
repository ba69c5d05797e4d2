"""What is on the disk stays there when the machine loses power, and that is only known after it was flushed."""

from __future__ import annotations

import os
from pathlib import Path


def put(written: Path, path: Path) -> None:
    """Gives a file that was written beside its place its name there: all of it is there then, or none."""
    flush(written)
    os.replace(written, path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Returns once a file's content, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
