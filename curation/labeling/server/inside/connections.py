"""How Argilla's server talks to its SQLite file, so that many people can answer at the same moment.

Argilla takes its database connections from a pool of fifteen, and most requests need two: with enough people at once
every one holds its first and waits for its second, and after half a minute all of them fail. Here the pool grows with
the people. A connection is a thread and a page cache; twenty-five cost some megabytes.

SQLite has one writer at a time, and lets those who wait try again at odd moments: with many of them some never hit one
and time out. Here writers take turns, first come first served (`Turns`).

Durability: with a write-ahead log, a commit is in the operating system's hands before the server says that it took an
answer, so killing the server loses nothing. `synchronous=FULL` writes it through to the disk too, so that a power cut
loses nothing either.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from weakref import WeakKeyDictionary

from argilla_server.database import AsyncSessionLocal
from argilla_server.settings import settings
from sqlalchemy import event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from . import direct

_KEPT = 32
"""Connections that stay open; what is asked for beyond is opened, and closed again."""
_PATIENCE_S = 30
"""How long SQLite lets a writer wait for another process."""
_TURN = "turn"


def use() -> None:
    """Makes all of Argilla's sessions take their connections from an engine of ours."""
    AsyncSessionLocal.configure(bind=engine())


def engine() -> AsyncEngine:
    """An engine for the server's database whose pool never runs dry and whose writers queue."""
    url = make_url(settings.database_url).set(drivername=direct.DRIVER)
    arguments = {"timeout": _PATIENCE_S, "factory": direct.Connection}
    made = create_async_engine(
        url, pool_size=_KEPT, max_overflow=-1, connect_args=arguments, json_serializer=_as_it_is_written
    )

    @event.listens_for(made.sync_engine, "connect")
    def write_through(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def one_after_the_other(connection: Any) -> None:
        """Where Argilla asks for SERIALIZABLE, it counts a record's answers and notes whether they are enough.

        SQLite's driver begins no transaction for a look: two people who submit at once would be counted by each other
        too early, and the record would stay pending with all its answers given.
        """
        if connection.get_execution_options().get("isolation_level") == "SERIALIZABLE":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    Turns().at(made.sync_engine)
    return made


def _as_it_is_written(value: Any) -> str:
    """JSON with letters for letters: six characters for each that is not English make twice the pages to read."""
    return json.dumps(value, ensure_ascii=False)


class Turns:
    """The order of writers: a connection's turn lasts from its first change until it goes back to the pool."""

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def at(self, engine: Engine) -> None:
        """Begins to keep it."""
        event.listen(engine, "before_cursor_execute", self._wait)
        event.listen(engine, "checkin", self._end)

    def _wait(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        held = connection.info
        if _TURN not in held and not statement.lstrip()[:6].upper().startswith(("SELECT", "PRAGMA")):
            # Jobs have an event loop of their own; between loops, SQLite's own waiting is enough.
            lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
            await_only(lock.acquire())
            held[_TURN] = lock

    def _end(self, connection: Any, record: Any) -> None:
        if lock := record.info.pop(_TURN, None):
            lock.release()
