"""A training step in several processes: started here, watched, and ended together.

Each process is a rank: it runs the step's own code on its share of every batch (`rlhf.training.ranks`). Rank 0 writes
the artifact and reports; what each rank prints goes to a log of its own. When one of them ends early the others would
wait for it, so all are ended, and the error names the rank and its log. They die with this process, whatever ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from curation.errors import UserError
from curation.progress import SILENT
from rlhf.recipe.child import RemoteProgress, Wire, available_cores, die_with_parent
from rlhf.recipe.step import Room, Step
from rlhf.recipe.worker import Heard, obituary

S = TypeVar("S", bound=Step)
Train = Callable[[S, Room], dict[str, Any]]

_GRACE = 2.0
"""Seconds in which the other ranks may still say what they ended with, once the first has ended."""
_GO_ON = "run the same command again to go on from the last checkpoint"
_RANK = """
import sys
from multiprocessing.connection import Connection
from rlhf.steps.launch import serve
serve(Connection(int(sys.argv[1])))
"""
# Not `-m rlhf.steps.launch`: then the classes that travel would be those of `__main__`.


@dataclass(frozen=True)
class _Share:
    """What one rank is told."""

    train: Callable[..., dict[str, Any]]
    step: Step
    room: Room
    rank: int
    meeting: Path
    """The file by which the ranks find each other."""


@dataclass(frozen=True)
class _Failed:
    """How a rank ended that did not finish."""

    at: float
    """When it knew, by the machine's clock: who failed first made the others fail."""
    error: UserError | None = None
    text: str = ""
    out_of_memory: bool = False


class RankOutOfMemory(MemoryError):
    """A rank had not enough memory."""


def several(room: Room) -> bool:
    """Whether the profile asks for ranks."""
    return room.profile.training.num_processes > 1 or bool(room.profile.training.accelerate_config)


def in_ranks(train: Train[S], step: S, room: Room) -> dict[str, Any]:
    """Trains in the profile's number of processes; gives what rank 0 gives.

    Raises:
        UserError: the method cannot, the profile asks for what this machine has not, or a rank failed.
        RankOutOfMemory: a rank had not enough memory.
    """
    training = room.profile.training
    if reason := getattr(step, "one_process", "its trainer was not made for several"):
        raise UserError(
            f"`{step.step}` trains in one process: {reason}",
            hint="run it with a profile without num_processes and accelerate_config",
        )
    from rlhf.training.strategy import environment

    config = Path(training.accelerate_config) if training.accelerate_config else None
    shared = environment(config, training.num_processes, training.device)
    with tempfile.TemporaryDirectory(prefix="rlhf-ranks-") as folder, ExitStack() as stack:
        ranks = [stack.enter_context(_Rank(n, room, shared, Path(folder))) for n in range(training.num_processes)]
        room.progress.say(f"{len(ranks)} processes; what each prints: {_logs(ranks)}")
        for rank in ranks:
            rank.begin(train, step, room, Path(folder))
        return _watch(ranks, room)


class _Rank:
    """One process, from this side; use as a context manager, which ends it."""

    def __init__(self, number: int, room: Room, shared: dict[str, str], scratch: Path) -> None:
        training = room.profile.training
        self.number, self.count, self.scratch = number, training.num_processes, scratch
        self.threads = max(1, (training.threads or available_cores()) // self.count)
        self.log = (room.log or room.work / "ranks.log").with_suffix(f".rank{number}.log")
        self.outcome: dict[str, Any] | _Failed | None = None
        self.warnings: list[str] = []
        ours, theirs = Pipe()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _RANK, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment() | shared,
            )
        theirs.close()
        self.pipe = ours

    def __enter__(self) -> _Rank:
        return self

    def __exit__(self, *_: object) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.wait()

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = str(self.threads)
        local = "lo0" if sys.platform == "darwin" else "lo"
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):  # nobody outside this machine is part of it
            environment.setdefault(name, local)
        numbers = {"RANK": self.number, "LOCAL_RANK": self.number}
        numbers |= {"WORLD_SIZE": self.count, "LOCAL_WORLD_SIZE": self.count}
        environment |= {name: str(value) for name, value in numbers.items()}
        environment |= {"MASTER_ADDR": "127.0.0.1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        return environment

    def begin(self, train: Train[Any], step: Step, room: Room, folder: Path) -> None:
        """Tells it what to do."""
        training = room.profile.training.model_copy(update={"threads": self.threads})
        out = room.out
        if self.number:
            out = folder / f"out{self.number}"  # it writes none, but has a place like all others
            out.mkdir()
        own = Room(
            work=room.work,
            out=out,
            profile=room.profile.model_copy(update={"training": training}),
            name=room.name,
            log=self.log,
            tracking=room.tracking,
            inputs=room.inputs,
        )
        self.pipe.send(_Share(train, step, own, self.number, folder / "meeting"))

    def gone(self) -> None:
        """Its end of the pipe is closed."""
        code = self.process.wait()
        if self.outcome is None:
            who = f"rank {self.number} of {self.count}"
            at = 0.0 if code < 0 else time.time()  # a signal comes from outside: no other rank made it fail
            self.outcome = _Failed(at, text=obituary(code, who))

    @property
    def failed(self) -> _Failed | None:
        return self.outcome if isinstance(self.outcome, _Failed) else None


def _watch(ranks: list[_Rank], room: Room) -> dict[str, Any]:
    """Listens to all of them until they are done, or one is not going to be."""
    listening: dict[Connection, _Rank] = {rank.pipe: rank for rank in ranks}
    until: float | None = None
    with Heard(room.progress) as heard:
        while listening and (until is None or time.monotonic() < until):
            for ready in wait(list(listening), timeout=0.2):
                assert isinstance(ready, Connection)
                rank = listening[ready]
                try:
                    message = ready.recv()
                except (EOFError, OSError):
                    rank.gone()
                    del listening[ready]
                else:
                    match message:
                        case ("ended", outcome, warnings):
                            rank.outcome, rank.warnings = outcome, warnings
                        case _:
                            heard.take(message)
                if rank.failed and until is None:
                    until = time.monotonic() + _GRACE
    room.warnings.extend(ranks[0].warnings)
    if until is not None:
        _raise_first(ranks)
    found = ranks[0].outcome
    assert isinstance(found, dict)
    return found


def _raise_first(ranks: list[_Rank]) -> None:
    rank, failed = min(((r, r.failed) for r in ranks if r.failed), key=lambda pair: pair[1].at)
    if failed.out_of_memory:
        raise RankOutOfMemory(failed.text)
    if failed.error:
        raise failed.error
    raise UserError(failed.text, hint=f"its log is {rank.log}; {_GO_ON}")


def _logs(ranks: list[_Rank]) -> str:
    return f"{ranks[0].log}" + (f" to {ranks[-1].log.name}" if len(ranks) > 1 else "")


# In the rank


def serve(connection: Connection) -> None:
    """Runs a rank until it is done; ends at once when the other end of the pipe is closed."""
    die_with_parent()
    share: _Share = connection.recv()
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    wire = Wire(connection)
    room = replace(share.room, progress=SILENT if share.rank else RemoteProgress(wire))
    wire.send("ended", _run(share, room), room.warnings)


def _end_with(connection: Connection) -> None:
    try:
        connection.recv()
    except (EOFError, OSError):
        os._exit(0)


def _run(share: _Share, room: Room) -> dict[str, Any] | _Failed:
    from curation.models.numerics import use_device
    from rlhf.steps.memory import out_of_memory
    from rlhf.training import ranks

    training = room.profile.training
    try:
        ranks.join(share.rank, training.num_processes, use_device(training.device).type, share.meeting)
        found = share.train(share.step, room)
        ranks.leave()
        return found if share.rank == 0 else {}
    except UserError as error:
        return _Failed(time.time(), error=error)
    except Exception as error:
        at = time.time()
        traceback.print_exc()
        who = f"rank {share.rank} of {training.num_processes}"
        text = f"{who} failed: {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        return _Failed(at, text=text, out_of_memory=out_of_memory(error))
