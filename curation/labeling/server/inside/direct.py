"""`sqlite+direct`: SQLAlchemy's asyncio on a file without a thread for each connection.

The usual driver hands every statement to a thread and waits for it; a look into a file on the same machine takes less
than the handing over, and a submit has twenty. Worse, between them the event loop serves everyone else, while one
person's unfinished change keeps all other writers out. Here a statement runs where it stands, and a change that has
begun goes through to its commit without a pause. What may take long (search, filters) does not come this way: the
search engine has threads of its own.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteExecutionContext
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

DRIVER = "sqlite+direct"


class Cursor(sqlite3.Cursor):
    """SQLAlchemy insists that a statement be awaited: so is this one, of nothing."""

    def execute(self, *given: Any) -> Cursor:
        await_only(_nothing())
        super().execute(*given)
        return self

    def executemany(self, *given: Any) -> Cursor:
        await_only(_nothing())
        super().executemany(*given)
        return self


class Connection(sqlite3.Connection):
    """One whose cursors are ours."""

    def cursor(self, factory: Any = Cursor) -> Any:
        return super().cursor(factory)


class _Context(SQLiteExecutionContext):
    def create_server_side_cursor(self) -> Any:
        return self._dbapi_connection.cursor()


class Dialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's own for SQLite, taken for an asynchronous one."""

    driver = "direct"
    is_async = True
    supports_statement_cache = True
    supports_server_side_cursors = True
    execution_ctx_cls = _Context

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:
        return AsyncAdaptedQueuePool


async def _nothing() -> None:
    """Takes no time and lets nobody in between."""


registry.register("sqlite.direct", __name__, "Dialect")
