"""When memory runs out: half as many rows at once, and twice the accumulation. What is learned stays the same.

How many rows fit is not known before; the batch of an optimizer step is the recipe's and is kept, so halving the part
of it that is in memory at once changes no result but rounding. What was found to fit is noted in the step's scratch, so
that a run which goes on from a checkpoint goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from curation.errors import UserError, first_line
from rlhf.recipe.profile import Training
from rlhf.recipe.step import Room, Step
from rlhf.recipe.store import write_atomically
from rlhf.training.settings import Optimizing, cut_batch, fewer_rows

S = TypeVar("S", bound=Step)

_NOTE = "rows_at_once.json"
_HINT = (
    "in the profile `training: {gradient_checkpointing: true}` takes less, in the recipe a lower max_length, "
    "`dtype: bfloat16` or `load_in_4bit: true`"
)


def out_of_memory(error: BaseException) -> bool:
    """Whether something failed because there was not enough memory, on the CPU or on a device."""
    if isinstance(error, MemoryError):
        return True
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, Exception) and (
        type(error).__name__ == "OutOfMemoryError" or bool(should_reduce_batch_size(error))
    )


def within_memory(train: Callable[[S, Room], dict[str, Any]], step: S, room: Room) -> dict[str, Any]:
    """Trains; when memory runs out, again from the last checkpoint with half as many rows at once.

    Raises:
        UserError: one row alone is too much.
    """
    from curation.models import release

    note = room.work / _NOTE
    room = _with_rows(room, _noted(note))
    before = len(room.warnings)
    while True:
        try:
            return train(step, room)
        except Exception as error:
            if not isinstance(step, Optimizing) or not out_of_memory(error):
                raise
            said = first_line(error)
        release()  # only here: what was raised held on to the models
        del room.warnings[before:]  # they come again
        room = _halved(step, room, note, said)
        before = len(room.warnings)


def _halved(step: Optimizing, room: Room, note: Path, said: str) -> Room:
    rows, parts = cut_batch(step.mini_batch_size, room.profile.training)
    fewer = fewer_rows(step.mini_batch_size, room.profile.training)
    if fewer is None:
        note.unlink(missing_ok=True)
        raise UserError(f"out of memory with {rows} row{'s' * (rows > 1)} at once ({said})", hint=_HINT)
    write_atomically(note, json.dumps(fewer))
    room.warn(
        f"out of memory with {rows} rows at once; going on with {fewer}, {parts * rows // fewer} times for each step "
        f"of the optimizer: the batch stays {step.mini_batch_size}"
    )
    return _with_rows(room, fewer)


def _noted(note: Path) -> int | None:
    return int(json.loads(note.read_text(encoding="utf-8"))) if note.exists() else None


def _with_rows(room: Room, rows: int | None) -> Room:
    if rows is None:
        return room
    training: Training = room.profile.training.model_copy(update={"per_device_train_batch_size": rows})
    return replace(room, profile=room.profile.model_copy(update={"training": training}))
