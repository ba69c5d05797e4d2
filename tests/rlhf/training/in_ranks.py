"""What the tests of several processes run in each rank; in a module of its own, since it travels by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from small_runs import room

from rlhf.recipe.step import Room, Step

FOLDER = "each"
JOBS = "jobs.pickle"


def method(step: Step) -> Any:
    """The function that trains it."""
    from importlib import import_module

    return import_module(f"rlhf.training.{step.step}").train


def each(step: Step, own: Room) -> dict[str, Any]:
    """Trains several steps one after the other, so that torch is imported once a rank."""
    import pickle

    found = {}
    for name, job in pickle.loads((own.work / JOBS).read_bytes()).items():
        place = own.work / FOLDER / name
        training = own.profile.training.model_dump(exclude_unset=True)
        its = room(place, **training)
        if os.environ["RANK"] != "0":
            its.out = own.out
        found[name] = method(job)(job, its)
    return found


def dies(step: Step, own: Room) -> dict[str, Any]:
    """Trains; rank 1 is killed after 5 steps."""
    from rlhf.training.following import Follow

    told = Follow.on_log

    def die(self: Any, args: Any, state: Any, control: Any, logs: dict[str, Any], **more: Any) -> None:
        told(self, args, state, control, logs, **more)
        if state.global_step == 5 and os.environ["RANK"] == "1":
            print("killed at", time.time(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    Follow.on_log = die  # type: ignore[method-assign]
    return method(step)(step, own)


def fails(step: Step, own: Room) -> dict[str, Any]:
    """Rank 1 has a bug; rank 0 waits for it."""
    from rlhf.training import ranks

    if os.environ["RANK"] == "1":
        raise KeyError("a bug")
    ranks.together()
    return {}


def artifact(place: Path, name: str) -> Path:
    """What `each` made of a step."""
    return place / "work" / FOLDER / name / "out"
