"""What outlives every key, because what fills it is dear: forward passes, money, people's time.

Scores and features by (model, content), paid answers by request, and human answers as an append-only log.
Changing a threshold, a budget or `min_submitted` changes keys and costs none of these again. `--redo` never touches
them.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.durable import flush

if TYPE_CHECKING:
    import numpy as np

_IN_ONE_QUERY = 500


@contextmanager
def _table(path: Path, create: str) -> Iterator[sqlite3.Connection]:
    """A database with one table; what was committed survives a kill and a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=60)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(create)
        yield db


def _found(path: Path, create: str, select: str, ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """What a table keeps under some ids; nothing, and no new file, where there is no table yet."""
    if not path.exists():
        return
    with _table(path, create) as db:
        for i in range(0, len(ids), _IN_ONE_QUERY):
            part = list(ids[i : i + _IN_ONE_QUERY])
            yield from db.execute(f"{select} WHERE id IN ({','.join('?' * len(part))})", part)


class Scores:
    """Scores by scorer key and content id: one small database a scorer under `scores/`."""

    _CREATE = "CREATE TABLE IF NOT EXISTS scores (id TEXT PRIMARY KEY, score REAL) WITHOUT ROWID"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, scorer_key: str, ids: Sequence[str]) -> dict[str, float]:
        """The known scores among `ids`."""
        return dict(_found(self._folder / f"{scorer_key}.sqlite", self._CREATE, "SELECT id, score FROM scores", ids))

    def put(self, scorer_key: str, scores: Mapping[str, float]) -> None:
        """Keeps them; on the disk when this returns."""
        with _table(self._folder / f"{scorer_key}.sqlite", self._CREATE) as db:
            db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", list(scores.items()))


class Features:
    """Vectors by the model that made them and content id: one small database a model beside the scores."""

    _CREATE = "CREATE TABLE IF NOT EXISTS features (id TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str, ids: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
        """The known vectors among `ids`, float32."""
        import numpy as np

        kept = _found(self._folder / f"{key}.sqlite", self._CREATE, "SELECT id, vector FROM features", ids)
        return {found: np.frombuffer(blob, dtype="<f4") for found, blob in kept}

    def put(self, key: str, vectors: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Keeps them; on the disk when this returns."""
        with _table(self._folder / f"{key}.sqlite", self._CREATE) as db:
            rows = [(found, vector.astype("<f4").tobytes()) for found, vector in vectors.items()]
            db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)


class Answers:
    """Paid answers of endpoints by the hash of the request: `answers/answers.sqlite`."""

    _CREATE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, response TEXT) WITHOUT ROWID"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "answers.sqlite"

    def get(self, key: str) -> dict[str, Any] | None:
        """The response that was paid for, or None."""
        with _table(self._path, self._CREATE) as db:
            row = db.execute("SELECT response FROM answers WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: str, response: dict[str, Any]) -> None:
        """Keeps a response; on the disk when this returns."""
        with _table(self._path, self._CREATE) as db:
            db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(response)))


class Labels:
    """Human answers, one JSON object a line in `labels/<question>.jsonl`, only ever appended to.

    An answer that is already there, word for word, is not written again, so reading the same form twice adds nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, question: str) -> Path:
        if not question or not all(c.isalnum() or c in "-_" for c in question):
            raise ValueError(f"a question is named by letters, digits, - and _, not {question!r}")
        return self._folder / f"{question}.jsonl"

    def append(self, answers: list[dict[str, Any]]) -> int:
        """Adds answers (each names its `question`); returns how many were new. On the disk when this returns."""
        added = 0
        by_question: dict[str, list[dict[str, Any]]] = {}
        for answer in answers:
            by_question.setdefault(answer["question"], []).append(answer)
        for question, group in by_question.items():
            path = self._path(question)
            path.parent.mkdir(parents=True, exist_ok=True)
            new_file = not path.exists()
            with path.open("a+b") as f:
                fcntl.flock(f, fcntl.LOCK_EX)
                f.seek(0)
                old = f.read()
                known = set(old.decode("utf-8", "replace").split("\n"))
                lines = [json.dumps(a, sort_keys=True, ensure_ascii=False) for a in group]
                new = [line for line in dict.fromkeys(lines) if line not in known]
                torn = b"" if not old or old.endswith(b"\n") else b"\n"  # a kill in the middle of a line
                f.write(torn + "".join(line + "\n" for line in new).encode())
                f.flush()
                os.fsync(f.fileno())
                added += len(new)
            if new_file:
                flush(path.parent)  # or a power cut could take the name of the file
        return added

    def read(self, question: str) -> list[dict[str, Any]]:
        """All answers to a question, oldest first. A line torn by a kill was never acknowledged and is passed over."""
        path = self._path(question)
        if not path.exists():
            return []
        answers = []
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                answers.append(json.loads(line))
            except ValueError:
                continue
        return answers
