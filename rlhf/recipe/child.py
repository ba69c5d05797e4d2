"""The process that steps run in: one child for consecutive steps, so that torch is imported once a run.

The parent sends a job, the child takes the lease of its key, runs the step, publishes the artifact and answers; what
happens on the way (bars, lines) goes up the same pipe. The two speak pickle over a pipe that nobody else can reach.
The child dies with its parent: it watches the pipe, and Linux is asked to send SIGKILL besides. What it prints goes to
the log of the step.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from curation.artifact import Kind
from curation.errors import UserError, disk_is_full
from curation.progress import Bar, Progress
from rlhf.recipe.caches import Answers, Features, Labels, Scores
from rlhf.recipe.manifest import Made
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Done, Room, Step, Waiting
from rlhf.recipe.store import Store, write_atomically

_TELL_EVERY = 0.1
"""Seconds between two messages of one bar."""


@dataclass(frozen=True)
class Job:
    """One step to run; pointers are bound."""

    name: str
    key: str
    step: Step
    kind: type[Kind]
    profile: Profile
    store: Path
    wait: bool = True
    redo: bool = False
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    usd_left: float | None = None


@dataclass(frozen=True)
class Finished:
    """What the child answers. Exactly one of `done`, `waiting`, `error` is set, or none: somebody else finished it."""

    done: Done | None = None
    waiting: Waiting | None = None
    error: str | None = None
    hint: str = ""
    trace: str | None = None
    """The traceback, when the error is a bug and not the user's."""
    exit_code: int = 1
    output: Made | None = None
    side: Mapping[str, Made] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    peak_memory_mb: float = 0.0
    tries: int = 1
    seconds: float = 0.0
    """Wall time of this try."""
    numerics: Mapping[str, Any] = field(default_factory=dict)


class Wire:
    """Messages to the parent: (what, ...)."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, *message: Any) -> None:
        """Sends one; from any thread."""
        with self._lock:
            self._connection.send(message)


class _RemoteBar(Bar):
    def __init__(self, wire: Wire, number: int) -> None:
        self._wire, self._number = wire, number
        self._n, self._figures, self._told = 0, {}, 0.0  # type: int, dict[str, float], float

    def advance(self, n: int = 1, **figures: float) -> None:
        self._n += n
        self._figures.update(figures)
        if time.monotonic() - self._told >= _TELL_EVERY:
            self.tell()

    def tell(self) -> None:
        if self._n or self._figures:
            self._wire.send("advance", self._number, self._n, self._figures)
            self._n, self._figures, self._told = 0, {}, time.monotonic()

    def total(self, n: int) -> None:
        self._wire.send("total", self._number, n)


class RemoteProgress(Progress):
    """Sends what a step reports to the parent, at most ten times a second a bar."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._count = wire, 0

    @contextmanager
    def bar(self, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Bar]:
        self._count += 1
        number = self._count
        self._wire.send("bar", number, what, total, unit)
        bar = _RemoteBar(self._wire, number)
        try:
            yield bar
        finally:
            bar.tell()
            self._wire.send("end", number)

    def say(self, text: str) -> None:
        self._wire.send("say", text)


def serve(connection: Connection) -> None:
    """Runs jobs until the parent closes the pipe."""
    die_with_parent()
    jobs: SimpleQueue[Job] = SimpleQueue()

    def listen() -> None:
        while True:
            try:
                jobs.put(connection.recv())
            except (EOFError, OSError):
                os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    wire = Wire(connection)
    while True:
        job = jobs.get()
        finished = _run(job, wire)
        try:
            wire.send("finished", finished)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            wire.send("finished", Finished(error=f"the result cannot be sent: {error}", trace=traceback.format_exc()))


def die_with_parent() -> None:
    """Linux ends this process when the one that started it ends, however that happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # prctl(2)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _run(job: Job, wire: Wire) -> Finished:
    started = time.monotonic()
    warnings: list[str] = []
    tries = 1
    try:
        store = Store(job.store)
        log = store.log(job.key)
        with store.lease(job.key, wait=job.wait, on_wait=lambda who: wire.send("held", who)), _printing_to(log):
            if not job.redo and store.manifest(job.key):
                return Finished()
            work = store.work(job.key)
            tries = _count_try(work)
            profile = _same_class(job.profile, work)
            out = work / "out"
            shutil.rmtree(out, ignore_errors=True)
            (work / "room").mkdir(exist_ok=True)
            out.mkdir()
            room = Room(
                work=work / "room",
                out=out,
                log=log,
                profile=profile,
                name=job.name,
                progress=RemoteProgress(wire),
                scores=Scores(store.root / "scores"),
                features=Features(store.root / "scores"),
                answers=Answers(store.root / "answers"),
                labels=Labels(store.root / "labels"),
                labeling=Path(profile.labeling.folder) if profile.labeling.folder else store.root / "labeling",
                tracking=store.root / "tracking" / f"{job.name}-{job.key[:8]}",
                inputs=job.inputs,
                warnings=warnings,
                usd_left=job.usd_left,
            )
            _reset_peak()
            result = job.step.run(room)
            if isinstance(result, Waiting):
                return Finished(waiting=result, warnings=tuple(warnings), tries=tries)
            if result.ledger and (problems := result.ledger.problems()):
                raise UserError("the ledger does not add up: " + "; ".join(problems), hint="please report this")
            side = {}
            for what, folder in result.side.items():
                from curation.artifact import Rows

                side[what] = store.publish(Rows, folder)
            output = store.publish(job.kind, out)
            return Finished(
                done=result,
                output=output,
                side=side,
                warnings=tuple(warnings),
                peak_memory_mb=_peak_mb(),
                tries=tries,
                seconds=time.monotonic() - started,
                numerics={"threads": profile.training.threads, **result.numerics},
            )
    except UserError as error:
        where = f"{error.where}: " if error.where else ""
        return Finished(error=where + error.what, hint=error.hint, exit_code=error.exit_code, tries=tries)
    except MemoryError:
        return Finished(error="out of memory", hint="lower the batch size in the profile", tries=tries)
    except Exception as error:
        if disk_is_full(error):
            hint = "free some space and run again: nothing that was finished is lost"
            return Finished(error=f"the disk that holds {job.store} is full", hint=hint, tries=tries)
        # A bug: the parent shows the traceback.
        return Finished(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc(), tries=tries)


def _count_try(work: Path) -> int:
    """How often the step was started, this time included; kept in the work folder."""
    work.mkdir(parents=True, exist_ok=True)
    counter = work / "tries"
    tries = int(counter.read_text()) + 1 if counter.exists() and counter.read_text().isdigit() else 1
    write_atomically(counter, str(tries))
    return tries


def _same_class(profile: Profile, work: Path) -> Profile:
    """The profile, with the threads and micro-batch that the step was begun with: only then a resume is bitwise.

    Where nothing is left of that beginning there is nothing to go on from, and the profile holds as it is.
    """
    noted, room = work / "profile.json", work / "room"
    if noted.exists() and room.is_dir() and any(room.iterdir()):
        return profile.model_copy(update={"training": type(profile.training).model_validate_json(noted.read_text())})
    threads = profile.training.threads or available_cores()
    training = profile.training.model_copy(update={"threads": threads})
    write_atomically(noted, training.model_dump_json())
    return profile.model_copy(update={"training": training})


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """File descriptors 1 and 2 go to the log: also what C libraries and grandchildren print."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.close(handle)


def _reset_peak() -> None:
    """Linux forgets the peak of the resident memory when 5 is written here (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Peak resident memory in MB: of this step on Linux, of the process elsewhere."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
