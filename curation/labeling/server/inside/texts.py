"""Full text of records, found in every language: an FTS5 index of three-letter pieces in a file beside the database.

A word is found wherever it stands, also in scripts that write none apart (`京塔` in `东京塔很高`). Case and Unicode's
form count for nothing, marks do: `ma` is not `má`. What a query may say is what the UI's search bar takes: words that
must all be there, `"a phrase"`, `-without`, `one | other`; a `*` at a word's end is allowed and changes nothing.

The index holds nothing that the database does not: it may be deleted at any time, and what it lacks after a crash is
taken in at the next start (`catch_up`).
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVERY_FIELD = ""
"""Name of the text that joins all fields of a record."""
_PIECE = 3
"""Letters that the index needs to look something up; shorter words are looked for in the texts themselves."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS doc(
    id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, record TEXT NOT NULL, field TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS doc_record ON doc(record);
CREATE INDEX IF NOT EXISTS doc_dataset ON doc(dataset, field, record);
CREATE VIRTUAL TABLE IF NOT EXISTS body USING fts5(text, tokenize = 'trigram case_sensitive 1');
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

    def sql(self) -> tuple[str, list[str]]:
        """(condition on `body`, its values): the index where words are long enough for it, else the texts."""
        parts, values = [], []
        for alternatives in self.wanted:
            parts.append("(" + " OR ".join(_has(word) for word in alternatives) + ")")
            values += [_value(word) for word in alternatives]
        for word in self.unwanted:
            parts.append(f"NOT {_has(word)}")
            values.append(_value(word))
        return " AND ".join(parts), values


def _has(word: str) -> str:
    if len(word) < _PIECE:
        return "instr(body.text, ?) > 0"
    return "body.rowid IN (SELECT rowid FROM body WHERE body MATCH ?)"


def _value(word: str) -> str:
    return word if len(word) < _PIECE else '"' + word.replace('"', '""') + '"'


class Texts:
    """The index in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> sqlite3.Connection:
        """A connection; readers never wait for the one writer."""
        connection = sqlite3.connect(self.path, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is taken in again at the next start
        return connection

    def create(self) -> None:
        """Makes the file and its tables where they are not there."""
        with closing(self.connect()) as connection:
            connection.executescript(_SCHEMA)

    def put(self, dataset: str, records: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Takes in records (id, fields), in the place of what was known of them."""
        with closing(self.connect()) as connection, connection:
            for record, fields in records:
                _forget(connection, "record = ?", record)
                texts = {name: flat(value) for name, value in fields.items()}
                for name, text in {EVERY_FIELD: "\n".join(texts.values()), **texts}.items():
                    said = folded(text)
                    row = (dataset, record, name)
                    key = connection.execute("INSERT INTO doc(dataset, record, field) VALUES (?, ?, ?)", row).lastrowid
                    connection.execute("INSERT INTO body(rowid, text) VALUES (?, ?)", (key, said))

    def forget(self, *, records: Sequence[str] = (), dataset: str | None = None) -> None:
        """Takes out records, or all of a data set."""
        with closing(self.connect()) as connection, connection:
            for record in records:
                _forget(connection, "record = ?", record)
            if dataset is not None:
                _forget(connection, "dataset = ?", dataset)

    def known(self) -> set[str]:
        """The ids of all records."""
        with closing(self.connect()) as connection:
            return {row for (row,) in connection.execute("SELECT DISTINCT record FROM doc")}

    def find(self, dataset: str, field: str | None, text: str) -> list[str] | None:
        """The ids of records that say this, in no order; None where nothing was asked."""
        query = Query.parse(text)
        if not query:
            return None
        condition, values = query.sql()
        sql = (
            "SELECT doc.record FROM doc JOIN body ON body.rowid = doc.id "
            f"WHERE doc.dataset = ? AND doc.field = ? AND {condition}"
        )
        with closing(self.connect()) as connection:
            found = connection.execute(sql, (dataset, field or EVERY_FIELD, *values))
            return [record for (record,) in found]


def _forget(connection: sqlite3.Connection, where: str, value: str) -> None:
    keys = connection.execute(f"SELECT id FROM doc WHERE {where}", (value,)).fetchall()
    connection.executemany("DELETE FROM body WHERE rowid = ?", keys)
    connection.executemany("DELETE FROM doc WHERE id = ?", keys)


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
