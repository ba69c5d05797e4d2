"""Records out of tables: CSV (commas, semicolons or tabs, the first row names the columns), Parquet and Arrow."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.errors import UserError
from curation.sources.jsontext import Break, Broken

_BATCH = 1000
"""Rows of a Parquet file turned into Python values at once."""
_LONGEST_CELL = 1 << 28
"""Characters of a cell, and bytes of a line of CSV."""


def csv_rows(chunks: Iterator[bytes], end: Break) -> Iterator[Any]:
    """One dict of texts (or `Broken`) a row.

    Raises:
        UserError: two columns have the same name, or one has none.
    """
    csv.field_size_limit(_LONGEST_CELL)
    taken: list[str] = []
    long: list[int] = []
    texts = _text_lines(chunks, taken, long)
    first = next(texts, "")
    delimiter = max(",;\t", key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise UserError("its first row does not name the columns", hint=f"it reads: {first.strip()[:80]}")
    rows = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        long.clear()
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raw = "".join(taken).encode("utf-8", "surrogateescape")
            if "unexpected end" in str(error):
                end.broke_off, end.bytes_lost = True, end.bytes_lost + len(raw)
                yield Broken("cut_off", raw)
            else:
                yield Broken("not_csv", raw)
            continue
        if not row:
            continue
        raw = "".join(taken).encode("utf-8", "surrogateescape")
        if long:
            yield Broken("too_long", raw)
        elif len(row) != len(names):
            yield Broken("wrong_number_of_columns", raw)
        elif not all(map(_is_utf8, row)):
            yield Broken("not_utf8", raw)
        else:
            yield dict(zip(names, row, strict=True))


def _is_utf8(cell: str) -> bool:
    try:
        return cell.isascii() or bool(cell.encode())
    except UnicodeEncodeError:
        return False


def _text_lines(chunks: Iterator[bytes], taken: list[str], long: list[int]) -> Iterator[str]:
    """Lines with their ends; each is also noted in `taken`. Bytes that are no UTF-8 become surrogates.

    Of a line that is far too long only the beginning is kept, and its length is noted in `long`.
    """
    pieces: list[bytes] = []
    held = 0

    def line() -> str:
        nonlocal held
        if held > _LONGEST_CELL:
            long.append(held)
        taken.append(b"".join(pieces).decode("utf-8", "surrogateescape"))
        pieces.clear()
        held = 0
        return taken[-1]

    for chunk in chunks:
        for part in chunk.splitlines(keepends=True):
            if pieces and pieces[-1].endswith(b"\r") and part != b"\n":  # a line that ended with the chunk before
                yield line()
            if held <= _LONGEST_CELL:
                pieces.append(part)
            elif part.endswith((b"\n", b"\r")):
                pieces.append(b"\n")
            held += len(part)
            if part.endswith(b"\n"):
                yield line()
    if pieces:
        yield line()


def parquet_rows(path: Path, columns: list[str] | None, end: Break) -> Iterator[Any]:
    """One dict (or `Broken`) a row. A damaged row group is lost, the others are read.

    Args:
        columns: Read these alone; None: all.

    Raises:
        UserError: the file is cut off, so that its index at the end is missing.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = file.schema_arrow.names
    except _damaged() as error:
        raise UserError(
            f"it cannot be read as Parquet: {str(error).splitlines()[0]}",
            hint="Parquet keeps its index at the end, so a file that was cut off is lost: get it again",
        ) from error
    with file:
        wanted = None if columns is None else [name for name in names if name in columns]
        for group in range(file.metadata.num_row_groups):
            left = file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=wanted):
                    left -= batch.num_rows
                    yield from _values(batch)
            except _damaged():
                end.broke_off, end.bytes_lost = True, end.bytes_lost + file.metadata.row_group(group).total_byte_size
                for _ in range(left):
                    yield Broken("damaged", b"")


def arrow_rows(path: Path, columns: list[str] | None, end: Break) -> Iterator[Any]:
    """One dict (or `Broken`) a row of an Arrow file (Feather) or stream (`save_to_disk` of datasets).

    Both are read as streams, front to back, so that a file that was cut off is read up to the break.

    Raises:
        UserError: it is no Arrow, or its beginning is damaged.
    """
    import pyarrow

    with path.open("rb") as file:
        file.seek(8 if file.read(6) == b"ARROW1" else 0)
        try:
            reader = pyarrow.ipc.open_stream(file)
            wanted = [name for name in reader.schema.names if columns is None or name in columns]
        except _damaged() as error:
            raise UserError(
                f"it cannot be read as Arrow: {str(error).splitlines()[0]}", hint="get the file again"
            ) from error
        whole = 0
        while True:
            try:
                batch = reader.read_next_batch()
                slices = [batch.slice(i, _BATCH).select(wanted) for i in range(0, batch.num_rows, _BATCH)]
            except StopIteration:
                return
            except _damaged():
                end.broke_off, end.bytes_lost = True, end.bytes_lost + path.stat().st_size - whole
                return
            whole = file.tell()
            for some in slices:
                yield from _values(some)


def _damaged() -> tuple[type[Exception], ...]:
    """What Arrow raises over a damaged file: bytes that are no UTF-8 (ValueError), lengths beyond any memory."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError)


def _values(batch: Any) -> Iterator[Any]:
    """The rows as plain values; one that has none (text that is no UTF-8, a date out of range) is broken alone.

    Arrow trusts what lies in a file, and would read beyond the ends of its buffers where that is damaged: so it is
    checked first.
    """
    failures = _damaged()
    try:
        batch.validate(full=True)
        found = _whole_microseconds(batch).to_pylist()
    except failures:
        for i in range(batch.num_rows):
            try:
                one = batch.slice(i, 1)
                one.validate(full=True)
                yield from _whole_microseconds(one).to_pylist()
            except failures as error:
                yield Broken("not_utf8" if "UTF8" in str(error) or "utf-8" in str(error) else "damaged", b"")
        return
    yield from found


def _whole_microseconds(batch: Any) -> Any:
    """The batch with times in the precision that Python's have: nanoseconds would make every row unreadable."""
    import pyarrow

    for i, field in enumerate(batch.schema):
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            coarse = batch.column(i).cast(pyarrow.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(i, field.name, coarse)
    return batch
