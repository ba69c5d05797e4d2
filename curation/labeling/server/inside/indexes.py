"""Indexes on Argilla's own tables, for what its UI asks of a large data set.

A record's row begins with its texts, so that whatever lies behind them (status, times, metadata) costs a walk through
pages of text. These indexes hold what is counted, filtered and sorted by, and the texts of the ten records of a page
alone are read. SQLite keeps them: nothing can drift. They are made at each start where they are not there, since a
migration of Argilla's may drop them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

INDEXES = {
    "rlhf_records": "records(dataset_id, status, id, inserted_at, updated_at, external_id, metadata)",
    "rlhf_records_by_id": "records(id, dataset_id, status)",
    "rlhf_records_by_time": "records(dataset_id, inserted_at)",
    "rlhf_responses_of_record": "responses(record_id, status, user_id)",
    "rlhf_responses_of_person": "responses(user_id, status, record_id)",
}
_RECOUNT = """
UPDATE records SET status = 'completed' WHERE id IN (
    SELECT r.id FROM records r JOIN datasets d ON d.id = r.dataset_id
    WHERE r.status = 'pending' AND json_extract(d.distribution, '$.min_submitted') <= (
        SELECT count(*) FROM responses p WHERE p.record_id = r.id AND p.status = 'submitted'
    )
)
"""


def prepare(database: Path) -> None:
    """Makes the indexes, and completes what a crash left half done.

    Argilla notes an answer first and counts the record's answers after: a server killed in between would leave a
    record in the queue that has all its answers.
    """
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        for name, on in INDEXES.items():
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {on}")
        connection.execute(_RECOUNT)
