"""What every step that trains does around its trainer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.launch import in_ranks, several
from rlhf.steps.memory import within_memory

S = TypeVar("S", bound=Step)


def trained(train: Callable[[S, Room], dict[str, Any]], step: S, room: Room) -> Done:
    """Trains, in the profile's number of processes and as many rows at once as fit, and gives the memory back.

    The process goes on to the next step when it has become small again.

    Args:
        train: Gives the fields of `Done`.
    """
    from curation.models import release

    found = within_memory(partial(in_ranks, train) if several(room) else train, step, room)
    release()
    return Done(**found)
