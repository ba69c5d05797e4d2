"""What the UI asks of a large data set is answered from indexes, and what a crash left half done is completed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from curation.labeling.server.inside.indexes import INDEXES, prepare

TABLES = """
CREATE TABLE datasets(id TEXT PRIMARY KEY, distribution TEXT);
CREATE TABLE records(
    id TEXT PRIMARY KEY, fields TEXT, metadata TEXT, status TEXT, external_id TEXT, dataset_id TEXT,
    inserted_at TEXT, updated_at TEXT
);
CREATE TABLE responses(
    id TEXT PRIMARY KEY, "values" TEXT, status TEXT, record_id TEXT, user_id TEXT, UNIQUE(record_id, user_id)
);
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "argilla.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES)
        overlap = json.dumps({"strategy": "overlap", "min_submitted": 2})
        connection.execute("INSERT INTO datasets VALUES ('d', ?)", (overlap,))
        for record, status in (("none", "pending"), ("one", "pending"), ("two", "pending"), ("done", "completed")):
            row = (record, "{}", None, status, record, "d", "", "")
            connection.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        given = [("one", "a", "submitted"), ("one", "b", "draft"), ("two", "a", "submitted"), ("two", "b", "submitted")]
        for record, user, status in given:
            connection.execute("INSERT INTO responses VALUES (?, '{}', ?, ?, ?)", (record + user, status, record, user))
    return path


def test_a_record_that_a_crash_left_in_the_queue_is_completed_at_the_next_start(database: Path) -> None:
    prepare(database)
    prepare(database)
    with closing(sqlite3.connect(database)) as connection:
        found = dict(connection.execute("SELECT id, status FROM records"))
    assert found == {"none": "pending", "one": "pending", "two": "completed", "done": "completed"}


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ("SELECT id, metadata FROM records WHERE dataset_id = 'd' AND status IN ('pending')", "rlhf_records"),
        ("SELECT status, count(*) FROM records WHERE dataset_id = 'd' GROUP BY status", "rlhf_records"),
        ("SELECT count(*) FROM responses WHERE record_id = 'r' AND status = 'submitted'", "rlhf_responses_of_record"),
        ("SELECT record_id FROM responses WHERE user_id = 'u'", "rlhf_responses_of_person"),
    ],
)
def test_no_record_s_text_is_read_to_count_or_to_filter(database: Path, asked: str, index: str) -> None:
    prepare(database)
    with closing(sqlite3.connect(database)) as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked}"))
    assert f"USING COVERING INDEX {index} " in plan


@pytest.mark.heavy
def test_the_server_has_them(server: Any) -> None:
    with closing(sqlite3.connect(f"file:{server.home.database}?mode=ro", uri=True)) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    assert found >= INDEXES.keys()
    assert mode == "wal"
