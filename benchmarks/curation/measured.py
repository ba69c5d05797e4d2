"""Runs a command and tells what it cost: CPU seconds of it and of all that it started, and its own memory at its peak.

CPU seconds are those that the kernel adds up when a process is waited for. Processes that outlive the one that started
them (workers of a pool, the daemons of Ray) are handed to this process, which waits for them too; what has not ended
ten seconds after the command is told to. Ray does not wait for its workers, and their seconds are lost to the kernel's
sum: so what every process had used when it was last seen is added up too, and the larger sum counts.

Memory is `RssAnon`, looked at twenty times a second and summed over all processes: pages of mapped files, which the
kernel can take back at any time, are not in it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of Linux."""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    cpu: float
    """Seconds, user and system."""
    wall: float
    peak: float
    """Megabytes of own memory."""
    code: int
    """What it exited with."""


def measured(command: Sequence[str], log: Path, timeout: float) -> Cost:
    """Runs it to its end.

    Args:
        log: Gets what it prints.
        timeout: Seconds after which it is stopped.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    before, started = _children_cpu(), time.perf_counter()
    peak, used = 0.0, dict[tuple[int, str], float]()
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    while child.poll() is None:
        processes = _below(os.getpid())
        peak = max(peak, sum(map(_own_memory, processes)))
        used |= dict(filter(None, map(_seconds, processes)))
        if time.perf_counter() - started > timeout:
            child.kill()
        time.sleep(0.05)
    wall = time.perf_counter() - started
    _wait_for_the_rest()
    return Cost(max(_children_cpu() - before, sum(used.values())), wall, peak, child.returncode)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait_for_the_rest() -> None:
    """Until nothing that was started is left."""
    started = time.perf_counter()
    while True:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if found:
            continue
        if time.perf_counter() - started > 10:
            for pid in _below(os.getpid()):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _below(root: int) -> list[int]:
    """All processes below one."""
    found, todo = [], [root]
    while todo:
        children: list[int] = []
        with suppress(OSError):  # it has ended
            for task in Path(f"/proc/{todo.pop()}/task").iterdir():
                children += map(int, (task / "children").read_text().split())
        todo += children
        found += children
    return found


def _seconds(pid: int) -> tuple[tuple[int, str], float] | None:
    """((process, when it began), CPU seconds of it alone so far)."""
    try:
        after_name = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (pid, after_name[19]), (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _own_memory(pid: int) -> float:
    """Megabytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)
