"""Records out of tables: CSV (commas, semicolons or tabs, the first row names the columns) and Parquet."""

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


def csv_rows(chunks: Iterator[bytes], end: Break) -> Iterator[Any]:
    """One dict of texts (or `Broken`) a row.

    Raises:
        UserError: two columns have the same name, or one has none.
    """
    csv.field_size_limit(_LONGEST_CELL)
    taken: list[str] = []
    texts = _text_lines(chunks, taken)
    first = next(texts, "")
    delimiter = max(",;\t", key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise UserError("its first row does not name the columns", hint=f"it reads: {first.strip()[:80]}")
    rows = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        taken.clear()
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
        if len(row) != len(names):
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


def _text_lines(chunks: Iterator[bytes], taken: list[str]) -> Iterator[str]:
    """Lines with their ends; each is also noted in `taken`. Bytes that are no UTF-8 become surrogates."""
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).splitlines(keepends=True) or [b""]
        if held.endswith(b"\n"):
            whole, held = [*whole, held], b""
        for line in whole:
            taken.append(line.decode("utf-8", "surrogateescape"))
            yield taken[-1]
    if held:
        taken.append(held.decode("utf-8", "surrogateescape"))
        yield taken[-1]


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
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"it cannot be read as Parquet: {str(error).splitlines()[0]}",
            hint="Parquet keeps its index at the end, so a file that was cut off is lost: get it again",
        ) from error
    with file:
        wanted = None if columns is None else [name for name in file.schema_arrow.names if name in columns]
        for group in range(file.metadata.num_row_groups):
            left = file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=wanted):
                    left -= batch.num_rows
                    yield from _values(batch)
            except (pyarrow.ArrowException, OSError):
                end.broke_off, end.bytes_lost = True, end.bytes_lost + file.metadata.row_group(group).total_byte_size
                for _ in range(left):
                    yield Broken("damaged", b"")


def _values(batch: Any) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for i in range(batch.num_rows):
            try:
                found = batch.slice(i, 1).to_pylist()[0]
            except UnicodeDecodeError:
                found = Broken("not_utf8", b"")
            yield found
