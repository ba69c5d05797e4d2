"""Relative paths count from the file that they are written in, and from the working directory on the command line.

Binding knows one folder only, the recipe's. So a path that came in by `extends` or `--set` is rewritten, right after
validation, to mean the same from there. Paths never enter a key, so this changes nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from curation.artifact import Bound, Ref
from rlhf.recipe.document import Node, Path_
from rlhf.recipe.problem import Place

M = TypeVar("M", bound=BaseModel)


def rebased(step: M, tree: Node, prefix: Path_, recipe: Path) -> M:
    """The settings with every relative path counting from the recipe's folder.

    Args:
        tree: Says in which file each setting was written.
        prefix: Where the settings stand in the tree.
    """
    here = recipe.parent

    def one(place: Path_, pointer: Bound, owner: BaseModel) -> Bound:
        origin = origin_of(tree.find((*prefix, *place)).node.place)
        if isinstance(pointer, Ref) or origin == here or not is_relative(pointer.written):
            return pointer
        meant = origin / pointer.written
        if hasattr(owner, "bind_pointer") and not meant.exists():
            return pointer  # the name of a model or data set on the Hub, as far as one can see
        return type(pointer)(os.path.relpath(meant, here) if origin != Path.cwd() else str(meant))

    return mapped(step, one, ())


def origin_of(place: Place) -> Path:
    """The folder that a relative path written at a place counts from."""
    return place.file.parent if place.file else Path.cwd()


def is_relative(written: str) -> bool:
    """True for a path that depends on where one stands; a URL or a package's file does not."""
    return not (written.startswith(("package:", "~")) or "://" in written or Path(written).is_absolute())


def mapped(model: M, one: Callable[[Path_, Bound, BaseModel], Bound], prefix: Path_) -> M:
    """A copy of the settings in which each pointer is what `one(place, pointer, owner)` gives."""

    def walk(value: Any, place: Path_) -> Any:
        if isinstance(value, Bound):
            return one(place, value, model)
        if isinstance(value, BaseModel):
            return mapped(value, one, place)
        if isinstance(value, list | tuple):
            return type(value)(walk(v, (*place, i)) for i, v in enumerate(value))
        if isinstance(value, dict):
            return {k: walk(v, (*place, k)) for k, v in value.items()}
        return value

    fields = {
        name: (getattr(model, name), walk(getattr(model, name), (*prefix, name))) for name in type(model).model_fields
    }
    changed = {name: new for name, (old, new) in fields.items() if new is not old and old != new}
    return model.model_copy(update=changed) if changed else model
