"""Benchmarks as operators read them: files or data sets on the Hub, whose records hold a text that must not be learnt.

Which of a record's texts are asked of a model, its keys tell: `turns`, `prompt`, `question` ..., or `columns` says so.
A record is an item; its texts are those of one column or of several, each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from curation.artifact import Bound, Surroundings
from curation.errors import UserError
from curation.settings import ONE_OR_MORE, Settings
from curation.sources.dataset import Data, Dataset, SourceFile

ASKED = ("turns", "prompt", "question", "instruction", "problem", "query", "goal", "messages", "conversations", "text")
"""Names of columns that hold what is asked; the first that a record has is taken."""
_ALSO = {"instruction": "input"}
"""A column, and another that belongs to what it asks."""
_USER = ("user", "human", "prompter")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a benchmark asks."""

    index: str
    """Its place in the file (a number, from 0), or the id of a row."""
    texts: tuple[str, ...]
    """What is asked, turn by turn."""


class Benchmark(Settings):
    """A file or a data set on the Hub that holds a benchmark."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"name", "data_dir", "data_files", "split", "revision"})
    """They choose files, and the digest is that of the files."""

    path: Data
    """A file (jsonl, json, parquet, csv; txt with an item a line; plain or packed as gz or zst), a folder of such, or a
    data set on the Hub."""
    columns: list[str] = Field(default_factory=list)
    """The columns that must not be learnt, answers too where they are named. Empty: the first of `turns`, `prompt`,
    `question`, `instruction`, `problem`, `query`, `goal`, `messages`, `conversations`, `text` that a record has."""
    name: str | None = None
    """Configuration of the data set, where its card lists several. Files alone have none."""
    data_dir: str | None = None
    """Folder inside the data set to look in."""
    data_files: str | list[str] | dict[str, str | list[str]] | None = None
    """Patterns of files inside the data set. None: by its card, or by the names of its files."""
    split: str = "test"
    """Which split to read. A single file has none: it is read whole."""
    revision: str | None = None
    """Of a data set on the Hub: a commit, branch or tag; None: the main branch as it is now."""

    def _entry(self) -> Dataset:
        return Dataset(
            path=self.path,
            name=self.name,
            data_dir=self.data_dir,
            data_files=self.data_files,
            split=self.split,
            revision=self.revision,
        )

    def bind_pointer(self, name: str, pointer: Bound, around: Surroundings) -> Bound:
        """The pointer tied to the content that it means now, as `ingest` does it."""
        if _is_plain(Path(pointer.written)):
            around.locate(pointer.written)  # no name of a data set, though it could be one
        return self._entry().bind_pointer(name, pointer, around)

    def items(self) -> Iterator[Item]:
        """What the benchmark asks, in the order of the files.

        Raises:
            UserError: a record cannot be read or has none of the columns, or nothing is asked at all.
        """
        empty = True
        entry = self._entry()
        for file in entry.files():
            shown = file.name if file.name == entry.title else f"{entry.title}: {file.name}"
            for index, record in enumerate(_records(file, shown)):
                texts = tuple(t for t in self._asked(record, shown, index) if t.strip())
                if texts:
                    empty = False
                    yield Item(str(index), texts)
        if empty:
            raise UserError(
                "the benchmark asks nothing: no record holds a text",
                where=entry.title,
                hint="name the columns that hold its questions and answers: `columns: [question, answer]`",
            )

    @property
    def title(self) -> str:
        """Name for people."""
        return self._entry().title

    def _asked(self, record: Any, where: str, index: int) -> Iterator[str]:
        if isinstance(record, str):
            yield record
            return
        known = record if isinstance(record, Mapping) else {}
        columns = self.columns or [c for c in ASKED if c in known][:1]
        columns = columns if self.columns else [*columns, *(_ALSO[c] for c in columns if _ALSO.get(c) in known)]
        missing = [c for c in columns if c not in known]
        if missing or not columns:
            what = f"record {index} has no column {missing[0]!r}" if missing else f"record {index} asks nothing known"
            hint = f"it has {', '.join(map(str, known))}: write `columns`" if known else "a record is a map of columns"
            raise UserError(what, where=where, hint=hint)
        for column in columns:
            yield from _texts(known[column])


Benchmarks = Annotated[
    list[Benchmark],
    BeforeValidator(lambda values: [{"path": v} if isinstance(v, str) else v for v in values]),
    ONE_OR_MORE,
]
"""Benchmarks: one, or a list; a name alone is a path."""


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value; of chats, those of the user."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, Mapping):
        role = value.get("role", value.get("from"))
        if role is None or str(role).lower() in _USER:
            yield from _texts(value.get("content", value.get("value", value.get("text"))))


def _records(file: SourceFile, shown: str) -> Iterator[Any]:
    """The records of a file; lines of a plain text are records themselves."""
    from curation.sources.files import Records
    from curation.sources.jsontext import Broken

    if _is_plain(file.path):
        yield from _lines(file)
        return
    records = Records(file.path)
    try:
        for index, record in enumerate(records):
            if isinstance(record, Broken):
                hint = "what is not read of a benchmark is not looked for: mend the file"
                raise UserError(f"record {index} cannot be read: {record.reason}", hint=hint)
            yield record
    except UserError as error:
        raise UserError(error.what, where=error.where or shown, hint=error.hint) from error
    if records.end.broke_off:
        raise UserError("the file breaks off", where=shown, hint="get it anew: what is missing is not looked for")


def _is_plain(path: Path) -> bool:
    """Whether a name is that of a plain text, packed or not."""
    return "txt" in path.name.lower().split(".")[-2:]


def _lines(file: SourceFile) -> Iterator[str]:
    from curation.sources.stream import Stream

    rest = b""
    for chunk in Stream(file.path).chunks():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
    yield rest.decode("utf-8", "replace")
