"""The records of one file, whatever kind of file it is.

The kind is told by the content: Parquet and Arrow by their first bytes, JSON by the bracket that it opens with, and
within JSON the three ways to write many records: one a line, one array, or objects one after the other. CSV alone has
no mark and is told by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UserError
from curation.formats.plain import Plain
from curation.sources.jsontext import MAX_RECORD, Break, Broken, Elements, lines, value
from curation.sources.stream import Stream
from curation.sources.tables import arrow_rows, csv_rows, parquet_rows

if TYPE_CHECKING:
    import polars as pl

KINDS = ("json", "jsonl", "ndjson", "csv", "tsv", "parquet", "arrow", "feather")
"""Endings of files with records; `.gz` and `.zst` may follow."""
PACKED = ("gz", "zst", "zstd")
BLOCK = 1 << 23
"""Bytes of the lines that are looked at together for plain chats."""
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
        for piece in self.pieces():
            yield from piece

    def pieces(self, plain: Plain | None = None) -> Iterator[Iterator[Any] | pl.DataFrame]:
        """The same in pieces: plain chats as frames (`messages` and `meta`), all others one by one, in order.

        Args:
            plain: What counts as that; None: nothing.
        """
        if self.size == 0:
            raise UserError("the file is empty", hint="was it downloaded or written whole?")
        with self.path.open("rb") as file:
            magic = file.read(6)
        reader = parquet_rows if magic[:4] == b"PAR1" else arrow_rows if _is_arrow(magic, self.path) else None
        if reader:
            yield reader(self.path, self._columns, self.end)
            self._stream.read = self.size
            return
        yield from self._text(plain)
        self.end.broke_off = self.end.broke_off or self._stream.broke_off
        self.end.bytes_lost += self._stream.bytes_lost

    def _text(self, plain: Plain | None) -> Iterator[Iterator[Any] | pl.DataFrame]:
        head = self._stream.head()
        kind = kind_by_name(self.path.name)
        if kind in ("csv", "tsv"):
            yield csv_rows(self._stream.chunks(), self.end)
            return
        start = head.lstrip()
        if not start:
            raise UserError("the file is empty", hint="was it downloaded or written whole?")
        if start[:1] not in (b"{", b"[") and kind not in ("jsonl", "ndjson"):
            raise UserError(f"it is no JSON; it begins with {_shown(start)}", hint=f"what can be read: {READABLE}")
        if not _one_a_line(start, kind):
            yield iter(Elements(self._stream.chunks(), self.end))
        elif plain is None or not plain.spellings:
            yield lines(self._stream.chunks(), self.end)
        else:
            chunks = self._stream.chunks()
            for block in _blocks(chunks):
                if len(block) > MAX_RECORD:  # one line: who reads records knows how to hold it
                    yield lines(chain([block], chunks), self.end)
                    return
                for run in plain.runs(block):
                    yield lines(iter([run]), self.end) if isinstance(run, bytes) else run


def _blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time; the last line as it is. A line that is too long comes unfinished."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size < BLOCK or (b"\n" not in chunk and size <= MAX_RECORD):
            continue
        text = b"".join(held)
        end = text.rfind(b"\n") + 1 or len(text)
        yield text[:end]
        held, size = [text[end:]], len(text) - end
    if size:
        yield b"".join(held)


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
