"""Frames on the disk that are looked into without being read: Arrow IPC, mapped into memory.

Texts are what is long in a row, and most of what happens to rows leaves them as they are: some go, some get a score, a
label or a split. So a frame can be kept as a **selection** of another one that is on the disk already: which of its
rows, and the few short columns that may have changed. Whoever reads it sees the whole rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from curation.frame import SCORES

_OF = b"rows of"
"""Where the metadata of a selection's schema say whose rows they are, from its own folder."""
_ROW = "row"


def spill_frame(frame: pl.DataFrame, path: Path) -> None:
    """Writes a frame as one Arrow IPC batch."""
    frame.rechunk().write_ipc(path, record_batch_size=max(1, len(frame)))


def spill_selection(frame: pl.DataFrame, rows: pl.Series, of: Path, path: Path) -> None:
    """Writes a frame as a selection of one that is spilled already.

    Args:
        frame: Rows of the other frame; its columns `split`, `label` and `scores.*` may be others, no other column.
        rows: Which rows of it they are, one number a row.
        of: The other frame; may be a selection itself, and is not needed any more then.
    """
    base, before = _parts(of)
    if before is not None:
        of, rows = base, before[_ROW].gather(rows)
    short = [c for c in frame.columns if c in ("split", "label") or c.startswith(SCORES)]
    own = frame.select(rows.cast(pl.UInt32).alias(_ROW), *short).rechunk().to_arrow()
    own = own.replace_schema_metadata({_OF: os.path.relpath(of, path.parent).encode()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, own.schema) as writer:
        writer.write_table(own)


def mapped(path: Path) -> pl.DataFrame:
    """A spilled frame. Only the texts that are touched come into memory."""
    return Spilled(path).frame()


def base_of(path: Path) -> Path:
    """The file that holds the texts of a spilled frame: itself, or the one that it is a selection of."""
    return _parts(path)[0]


class Spilled:
    """A spilled frame of which parts are asked for.

    Attributes:
        size: About how many bytes its rows take.
    """

    def __init__(self, path: Path) -> None:
        base, self._own = _parts(path)
        self._base = _mapped(base)[1]
        share = 1.0 if self._own is None else len(self._own) / max(1, len(self._base))
        self.size = int(base.stat().st_size * share)

    def __len__(self) -> int:
        return len(self._base if self._own is None else self._own)

    @property
    def ids(self) -> pl.Series:
        """The id of each row."""
        return self._base["id"] if self._own is None else self._base["id"].gather(self._own[_ROW])

    def frame(self) -> pl.DataFrame:
        """All rows."""
        return self.slice(0, len(self))

    def slice(self, first: int, length: int) -> pl.DataFrame:
        """Rows that follow one another."""
        if self._own is None:
            return self._base.slice(first, length)
        return self._whole(self._own.slice(first, length))

    def take(self, rows: Sequence[int]) -> pl.DataFrame:
        """Rows at these places, in this order."""
        return self._base[rows] if self._own is None else self._whole(self._own[rows])

    def _whole(self, own: pl.DataFrame) -> pl.DataFrame:
        return self._base[own[_ROW]].with_columns(own.drop(_ROW).get_columns())


def _parts(path: Path) -> tuple[Path, pl.DataFrame | None]:
    """(the file with the texts, the rows and short columns of a selection or None)."""
    of, frame = _mapped(path)
    return (path, None) if of is None else (path.parent / of, frame)


def _mapped(path: Path) -> tuple[str | None, pl.DataFrame]:
    with pa.memory_map(str(path)) as source:
        found = pa.ipc.open_file(source).read_all()
    frame = pl.from_arrow(found, rechunk=False)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"{path} holds no frame")
    of = (found.schema.metadata or {}).get(_OF)
    return None if of is None else of.decode(), frame
