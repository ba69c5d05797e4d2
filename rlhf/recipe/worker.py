"""The parent's end of the child process: sends jobs, passes on what it hears, notices when the child is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil

from curation.engines import ALLOCATOR
from curation.progress import Bar, Progress
from rlhf.recipe.child import Finished, Job, available_cores

_RECYCLE_MB = 1500
"""A child that holds more than this after a step is replaced, so that its memory comes back."""

_CHILD = """
import sys
from multiprocessing.connection import Connection
from rlhf.recipe.child import serve
serve(Connection(int(sys.argv[1])))
"""
# Not `-m rlhf.recipe.child`: then the classes that travel would be those of `__main__`.


class Heard:
    """Shows what a `RemoteProgress` at the other end of a pipe sends; use as a context manager."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[int, tuple[Bar, ExitStack]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Heard:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, message: tuple[Any, ...]) -> None:
        """One message."""
        match message:
            case ("bar", number, what, total, unit):
                own = self._stack.enter_context(ExitStack())
                self._bars[number] = (own.enter_context(self._progress.bar(what, total, unit)), own)
            case ("advance", number, n, figures):
                self._bars[number][0].advance(n, **figures)
            case ("total", number, n):
                self._bars[number][0].total(n)
            case ("end", number):
                self._bars.pop(number)[1].close()
            case ("say", text):
                self._progress.say(text)


class Worker:
    """At most one child process at a time; use as a context manager."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._threads = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(
        self, job: Job, progress: Progress, on_wait: Callable[[str], None], out_of_time: Callable[[], bool]
    ) -> Finished:
        """Runs one job to its end. A child that dies is an answer, not an exception."""
        threads = job.profile.training.threads or available_cores()
        if self._child and (self._threads != threads or self._child.poll() is not None):
            self.stop()
        if not self._child:
            self._start(threads)
        pipe, child = self._pipe, self._child
        if pipe is None or child is None:
            raise RuntimeError("the child did not start")
        pipe.send(job)
        with Heard(progress) as heard:
            while True:
                try:
                    if not pipe.poll(0.5):
                        if out_of_time():
                            self.stop()
                            return Finished(error="the budget of hours is used up", hint=_GO_ON)
                        continue
                    message = pipe.recv()
                except (EOFError, OSError):
                    self.stop()
                    return Finished(error=obituary(child.returncode), hint=_GO_ON)
                match message:
                    case ("held", holder):
                        on_wait(holder)
                    case ("finished", finished):
                        self._recycle()
                        assert isinstance(finished, Finished)
                        return finished
                    case _:
                        heard.take(message)

    def _start(self, threads: int) -> None:
        ours, theirs = Pipe()
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
            environment[name] = str(threads)
        environment.setdefault("TOKENIZERS_PARALLELISM", "false")
        # Threads that spin while they wait make a busy machine crawl: a training step took 20 times longer there.
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        environment.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        for name, value in ALLOCATOR.items():
            environment.setdefault(name, value)
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)  # plugins are found as they are here
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a Ctrl-C reaches the parent alone, which then decides
        )
        theirs.close()
        self._pipe, self._threads = ours, threads

    def _recycle(self) -> None:
        if self._child and psutil.Process(self._child.pid).memory_info().rss > _RECYCLE_MB * 1024 * 1024:
            self.stop()

    def stop(self) -> None:
        """Ends the child at once; what it had finished is on the disk."""
        if self._pipe:
            self._pipe.close()
        if self._child:
            self._child.kill()
            self._child.wait()
        self._child = self._pipe = None


_GO_ON = "run the same command again to go on from where it stopped"


def obituary(code: int | None, who: str = "the step's process") -> str:
    """How a process ended."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        why = ": most often the machine ran out of memory" if name == "SIGKILL" else ""
        return f"{who} was ended by {name}{why}"
    return f"{who} ended with code {code}"
