"""A data set on the disk: a folder of Parquet files, its rows in one order, and one digest for what they say.

`rows-00000.parquet`, `rows-00001.parquet` ... hold the columns of `curation.frame`, sorted by (id, origin) over all
files. This is the one place that reads and writes them. Sets that do not fit in memory are sorted on the disk: every
frame is spilled sorted, and each output file is then merged from the slices that belong to it. How rows are cut into
files is not part of what a set holds: the digest is made of row hashes alone, never of Parquet's bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from curation.conversation import AnyRow, Candidates, Conversation, Preference
from curation.errors import UserError, did_you_mean
from curation.frame import DROPPED, IN_ID, SCHEMAS, SCORES, empty, in_order, row_hashes, row_type, to_frame, to_rows
from curation.spilled import Spilled, spill_frame

ROWS_PER_FILE = 50_000
"""At most so many rows in a file, fewer where rows are long."""
BYTES_PER_FILE = 128 * 1024 * 1024
"""About so many bytes of a file's rows in memory."""
ROWS_PER_GROUP = 10_000
"""Rows of one Parquet row group: what a reader of slices must decode at once."""

_NAMES: dict[type, str] = {Conversation: "conversations", Candidates: "candidates", Preference: "preferences"}


def kind_name(frame: pl.DataFrame) -> str:
    """`conversations`, `candidates` or `preferences`."""
    return _NAMES[row_type(frame)]


def write(folder: Path, rows: pl.DataFrame | Iterable[pl.DataFrame], kind: type | None = None) -> int:
    """Writes a data set in its order; returns the number of rows.

    Args:
        folder: Made when it is not there; must hold no rows yet.
        rows: One frame, or any number of frames of one row type, which need not be sorted nor fit in memory together.
        kind: The row type of a set whose `rows` may be no frame at all (`Conversation` ...).

    A frame without an `id` is a table of something else (malformed records) and is written as it is.

    Raises:
        ValueError: a frame has columns that no data set has, or there is neither a frame nor a kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("rows-*.parquet")):
        raise ValueError(f"{folder} holds rows already")
    if isinstance(rows, pl.DataFrame) and "id" not in rows.columns:
        _write_file(folder, 0, rows)
        return len(rows)
    frames = iter([rows] if isinstance(rows, pl.DataFrame) else rows)
    held: list[pl.DataFrame] = []
    count = size = 0
    for frame in frames:
        held.append(_checked(frame))
        count += len(frame)
        size += int(frame.estimated_size())
        if count > ROWS_PER_FILE or size > BYTES_PER_FILE:
            return _write_sorted_on_disk(folder, chain(held, map(_checked, frames)))
    if not held and kind is None:
        raise ValueError("there is no frame to write, and no kind that says what an empty one looks like")
    whole = in_order(concat(held or [empty(kind or Conversation)]))
    _write_file(folder, 0, whole)
    return len(whole)


def write_spilled(folder: Path, paths: Sequence[Path], head: pl.DataFrame) -> int:
    """The same for frames that are spilled already (`curation.spilled`): their texts are not written a second time.

    Args:
        head: No rows, with the columns of those that may be there.
    """
    frames = [Spilled(path) for path in paths]
    if sum(map(len, frames)) <= ROWS_PER_FILE and sum(frame.size for frame in frames) <= BYTES_PER_FILE:
        return write(folder, chain([head], (frame.frame() for frame in frames)))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("rows-*.parquet")):
        raise ValueError(f"{folder} holds rows already")
    with _sorting(folder) as spill:
        for number, frame in enumerate(frames):
            if not frame.ids.is_sorted():
                path = spill / f"{number:06d}.arrow"
                spill_frame(frame.frame().sort("id"), path)
                frames[number] = Spilled(path)
        return _write_merged(folder, frames, head)


def write_rows(folder: Path, rows: Iterable[AnyRow], kind: type) -> int:
    """Writes rows that are in memory; see `write`."""
    return write(folder, to_frame(rows, kind))


def concat(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Frames of one row type below each other; a score that some of them lack is null there."""
    return pl.concat([f.select(_ordered(f.columns)) for f in frames], how="diagonal", rechunk=True)


def shards(folder: Path) -> list[Path]:
    """The Parquet files of a set, in order.

    Raises:
        UserError: the folder holds none.
    """
    found = sorted(folder.glob("rows-*.parquet"))
    if not found:
        raise UserError(f"there is no data set in {folder}", hint="a data set is a folder with rows-00000.parquet ...")
    return found


def scan(folder: Path, part: str | None = None) -> pl.LazyFrame:
    """The set as a lazy frame, for queries that need a few columns.

    Raises:
        UserError: there is no data set, or it has no such part.
    """
    lazy = pl.scan_parquet(shards(folder))
    return lazy if part is None else lazy.filter(pl.col("split") == _known_part(folder, part))


def read(folder: Path, part: str | None = None) -> pl.DataFrame:
    """The whole set, or one split of it, in order.

    Raises:
        UserError: there is no data set, or it has no such part.
    """
    return scan(folder, part).collect()


def rows(folder: Path, part: str | None = None) -> list[Any]:
    """Like `read`, as a list of `Conversation`, `Candidates` or `Preference`."""
    return to_rows(read(folder, part))


def count(folder: Path) -> int:
    """Number of rows."""
    return int(pl.scan_parquet(shards(folder)).select(pl.len()).collect().item())


def parts(folder: Path) -> dict[str, int]:
    """Split -> rows, sorted by name; empty for a set that is not split. Rows outside all splits are in none."""
    lazy = pl.scan_parquet(shards(folder))
    if "split" not in lazy.collect_schema().names():
        return {}
    return dict(lazy.drop_nulls("split").group_by("split").len().sort("split").collect().iter_rows())


def part_or(folder: Path, part: str | None, default: str) -> str | None:
    """The split to take: the one asked for, else `default` in a set that is split, else None for the whole set.

    Raises:
        UserError: the set is split, but has no such part.
    """
    if part is None and not parts(folder):
        return None
    return _known_part(folder, part or default)


def batches(folder: Path, part: str | None = None, size: int = 10_000) -> Iterator[pl.DataFrame]:
    """The rows, or those of one split, in order and in frames of at most `size` rows."""
    wanted = None if part is None else _known_part(folder, part)
    for path, offset, length in slices(folder, size):
        frame = read_slice(path, offset, length)
        yield frame if wanted is None else frame.filter(pl.col("split") == wanted)


def digest(folder: Path) -> str:
    """What the set holds, in 64 hex digits: the kind and the sorted row hashes. Cutting into files changes nothing.

    A table that is no data set (malformed records) is hashed by its values, in order.
    """
    paths = shards(folder)
    head = pl.read_parquet(paths[0], n_rows=0)
    if "id" not in head.columns:
        return hashlib.sha256(f"table\n{read(folder).write_ndjson()}".encode()).hexdigest()
    kind = row_type(head)
    columns = [c for c in head.columns if c not in IN_ID[kind]]
    hashes = pl.concat([row_hashes(pl.read_parquet(path, columns=columns), kind) for path in paths]).sort()
    whole = hashlib.sha256(f"{kind_name(head)}\n".encode())
    for some in hashes.to_frame().iter_slices(100_000):
        whole.update("".join(some.to_series()).encode())
    return whole.hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copies a set's files into another folder, which is made."""
    target.mkdir(parents=True, exist_ok=True)
    for path in shards(source):
        shutil.copyfile(path, target / path.name)


def slices(folder: Path, rows: int) -> list[tuple[Path, int, int]]:
    """(file, offset, length) of consecutive batches of at most `rows` rows; one empty batch for an empty set."""
    found = []
    for path in shards(folder):
        n = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        found += [(path, i, min(rows, n - i)) for i in range(0, n, rows)]
    return found or [(shards(folder)[0], 0, 0)]


def read_slice(path: Path, offset: int, length: int) -> pl.DataFrame:
    """One batch of `slices`; decodes the row groups that hold it."""
    return pl.scan_parquet(path).slice(offset, length).collect()


def _known_part(folder: Path, part: str) -> str:
    known = parts(folder)
    if part not in known:
        hint = did_you_mean(part, known) if known else "it is not split: an operator `split: {test: 0.1}` does that"
        raise UserError(f"the data set has no part {part!r}", hint=hint)
    return part


def _checked(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with its columns in canonical order and of the canonical types."""
    schema = SCHEMAS[row_type(frame)]
    strange = [c for c in frame.columns if c not in schema and c not in DROPPED and not c.startswith(SCORES)]
    missing = [c for c in schema if c not in frame.columns]
    if strange or missing:
        raise ValueError(f"no frame of {kind_name(frame)}: columns {strange} are strange, {missing} are missing")
    types: Any = {c: schema.get(c) or DROPPED.get(c) or pl.Float64 for c in frame.columns}
    return frame.cast(types).select(_ordered(frame.columns))


def _ordered(columns: list[str]) -> list[str]:
    scores = sorted(c for c in columns if c.startswith(SCORES))
    return [c for c in columns if not c.startswith(SCORES)] + scores


def _write_file(folder: Path, number: int, frame: pl.DataFrame) -> None:
    path = folder / f"rows-{number:05d}.parquet"
    # Without statistics: of texts they are texts again, and nothing here asks for ranges of anything.
    frame.write_parquet(path, compression="zstd", compression_level=1, row_group_size=ROWS_PER_GROUP, statistics=False)


def _write_sorted_on_disk(folder: Path, frames: Iterator[pl.DataFrame]) -> int:
    """Spills each frame sorted, then merges them."""
    with _sorting(folder) as spill:
        paths: list[Path] = []
        for frame in frames:
            paths.append(spill / f"{len(paths):06d}.arrow")
            spill_frame(frame.sort("id"), paths[-1])
        return _write_merged(folder, list(map(Spilled, paths)))


@contextmanager
def _sorting(folder: Path) -> Iterator[Path]:
    """A folder for what is sorted on the way, which goes afterwards."""
    spill = folder / ".sorting"
    shutil.rmtree(spill, ignore_errors=True)
    spill.mkdir()
    try:
        yield spill
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _write_merged(folder: Path, frames: Sequence[Spilled], *heads: pl.DataFrame) -> int:
    """Writes one range of ids after the other, from the slice of each frame that belongs to it.

    Args:
        frames: Each sorted by id.
        heads: No rows, with columns that must be there.
    """
    known = [_checked(head) for head in (*heads, *(frame.slice(0, 0) for frame in frames))]
    types = {c: dtype for head in known for c, dtype in head.schema.items()}
    columns = _ordered(list(types))
    ids = [frame.ids for frame in frames]
    begins = pl.concat([_beginnings(own) for own in ids]).sort()
    count = len(begins)
    edges = _edges(begins, sum(frame.size for frame in frames))
    del begins
    for number, (low, high) in enumerate(zip(edges, [*edges[1:], None], strict=True)):
        ranges = [(frame, *_range(own, low, high)) for frame, own in zip(frames, ids, strict=True)]
        pieces = [_checked(frame.slice(first, last - first)) for frame, first, last in ranges if last > first]
        whole = pl.concat(pieces, how="diagonal", rechunk=True)
        missing = [pl.lit(None, dtype=types[c]).alias(c) for c in columns if c not in whole.columns]
        _write_file(folder, number, in_order(whole.with_columns(missing).select(columns)))
    return count


_BEGINNING = 12
"""Hex digits of each id by which rows are dealt out to files: all that is kept of every row while a set is sorted."""


def _beginnings(ids: pl.Series) -> pl.Series:
    """As numbers, which keep no text in memory."""
    return ids.str.slice(0, _BEGINNING).str.to_integer(base=16, dtype=pl.UInt64, strict=False).fill_null(0)


def _edges(begins: pl.Series, size: int) -> list[str]:
    """What the first id of each output file begins with. Equal ids never fall into two files.

    Args:
        begins: The beginnings of all ids, sorted.
        size: Bytes of all rows.
    """
    per_row = max(1, size // max(1, len(begins)))
    step = max(1, min(ROWS_PER_FILE, BYTES_PER_FILE // per_row))
    return ["", *sorted({f"{begins[i]:0{_BEGINNING}x}" for i in range(step, len(begins), step)})]


def _range(ids: pl.Series, low: str, high: str | None) -> tuple[int, int]:
    """Where ids in [low, high) lie in a sorted series."""
    start = int(ids.search_sorted(low, side="left"))
    return start, len(ids) if high is None else int(ids.search_sorted(high, side="left"))
