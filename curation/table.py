"""A data set on the disk: a folder of Parquet shards in the schema of `curation.frame`, sorted by (id, origin).

This is the one place that writes and reads it. The digest depends on the rows alone, not on shards, compression or
the version of Parquet.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from curation.errors import UserError, did_you_mean
from curation.frame import SCHEMAS, in_order, row_hashes, row_type, score_columns, to_rows

SHARD_ROWS = 50_000


def write(folder: Path, frames: pl.DataFrame | Iterable[pl.DataFrame]) -> int:
    """Sorts the rows by (id, origin) and writes them as `rows-00000.parquet` ...; returns how many there are.

    Args:
        folder: Made when it is not there; must hold no shards yet.
        frames: One frame, or frames of one row type. Score columns may differ: a missing score is null.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [frames] if isinstance(frames, pl.DataFrame) else list(frames)
    if not parts:
        raise ValueError("no frame to write: give an empty one, so that the row type is known")
    frame = in_order(pl.concat(parts, how="diagonal_relaxed"))
    frame = frame.select(*_fixed(frame), *score_columns(frame), *_others(frame))
    for number, start in enumerate(range(0, max(1, len(frame)), SHARD_ROWS)):
        part = frame.slice(start, SHARD_ROWS)
        part.write_parquet(folder / f"rows-{number:05}.parquet", compression="zstd", compression_level=1)
    return len(frame)


def _fixed(frame: pl.DataFrame) -> list[str]:
    return list(SCHEMAS[row_type(frame)])


def _others(frame: pl.DataFrame) -> list[str]:
    """Columns beyond the schema: `dropped_by` and `reason` of dropped rows."""
    return [c for c in frame.columns if c not in SCHEMAS[row_type(frame)] and c not in score_columns(frame)]


def shards(folder: Path) -> list[Path]:
    """The Parquet files of a data set, in order.

    Raises:
        UserError: the folder holds none.
    """
    found = sorted(folder.glob("rows-*.parquet"))
    if not found:
        raise UserError(f"{folder} holds no data set", hint="a data set is a folder with rows-00000.parquet ...")
    return found


def scan(folder: Path, part: str | None = None) -> pl.LazyFrame:
    """The rows, or those of one split, lazily.

    Raises:
        UserError: no row is in the split `part`; the message names the splits that there are.
    """
    frame = pl.scan_parquet(shards(folder))
    if part is None:
        return frame
    known = parts(folder)
    if part not in known:
        hint = did_you_mean(part, known) if known else "no row has a split: add the operator `split`"
        raise UserError(f"the data set has no part {part!r}", hint=hint)
    return frame.filter(pl.col("split") == part)


def read(folder: Path, part: str | None = None) -> pl.DataFrame:
    """The rows, or those of one split, as a frame sorted by (id, origin)."""
    return scan(folder, part).collect()


def rows(folder: Path, part: str | None = None) -> list[Any]:
    """The rows as `Conversation`, `Candidates` or `Preference`."""
    return to_rows(read(folder, part))


def batches(folder: Path, part: str | None = None, size: int = 10_000) -> Iterator[pl.DataFrame]:
    """The rows in frames of at most `size` rows: never more than a shard in memory."""
    for shard in shards(folder):
        frame = pl.read_parquet(shard)
        if part is not None:
            frame = frame.filter(pl.col("split") == part)
        for start in range(0, len(frame), size):
            yield frame.slice(start, size)


def parts(folder: Path) -> dict[str, int]:
    """Split -> rows, sorted by name; empty when no row has a split."""
    lazy = pl.scan_parquet(shards(folder))
    if "split" not in lazy.collect_schema().names():
        return {}
    counts = lazy.drop_nulls("split").group_by("split").len().sort("split").collect()
    return dict(counts.iter_rows())


def count(folder: Path) -> int:
    """Number of rows."""
    return int(pl.scan_parquet(shards(folder)).select(pl.len()).collect().item())


def digest(folder: Path) -> str:
    """sha256 over the kind and the sorted hashes of the rows: 64 hex digits.

    A table that is no data set (malformed records) is hashed by its values, in order.
    """
    names = pl.read_parquet_schema(shards(folder)[0])
    if "id" not in names:
        frame = read(folder)
        text = frame.write_ndjson()
        return hashlib.sha256(f"table\n{text}".encode()).hexdigest()
    hashes: list[str] = []
    kind = ""
    for shard in shards(folder):
        frame = pl.read_parquet(shard)
        kind = row_type(frame).__name__
        extra = _others(frame)
        own = row_hashes(frame)
        if extra:  # why a row was dropped is part of what a table of dropped rows holds
            own = pl.select(pl.concat_str(own, *(frame[c].fill_null("") for c in extra), separator="\x1f")).to_series()
        hashes += own.to_list()
    return hashlib.sha256("\n".join([kind, *sorted(hashes)]).encode()).hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copies a data set's shards into another folder."""
    target.mkdir(parents=True, exist_ok=True)
    for shard in shards(source):
        shutil.copyfile(shard, target / shard.name)
