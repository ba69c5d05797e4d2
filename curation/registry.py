"""The one door for plugins: a name in a recipe becomes a class, and only that class's module is imported.

Three ways in, tried in this order: a built-in name (`turns`), an import path of an installed module
(`my_pkg.ops:Shouting`), an entry point whose name has a slash (`acme/shouting`). Names without a slash are ours. The
last two give the same class, so the same key.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from curation.errors import RecipeError, did_you_mean


@dataclass(frozen=True)
class Door:
    """One kind of plugin."""

    what: str
    """The word for messages: `operator`, `step`, `format`, `source`."""
    group: str
    """The entry point group that packages register in."""
    builtin: str
    """`module:NAME` of a dict, built-in name -> `module:Class`."""
    base: str
    """`module:Class` that every plugin of this kind subclasses; `""` when any object will do."""


OPERATORS = Door("operator", "rlhf_curation.operators", "curation.operators:BUILTIN", "curation.operator:Operator")
FORMATS = Door("format", "rlhf_curation.formats", "curation.formats:BUILTIN", "curation.formats:Format")
STEPS = Door("step", "rlhf_curation.steps", "rlhf.steps:BUILTIN", "rlhf.recipe.step:Step")


def builtin_names(door: Door) -> dict[str, str]:
    """Built-in name -> import path."""
    names: dict[str, str] = _load(door.builtin)
    return names


def _entry_points(door: Door) -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=door.group) if "/" in e.name}


def known_names(door: Door) -> list[str]:
    """Every name that works without an import path."""
    return sorted({*builtin_names(door), *_entry_points(door)})


def lookup(door: Door, name: str) -> Any:
    """The class behind a name.

    Raises:
        RecipeError: no such name, the module does not import, or the class is of another kind.
    """
    if name in (names := builtin_names(door)):
        return _load(names[name])
    if ":" in name:
        try:
            found = _load(name)
        except (ImportError, AttributeError) as error:
            raise RecipeError(
                f"{door.what} {name!r} cannot be imported: {error}",
                hint="an import path is `package.module:Class`, and the package must be installed",
            ) from error
    elif name in (points := _entry_points(door)):
        try:
            found = points[name].load()
        except (ImportError, AttributeError) as error:
            raise RecipeError(
                f"{door.what} {name!r} is registered but cannot be imported: {error}",
                hint="install what its package needs, or a version of the package that goes with this one",
            ) from error
    else:
        raise RecipeError(f"there is no {door.what} {name!r}", hint=did_you_mean(name, known_names(door)))
    if door.base and not (isinstance(found, type) and issubclass(found, _load(door.base))):
        raise RecipeError(f"{name!r} is no {door.what}", hint=f"it must subclass {door.base.replace(':', '.')}")
    return found


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
