"""The records of one file, whatever kind of file it is.

The kind is told by the content: Parquet and Arrow by their first bytes, JSON by the bracket that it opens with, and
within JSON the three ways to write many records: one a line, one array, or objects one after the other. CSV alone has
no mark and is told by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.errors import UserError
from curation.sources.jsontext import Break, Broken, Elements, lines, value
from curation.sources.stream import Stream
from curation.sources.tables import arrow_rows, csv_rows, parquet_rows

KINDS = ("json", "jsonl", "ndjson", "csv", "tsv", "parquet", "arrow", "feather")
"""Endings of files with records; `.gz` and `.zst` may follow."""
PACKED = ("gz", "zst", "zstd")
READABLE = "json, jsonl, csv, parquet or arrow, plain or packed as gz or zst"


def kind_by_name(name: str) -> str | None:
    """The ending that says what is in a file (`jsonl` of `a.jsonl.gz`), or None when it is none of `KINDS`."""
    parts = name.lower().split(".")[1:]
    if parts and parts[-1] in PACKED:
        parts.pop()
    return parts[-1] if parts and parts[-1] in KINDS else None


class Records:
    """The records of a file, in order: iterate to get plain values, or `Broken` for those that cannot be read.

    Attributes:
        end: Whether the file broke off and what was lost; complete once all records are read.

    Raises:
        UserError: while iterating, when the file as a whole cannot be read. The message does not name the file.
    """

    def __init__(self, path: Path, columns: list[str] | None = None) -> None:
        self.path, self._columns = path, columns
        self.end = Break()
        self._stream = Stream(path)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._stream.size

    @property
    def read(self) -> int:
        """Of these, how many have been read."""
        return self._stream.read

    def __iter__(self) -> Iterator[Any]:
        if self.size == 0:
            raise UserError("the file is empty")
        with self.path.open("rb") as file:
            magic = file.read(6)
        reader = parquet_rows if magic[:4] == b"PAR1" else arrow_rows if _is_arrow(magic, self.path) else None
        if reader:
            yield from reader(self.path, self._columns, self.end)
            self._stream.read = self.size
            return
        yield from self._text()
        self.end.broke_off = self.end.broke_off or self._stream.broke_off
        self.end.bytes_lost += self._stream.bytes_lost

    def _text(self) -> Iterator[Any]:
        head = self._stream.head()
        kind = kind_by_name(self.path.name)
        if kind in ("csv", "tsv"):
            return csv_rows(self._stream.chunks(), self.end)
        start = head.lstrip()
        if not start:
            raise UserError("the file is empty")
        if start[:1] not in (b"{", b"[") and kind not in ("jsonl", "ndjson"):
            raise UserError(f"it is no JSON; it begins with {_shown(start)}", hint=f"what can be read: {READABLE}")
        if _one_a_line(start, kind):
            return lines(self._stream.chunks(), self.end)
        return iter(Elements(self._stream.chunks(), self.end))


def _is_arrow(magic: bytes, path: Path) -> bool:
    """An Arrow file has a mark; a stream begins with the length of its schema, which other binary files could too."""
    return magic == b"ARROW1" or (magic[:4] == b"\xff\xff\xff\xff" and kind_by_name(path.name) == "arrow")


def _one_a_line(start: bytes, kind: str | None) -> bool:
    """Whether a JSON text has a record on each line, judged by its first."""
    if start[:1] == b"[":
        return False
    first, feed, _ = start.partition(b"\n")
    first = first.strip()
    if first == b"{":  # an object that is spread over lines
        return False
    if kind in ("jsonl", "ndjson"):
        return True
    return bool(feed) and (first.endswith(b"}") or not isinstance(value(first), Broken))


def _shown(start: bytes) -> str:
    return repr(start[:20].decode("utf-8", "replace"))
