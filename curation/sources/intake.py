"""From data set entries to frames of rows, with every record accounted for.

Files are read in batches: what is in memory is one batch of rows, except for formats that need a whole file. A record
that gives no row is counted under its reason and written aside as it was; a file that breaks off is read up to the
break, and what was lost is said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.artifact import Surroundings, file_state, hash_file
from curation.conversation import AnyRow, Candidates, Conversation, Preference, Source
from curation.errors import UserError
from curation.formats import Makes
from curation.formats.fields import clean
from curation.formats.format import Outcome, Reader
from curation.formats.plain import Plain
from curation.ledger import Ledger, Reading
from curation.progress import SILENT, Bar, Progress
from curation.sources.dataset import Data, Dataset, SourceFile
from curation.sources.files import Records
from curation.sources.jsontext import Broken

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 10_000
BATCH_CHARACTERS = 1 << 25
RAW_CHARACTERS = 2000
"""How much of a malformed record is kept."""
SAID_SO = "data set"
"""`decided_by` of pairs whose format does not know who decided."""


ROW_TYPES: Mapping[Makes, type] = {
    "conversations": Conversation,
    "candidates": Candidates,
    "preferences": Preference,
}


class Intake:
    """Reads bound entries once.

    Args:
        datasets: The entries, bound.
        makes: What the records are made into.
        malformed: Folder for the records that gave no row; None: they are only counted.
        warn: Hears what people should know.

    Attributes:
        ledger: One reading a file.
        left_out: Reason -> parts of used records that are in no row (deleted messages in a tree).
        decided_by: Who decided the preferences.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        makes: Makes,
        *,
        malformed: Path | None = None,
        progress: Progress = SILENT,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.datasets, self.makes, self.progress, self.warn = datasets, makes, progress, warn
        self.ledger = Ledger()
        self.left_out: Counter[str] = Counter()
        self.decided_by: set[str] = set()
        self._malformed = Malformed(malformed) if malformed else None

    def frames(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """(number of the entry, some of its rows), in order. At least one frame, which may be empty, an entry.

        Raises:
            UserError: a file is given twice, cannot be read at all, or an entry gives no row.
        """
        for number, reads in groupby(self._read(plain=True), key=itemgetter(0)):
            yield from ((number, frame) for frame in gathered(self._framed(number, read) for _, read in reads))

    def _framed(self, number: int, read: Read) -> pl.DataFrame:
        from curation.frame import chats, to_frame

        if read.chats is not None:
            return chats(read.chats["messages"], read.chats["meta"], read.sources())
        if self.makes == "conversations" and self.datasets[number].weight == 1:
            return to_frame([row for _, row in read.rows], Conversation, read.sources())
        return to_frame(self._finished(number, read), ROW_TYPES[self.makes])

    def rows(self) -> Iterator[tuple[int, list[AnyRow]]]:
        """The same as lists of rows."""
        for number, read in self._read():
            yield number, self._finished(number, read)

    def _read(self, *, plain: bool = False) -> Iterator[tuple[int, Read]]:
        """The rows in pieces.

        Args:
            plain: Whether plain chats may come as frames.
        """
        files = [entry.files() for entry in self.datasets]
        _no_file_twice(files)
        size = sum(file.path.stat().st_size for of_entry in files for file in of_entry)
        with self.progress.bar("reading", size, "bytes") as bar:
            for number, (entry, of_entry) in enumerate(zip(self.datasets, files, strict=True)):
                readings = len(self.ledger.readings)
                columns: set[str] = set()
                for file in of_entry:
                    for batch in self._file(entry, file, columns, bar, plain):
                        yield number, batch
                _some_rows(entry, self.ledger.readings[readings:])
                for name in sorted(set((entry.named or {}).values()) - columns):
                    self.warn(f"no record of {entry.title} has the column {name!r}")
        if self._malformed:
            self._malformed.flush()

    def _file(self, entry: Dataset, file: SourceFile, columns: set[str], bar: Bar, plain: bool) -> Iterator[Read]:
        title = entry.title
        reading = Reading(source=file.name if file.name == title else f"{title}: {file.name}")
        self.ledger.readings.append(reading)
        _unchanged(file)
        named = entry.named
        records = Records(file.path, None if named is None else list(named.values()))
        batch = Read(entry, title, file)
        characters = told = used = rows = 0  # counted here: setting a field of a model is slow
        formats: Counter[str] = Counter()
        try:
            reader = entry.format.reader(_first(entry.format.looks_at, file, named), self.makes)
            own = plain and self.makes == "conversations" and entry.weight == 1
            pieces = records.pieces(Plain(reader, named, columns) if own else None)
            for outcome in self._outcomes(reader, pieces, reading, file, named, columns):
                if not isinstance(outcome, Outcome):
                    if batch.rows:
                        yield batch
                        batch, characters = Read(entry, title, file), 0
                    first, count = reading.records, len(outcome)
                    reading.records += count
                    used, rows = used + count, rows + count
                    formats[reader.name] += count
                    if reader.evidence:
                        reading.evidence.setdefault(reader.name, reader.evidence)
                    bar.advance(records.read - told)
                    told = records.read
                    yield Read(entry, title, file, chats=outcome, first=first)
                    continue
                for lost in outcome.lost:
                    self._lose(reading, file, lost.index, lost.reason, lost.record)
                if outcome.used:
                    used += outcome.used
                    formats[outcome.format or entry.format.op] += outcome.used
                if outcome.evidence:
                    reading.evidence[outcome.format] = outcome.evidence
                rows += len(outcome.rows)
                if outcome.left_out:
                    self.left_out.update(outcome.left_out)
                for index, row in outcome.rows:
                    batch.rows.append((index, row))
                    characters += _length(row)
                    if len(batch.rows) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
                        bar.advance(records.read - told)
                        told = records.read
                        yield batch
                        batch, characters = Read(entry, title, file), 0
        except UserError as error:
            _unchanged(file)
            raise UserError(error.what, where=error.where or reading.source, hint=error.hint) from error
        _unchanged(file)
        yield batch
        bar.advance(records.size - told)
        reading.used, reading.rows, reading.formats = used, rows, dict(formats)
        reading.bytes_lost = records.end.bytes_lost
        if records.end.broke_off:
            self.warn(
                f"{reading.source} breaks off after {reading.records} records; "
                f"{reading.bytes_lost} bytes at least could not be read"
            )
        if problem := reading.problem():
            raise UserError(
                f"the format {entry.format.op} does not account for every record: {problem}",
                hint="a format returns rows or the reason why not for each record; tell its author",
            )

    def _outcomes(
        self,
        reader: Reader,
        pieces: Iterator[Iterator[Any] | pl.DataFrame],
        reading: Reading,
        file: SourceFile,
        named: Mapping[str, str] | None,
        columns: set[str],
    ) -> Iterator[Outcome | pl.DataFrame]:
        """What becomes of the records, in order; plain chats, of which every record is a row, stay frames.

        A plain chat is no piece of another that comes as a record, so what a format keeps in mind of records before it
        ends there anyway.
        """
        carry = list(named or ())
        plain: list[pl.DataFrame] = []

        def records() -> Iterator[tuple[int, Any]]:
            for piece in pieces:
                if not isinstance(piece, Iterator):
                    plain.append(piece)
                    return
                yield from self._records(piece, reading, file, named, columns)

        yield from reader.outcomes(records(), self.makes, carry)
        while plain:
            yield plain.pop()
            yield from reader.outcomes(records(), self.makes, carry)
        yield from reader.end(self.makes, carry)

    def _records(
        self,
        records: Iterator[Any],
        reading: Reading,
        file: SourceFile,
        named: Mapping[str, str] | None,
        columns: set[str],
    ) -> Iterator[tuple[int, Any]]:
        """The records that could be read, with their indices, and their columns under the names that formats know.

        Args:
            named: What the format calls a column -> what the data call it; None: all as they are.
            columns: Takes the columns that were met.
        """
        index = reading.records - 1
        for index, record in enumerate(records, reading.records):
            if isinstance(record, Broken):
                self._lose(reading, file, index, record.reason, record.raw)
                continue
            if named is not None and isinstance(record, Mapping):
                columns.update(name for name in named.values() if name in record)
            yield index, _renamed(record, named)
        reading.records = index + 1

    def _lose(self, reading: Reading, file: SourceFile, index: int, reason: str, record: Any) -> None:
        reading.malformed[reason] = reading.malformed.get(reason, 0) + 1
        if self._malformed:
            self._malformed.add(reading.source, index, reason, record)

    def _finished(self, number: int, read: Read) -> list[AnyRow]:
        """The rows with where they came from, and what the entry says about all of its rows."""
        weight, made = self.datasets[number].weight, list[AnyRow]()
        for index, row in read.rows:
            source = read.source(index)
            if isinstance(row, Preference):
                decided_by = row.decided_by or SAID_SO
                self.decided_by.add(decided_by)
                made.append(row.with_(source=source, weight=row.weight * weight, decided_by=decided_by))
            elif weight != 1:
                made.append(row.with_(source=source, meta={**row.meta, "weight": weight}))
            else:
                made.append(row.with_(source=source))
        return made


@dataclass
class Read:
    """Some rows of a file, each with the index of its record, or plain chats that follow one another."""

    entry: Dataset
    title: str
    file: SourceFile
    rows: list[tuple[int, AnyRow]] = field(default_factory=list)
    chats: pl.DataFrame | None = None
    """`messages` and `meta`, in place of rows."""
    first: int = 0
    """Index of the first of these chats."""

    def source(self, index: int) -> Source:
        """Where a row came from."""
        return Source(self.title, self.file.name, self.file.digest, index, self.entry.license)

    def sources(self) -> pl.Series:
        """The same of all of them, as a column."""
        import polars as pl

        from curation.frame import SOURCE

        of_all = {"dataset": self.title, "file": self.file.name, "digest": self.file.digest}
        if self.chats is None:
            index = pl.Series("index", [index for index, _ in self.rows], dtype=pl.Int64)
        else:
            index = pl.int_range(self.first, self.first + len(self.chats), dtype=pl.Int64, eager=True).alias("index")
        made = index.to_frame().with_columns(
            *(pl.lit(value).alias(name) for name, value in of_all.items()), pl.lit(self.entry.license).alias("license")
        )
        return made.select([f.name for f in SOURCE.fields]).to_struct("source")


class Malformed:
    """Writes the records that gave no row, as a table: file, index, reason, and the record's text as far as it goes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._number = folder, 0
        self._held: list[tuple[str, int, str, str]] = []

    def add(self, file: str, index: int, reason: str, record: Any) -> None:
        self._held.append((file, index, reason, _as_text(record)))
        if len(self._held) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes what is held; nothing when nothing is."""
        if not self._held:
            return
        import polars as pl

        self.folder.mkdir(parents=True, exist_ok=True)
        schema = {"file": pl.String, "index": pl.Int64, "reason": pl.String, "raw": pl.String}
        frame = pl.DataFrame(self._held, schema=schema, orient="row")
        frame.write_parquet(self.folder / f"rows-{self._number:05}.parquet", compression="zstd")
        self._held, self._number = [], self._number + 1


def read_rows(
    path: str | Path, format: str | Mapping[str, Any] = "auto", makes: Makes = "conversations"
) -> tuple[list[AnyRow], Reading]:
    """The rows of one file (or folder) and what became of its records; for Python and for a quick look.

    Raises:
        UserError: there is no such file, it cannot be read at all, or it gives no row.
    """
    entry = Dataset.model_validate({"path": Data(str(path)), "format": format})
    bound = entry.model_copy(
        update={"path": entry.bind_pointer("path", entry.path, Surroundings(Path.cwd(), hash_file))}
    )
    intake = Intake([bound], makes)
    rows = [row for _, batch in intake.rows() for row in batch]
    total = Reading(source=entry.title)
    for reading in intake.ledger.readings:
        total.records += reading.records
        total.used += reading.used
        total.rows += reading.rows
        total.bytes_lost += reading.bytes_lost
        total.malformed = dict(Counter(total.malformed) + Counter(reading.malformed))
        total.formats = dict(Counter(total.formats) + Counter(reading.formats))
        total.evidence |= reading.evidence
    return rows, total


def gathered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Small frames put together, none of them left out; large ones cut. Empty ones go, unless there is no other."""
    from curation.table import concat

    held: list[pl.DataFrame] = []
    rows = size = 0
    for frame in (piece for whole in frames for piece in whole.iter_slices(BATCH_ROWS) or [whole]):
        if held and (rows + len(frame) > BATCH_ROWS or size >= BATCH_CHARACTERS):
            yield held[0] if len(held) == 1 else concat(held)
            held, rows, size = [], 0, 0
        if len(frame) or not held:
            held.append(frame)
            rows, size = rows + len(frame), size + int(frame.estimated_size())
    yield held[0] if len(held) == 1 else concat(held)


def _renamed(record: Any, named: Mapping[str, str] | None) -> Any:
    """The record with its columns under the names that formats know."""
    if named is None or not isinstance(record, Mapping):
        return record
    return {name: record[theirs] for name, theirs in named.items() if theirs in record}


def _first(count: int, file: SourceFile, named: Mapping[str, str] | None) -> list[Any]:
    """The first records of a file that can be read."""
    if not count:
        return []
    records = Records(file.path, None if named is None else list(named.values()))
    good = (_renamed(record, named) for record in records if not isinstance(record, Broken))
    return list(islice(good, count))


def _unchanged(file: SourceFile) -> None:
    """Asked before and after it is read.

    Raises:
        UserError: the file is not what was hashed.
    """
    if file_state(file.path) != file.state:
        raise UserError("the file changed after the run began", where=file.name, hint="run again")


def _no_file_twice(files: Sequence[Sequence[SourceFile]]) -> None:
    seen: dict[str, str] = {}
    for file in (file for of_entry in files for file in of_entry):
        if file.digest in seen:
            both = file.name if seen[file.digest] == file.name else f"{seen[file.digest]} and {file.name}"
            raise UserError(
                f"the same file is given twice: {both}",
                hint="take one out; to make its rows count more, set `weight` on its entry",
            )
        seen[file.digest] = file.name


def _some_rows(entry: Dataset, readings: Sequence[Reading]) -> None:
    if any(reading.rows for reading in readings):
        return
    reasons = sum((Counter(reading.malformed) for reading in readings), Counter[str]())
    records = sum(reading.records for reading in readings)
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(4))
    raise UserError(
        f"none of the {records} records gives a row" + (f": {why}" if why else ""),
        where=entry.title,
        hint=f"is {entry.format.op!r} the right `format:`?",
    )


def _length(row: AnyRow) -> int:
    if isinstance(row, Conversation):
        return sum([len(m.content) for m in row.messages])
    if isinstance(row, Candidates):
        return sum(len(a.content) for a in row.answers)
    return sum(len(m.content) for m in (*row.prompt, *row.chosen, *row.rejected))


def _as_text(record: Any) -> str:
    """A record for people to look at, cut to a bearable length."""
    if isinstance(record, bytes):
        return record[: 4 * RAW_CHARACTERS].decode("utf-8", "replace")[:RAW_CHARACTERS]
    try:
        return clean(json.dumps(record, ensure_ascii=False, default=str)[:RAW_CHARACTERS])
    except (ValueError, TypeError, RecursionError):
        return f"<{type(record).__name__}>"
