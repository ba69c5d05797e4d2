"""`--set place=value`: one setting changed from the command line, before anything is validated.

A place is a path with dots: `steps.sft.learning_rate`, or `sft.learning_rate` for short; a number is the index of a
list (`threads.datasets.0.path`); `profile.training.threads` reaches into the profile. A setting that only one step
writes may stand alone (`datasets.0.path`). The value is YAML. What it sets is checked like the file's own text, and a
relative path in it counts from the working directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.errors import did_you_mean
from rlhf.recipe.document import Node, Path_, parse
from rlhf.recipe.problem import Place, Problem, RecipeProblems

TOP = ("recipe", "seed", "base", "budget", "extends", "steps")
"""The names at the top of a recipe."""


@dataclass(frozen=True)
class Change:
    """One setting to change."""

    path: Path_
    node: Node
    flag: str
    """As typed, for messages."""


def changes(sets: Sequence[str] | Mapping[str, Any]) -> list[Change]:
    """What the flags (or a mapping from Python) ask for.

    Raises:
        RecipeProblems: a flag is no `place=value`, or its value is no YAML.
    """
    if isinstance(sets, Mapping):
        return [_change(str(place), value, f"set {place}") for place, value in sets.items()]
    found: list[Change] = []
    problems: list[Problem] = []
    for text in sets:
        place, equals, value = text.partition("=")
        flag = f"--set {text}"
        if not equals or not all(part.strip() for part in place.split(".")):
            hint = "write --set sft.learning_rate=1e-4"
            problems.append(Problem("a change is `place=value`", Place(flag=flag), hint=hint))
            continue
        try:
            found.append(Change(_path(place), parse(value, Place(flag=flag)), flag))
        except RecipeProblems as error:
            problems += error.problems
    if problems:
        raise RecipeProblems(problems)
    return found


def _change(place: str, value: Any, flag: str) -> Change:
    return Change(_path(place), _noded(value, Place(flag=flag)), flag)


def _path(place: str) -> Path_:
    parts = (part.strip() for part in place.strip().split("."))
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _noded(value: Any, place: Place) -> Node:
    """Plain Python data as a tree."""
    if isinstance(value, Mapping):
        children = {str(k): _noded(v, place) for k, v in value.items()}
        return Node(children, place, dict.fromkeys(children, place))
    if isinstance(value, list | tuple):
        return Node([_noded(v, place) for v in value], place)
    return Node(value if value is None or isinstance(value, bool | int | float) else str(value), place)


def apply(tree: Node, asked: Sequence[Change]) -> Node:
    """The recipe with the changes made, in their order; `tree` stays as it was.

    Raises:
        RecipeProblems: a place does not exist; all such are named at once.
    """
    problems: list[Problem] = []
    for change in asked:
        try:
            tree = _with(tree, _full(tree, change), change, ())
        except RecipeProblems as error:
            problems += error.problems
    if problems:
        raise RecipeProblems(problems)
    return tree


def _wrong(change: Change, what: str, hint: str = "") -> RecipeProblems:
    return RecipeProblems([Problem(what, Place(flag=change.flag), hint=hint)])


def _full(tree: Node, change: Change) -> Path_:
    """The path from the top: `sft.beta` becomes `steps.sft.beta`."""
    first = change.path[0]
    steps = tree.get("steps")
    by_name: dict[str, Node] = steps.value if steps and isinstance(steps.value, dict) else {}
    if first in TOP:
        return change.path
    if first in by_name:
        return ("steps", *change.path)
    owners = [name for name, step in by_name.items() if step.get(str(first))]
    if len(owners) == 1:
        return ("steps", owners[0], *change.path)
    if owners:
        rest = ".".join(map(str, change.path))
        raise _wrong(
            change, f"{first!r} is a setting of several steps", "say which: " + ", ".join(f"{o}.{rest}" for o in owners)
        )
    raise _wrong(change, f"there is no step {first!r}", did_you_mean(str(first), [*by_name, *TOP]))


def _with(node: Node, path: Path_, change: Change, done: Path_) -> Node:
    """A copy of the tree along the path (an aliased node may stand in other places too)."""
    if not path:
        return change.node
    part, rest = path[0], path[1:]
    where = ".".join(map(str, done))
    if isinstance(node.value, list):
        if not isinstance(part, int) or part > len(node.value):
            hint = "0 is the first; " + (
                f"{len(node.value)} adds one" if not rest else f"the last is {len(node.value) - 1}"
            )
            raise _wrong(change, f"{where} is a list of {len(node.value)}: it takes a number, not {part!r}", hint)
        empty = Node({}, Place(flag=change.flag))
        old = node.value[part] if part < len(node.value) else empty
        items = [*node.value[:part], _with(old, rest, change, (*done, part)), *node.value[part + 1 :]]
        return Node(items, node.place)
    name = str(part)
    if node.value is None or (
        isinstance(node.value, str) and node.value == name
    ):  # a bare name: an operator's defaults
        node = Node(
            {name: Node({}, node.place)} if node.value else {}, node.place, {name: node.place} if node.value else {}
        )
    if not isinstance(node.value, dict):
        raise _wrong(change, f"{where} is {node.value!r}, which has no {name!r}", f"set {where} itself")
    old = node.value.get(name, Node({}, Place(flag=change.flag)))
    value = {**node.value, name: _with(old, rest, change, (*done, part))}
    keys = {**node.keys, name: Place(flag=change.flag)} if not rest or name not in node.keys else node.keys
    return Node(value, node.place, keys)
