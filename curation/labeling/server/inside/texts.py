"""Full text of records, found in every language, in a file beside the database.

A word is found wherever it stands, also in scripts that write none apart (`京塔` in `东京塔很高`). Case and Unicode's
form count for nothing, marks do: `ma` is not `má`. What a query may say is what the UI's search bar takes: words that
must all be there, `"a phrase"`, `-without`, `one | other`; a `*` at a word's end is allowed and changes nothing.

Two FTS5 indexes, with a column for each field of a data set: `body` of pieces of three letters, and `short` of single
letters and pairs, since a word of two letters has no piece of three (a word of two letters is most of what people look
for in Chinese). They hold nothing that the database does not: the file may be deleted at any time, and what it lacks
after a crash is taken in at the next start (`catch_up`).
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_PIECE = 3
"""Letters of a piece in `body`."""
_PAIR = 1 << 32
"""A pair's number is (number of the first letter + 1) * this + number of the second."""
_TOKENS_KEPT = 1 << 16
_COLUMNS = tuple(f"f{n}" for n in range(24))
"""Fields of a data set; those beyond share the last."""
_LAYOUT = 2
"""Raised when the tables change: a file of another layout is made again."""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS doc(id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, record TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS doc_record ON doc(record);
CREATE INDEX IF NOT EXISTS doc_dataset ON doc(dataset, record);
CREATE TABLE IF NOT EXISTS field(
    dataset TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY(dataset, name)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS body USING fts5({", ".join(_COLUMNS)}, tokenize = 'trigram case_sensitive 1');
CREATE VIRTUAL TABLE IF NOT EXISTS short USING fts5(
    {", ".join(_COLUMNS)}, content = '', detail = column, columnsize = 0, tokenize = 'ascii'
);
PRAGMA user_version = {_LAYOUT};
"""


def folded(text: str) -> str:
    """The text as it is compared: composed, without case."""
    return unicodedata.normalize("NFC", text.casefold())


def flat(value: Any) -> str:
    """What people read of a field's value: the turns of a chat, one below the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(str(m.get("content", "")) if isinstance(m, dict) else str(m) for m in value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Query:
    """What a search bar was given."""

    wanted: tuple[tuple[str, ...], ...]
    """All of these, of each any one of its alternatives."""
    unwanted: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Never fails: what cannot be read as a sign is text."""
        wanted: list[tuple[str, ...]] = []
        unwanted: list[str] = []
        either = False
        for minus, phrase, word in re.findall(r'(-?)(?:"([^"]*)"|(\S+))', folded(text)):
            if word == "|":
                either = bool(wanted)
                continue
            said = (phrase or word.strip('"').removesuffix("*")).strip()
            if not said:
                continue
            if minus:
                unwanted.append(said)
            elif either:
                wanted[-1] = (*wanted[-1], said)
            else:
                wanted.append((said,))
            either = False
        return cls(tuple(wanted), tuple(unwanted))

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)

    def sql(self, column: str, schema: str = "") -> tuple[str, list[str]]:
        """(condition on an `id` of `doc`, its values).

        Args:
            column: The field that is meant; "": any.
            schema: Where the tables are, with a dot, if they are in an attached file.
        """
        values: list[str] = []

        def has(word: str) -> str:
            table = "body" if len(word) >= _PIECE else "short"
            said = '"' + word.replace('"', '""') + '"' if len(word) >= _PIECE else _token(word)
            values.append(f"{{{column}}}: {said}" if column else said)
            return f"id IN (SELECT rowid FROM {schema}{table} WHERE {table} MATCH ?)"

        parts = ["(" + " OR ".join(map(has, alternatives)) + ")" for alternatives in self.wanted]
        parts += [f"NOT {has(word)}" for word in self.unwanted]
        return " AND ".join(parts), values


class _Tokens(dict[int, str]):
    """A letter's number, or that of a pair (`_PAIR`) -> how `short` has it: nothing of it can be folded or cut away."""

    def __missing__(self, number: int) -> str:
        if len(self) >= _TOKENS_KEPT:
            self.clear()
        first, second = divmod(number, _PAIR)
        self[number] = made = f"{first - 1:x}x{second:x}" if first else f"{second:x}"
        return made


_tokens = _Tokens()


def _short(text: str) -> str:
    """All letters and pairs of a text, each once."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    pairs = (letters[:-1] + 1) * _PAIR + letters[1:]
    return " ".join(map(_tokens.__getitem__, np.unique(np.concatenate([letters, pairs])).tolist()))


def _token(word: str) -> str:
    """One or two letters as `short` has them."""
    first, *second = map(ord, word)
    return _tokens[(first + 1) * _PAIR + second[0] if second else first]


class Texts:
    """The index in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._kept: sqlite3.Connection | None = None

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One change at a time, all of it or nothing, over a connection that stays open.

        SQLite writes a file's log into the file, and both through to the disk, whenever the last connection goes.
        """
        with self._lock:
            if self._kept is None:
                self._kept = self.connect()
            with self._kept:
                self._kept.execute("BEGIN IMMEDIATE")
                yield self._kept

    def connect(self) -> sqlite3.Connection:
        """A connection; readers never wait for the one writer."""
        connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is taken in again at the next start
        return connection

    def create(self) -> None:
        """Makes the file and its tables where they are not there, or are of another layout."""
        if self.path.exists():
            with closing(self.connect()) as connection:
                (layout,) = connection.execute("PRAGMA user_version").fetchone()
            if layout != _LAYOUT:
                for end in ("", "-wal", "-shm"):
                    self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        with closing(self.connect()) as connection:
            connection.executescript(_SCHEMA)

    def put(self, dataset: str, records: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Takes in records (id, fields), in the place of what was known of them."""
        flattened = [
            (record, {name: folded(flat(value)) for name, value in fields.items()}) for record, fields in records
        ]
        with self._change() as connection:
            numbers: dict[str, int] = dict(
                connection.execute("SELECT name, number FROM field WHERE dataset = ?", (dataset,))
            )
            _forget(connection, "record", [record for record, _ in flattened])
            for record, texts in flattened:
                said = [""] * len(_COLUMNS)
                for name, text in texts.items():
                    if name not in numbers:
                        numbers[name] = min(len(numbers), len(_COLUMNS) - 1)
                        connection.execute("INSERT INTO field VALUES (?, ?, ?)", (dataset, name, numbers[name]))
                    n = numbers[name]
                    said[n] = f"{said[n]}\n{text}" if said[n] else text
                key = connection.execute("INSERT INTO doc(dataset, record) VALUES (?, ?)", (dataset, record)).lastrowid
                _insert(connection, "body", key, said)
                _insert(connection, "short", key, list(map(_short, said)))

    def forget(self, *, records: Sequence[str] = (), dataset: str | None = None) -> None:
        """Takes out records, or all of a data set."""
        with self._change() as connection:
            _forget(connection, "record", records)
            if dataset is not None:
                _forget(connection, "dataset", [dataset])
                connection.execute("DELETE FROM field WHERE dataset = ?", (dataset,))

    def known(self) -> set[str]:
        """The ids of all records."""
        with closing(self.connect()) as connection:
            return {row for (row,) in connection.execute("SELECT record FROM doc")}

    def condition(self, dataset: str, field: str | None, text: str, schema: str = "") -> tuple[str, list[str]] | None:
        """(a `SELECT` of the ids of records that say this, its values); None where nothing was asked.

        Args:
            schema: As in `Query.sql`.
        """
        query = Query.parse(text)
        if not query:
            return None
        column = ""
        if field is not None:
            with closing(self.connect()) as connection:
                asked = "SELECT number FROM field WHERE dataset = ? AND name = ?"
                found = connection.execute(asked, (dataset, field)).fetchone()
            if found is None:
                return f"SELECT record FROM {schema}doc WHERE 0", []
            column = _COLUMNS[found[0]]
        held, values = query.sql(column, schema)
        return f"SELECT record FROM {schema}doc WHERE dataset = ? AND {held}", [dataset, *values]

    def find(self, dataset: str, field: str | None, text: str) -> list[str] | None:
        """The ids of records that say this, in no order; None where nothing was asked."""
        asked = self.condition(dataset, field, text)
        if asked is None:
            return None
        with closing(self.connect()) as connection:
            return [record for (record,) in connection.execute(*asked)]


def _insert(connection: sqlite3.Connection, table: str, key: int | None, said: Sequence[str]) -> None:
    marks = ", ".join("?" * len(_COLUMNS))
    connection.execute(f"INSERT INTO {table}(rowid, {', '.join(_COLUMNS)}) VALUES (?, {marks})", (key, *said))


def _forget(connection: sqlite3.Connection, column: str, values: Sequence[str]) -> None:
    names, marks = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
    asked = f"SELECT id FROM doc WHERE {column} IN (SELECT value FROM json_each(?))"
    for (key,) in connection.execute(asked, (json.dumps(values),)).fetchall():
        said = connection.execute(f"SELECT {names} FROM body WHERE rowid = ?", (key,)).fetchone()
        # `short` keeps no text of its own, so it must be told what it held.
        taken = ("delete", key, *map(_short, said))
        connection.execute(f"INSERT INTO short(short, rowid, {names}) VALUES (?, ?, {marks})", taken)
        connection.execute("DELETE FROM body WHERE rowid = ?", (key,))
        connection.execute("DELETE FROM doc WHERE id = ?", (key,))


def catch_up(texts: Texts, database: Path) -> int:
    """Takes in the records of the database that the index lacks, and takes out those that are gone; how many in all."""
    texts.create()
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        known = texts.known()
        there: dict[str, str] = dict(connection.execute("SELECT id, dataset_id FROM records"))
        gone, new = sorted(known - there.keys()), sorted(there.keys() - known)
        texts.forget(records=gone)
        for begin in range(0, len(new), 500):
            some = new[begin : begin + 500]
            marks = ",".join("?" * len(some))
            rows = connection.execute(f"SELECT id, fields FROM records WHERE id IN ({marks})", some)
            by_dataset: dict[str, list[tuple[str, dict[str, Any]]]] = {}
            for record, fields in rows:
                by_dataset.setdefault(there[record], []).append((record, json.loads(fields)))
            for dataset, records in by_dataset.items():
                texts.put(dataset, records)
    return len(gone) + len(new)
