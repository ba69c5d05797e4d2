"""Argilla's job queue inside the server's process: a Redis that lives in memory, and a thread that works.

Jobs that wait are lost with the process. Argilla keeps nothing but notifications (webhooks) and recounts in them: who
pulls by polling loses nothing.
"""

from __future__ import annotations

import threading
from typing import Any


def replace_redis() -> None:
    """Makes `redis.from_url` give the one in memory. Before Argilla is imported, which asks for it at once."""
    import fakeredis
    import redis

    server = fakeredis.FakeServer()

    def from_url(*args: Any, **kwargs: Any) -> Any:
        return fakeredis.FakeRedis(server=server)

    redis.from_url = from_url


def start() -> None:
    """Begins to work on jobs, in a thread that ends with the process."""
    threading.Thread(target=_work, daemon=True, name="jobs").start()


def _work() -> None:
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE, REDIS_CONNECTION
    from rq import SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class InThread(SimpleWorker):
        death_penalty_class = TimerDeathPenalty  # signals reach the main thread alone

        def _install_signal_handlers(self) -> None:
            """The server's own stand."""

    worker = InThread([HIGH_QUEUE, DEFAULT_QUEUE], connection=REDIS_CONNECTION)
    worker.work(logging_level="WARNING")
