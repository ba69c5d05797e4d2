"""What every step that trains does around its trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rlhf.recipe.step import Done, Room, Step

S = TypeVar("S", bound=Step)


def trained(train: Callable[[S, Room], dict[str, Any]], step: S, room: Room) -> Done:
    """Trains, and gives the memory back: the process goes on to the next step when it has become small again.

    Args:
        train: Gives the fields of `Done`.
    """
    from curation.models import release

    found = train(step, room)
    release()
    return Done(**found)
