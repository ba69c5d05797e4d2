"""What pydantic found wrong with settings, as problems that name the line, the place, and the next thing to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from curation.errors import UserError, did_you_mean
from curation.operator import Plugin
from curation.registry import lookup
from rlhf.recipe.document import Node, Path_
from rlhf.recipe.fields import at, first_sentence, names
from rlhf.recipe.problem import Place, Problem

Advice = Callable[[str, Any, type[BaseModel]], str]
"""What to do about an unknown key: (key, its value, the settings class) -> a sentence."""


def validated(
    cls: type[BaseModel], settings: Any, tree: Node, prefix: Path_, advice: Advice
) -> tuple[BaseModel | None, list[Problem], set[str]]:
    """The settings object, what is wrong, and the keys (first level) that something is wrong with.

    Args:
        tree: Where the places are looked up.
        prefix: Where the settings stand in the tree.
        advice: Asked about every unknown key.
    """
    try:
        return cls.model_validate(settings), [], set()
    except ValidationError as error:
        found = problems(cls, error.errors(include_url=False), tree, prefix, advice)
        return None, found, {str(e["loc"][0]) for e in error.errors(include_url=False) if e["loc"]}
    except UserError as error:
        place, path = located(tree, prefix)
        return None, [Problem(error.what, place, dotted(path), error.hint)], set()


def problems(cls: type[BaseModel], errors: Sequence[Any], tree: Node, prefix: Path_, advice: Advice) -> list[Problem]:
    """One problem a place; the branches of a union that all failed become one sentence."""
    found: dict[tuple[Place, str], Problem] = {}
    for error in errors:
        loc: Path_ = tuple(error["loc"])
        if error["type"] == "nested":
            here, _ = at(cls, loc)
            name, inner = error["ctx"]["name"], error["ctx"]["errors"]
            plugins = [x for x in here if isinstance(x, Plugin)]
            inner_cls = lookup(plugins[0].door, name) if plugins else cls
            for problem in problems(inner_cls, inner, tree, (*prefix, *loc, name), advice):
                found.setdefault((problem.place, problem.path), problem)
            continue
        problem = _one(cls, error, loc, tree, prefix, advice)
        before = found.get((problem.place, problem.path))
        if before and problem.what not in before.what:
            problem = Problem(f"{before.what}; or {problem.what}", before.place, before.path, before.hint)
        found[problem.place, problem.path] = problem
    return list(found.values())


def _one(cls: type[BaseModel], error: Any, loc: Path_, tree: Node, prefix: Path_, advice: Advice) -> Problem:
    kind, value = error["type"], error.get("input")
    if kind == "extra_forbidden":
        place, path = located(tree, (*prefix, *loc))
        owners = [x for x in at(cls, loc[:-1])[0] if isinstance(x, type)]
        return Problem(
            f"unknown key {loc[-1]!r}", place, dotted(path), advice(str(loc[-1]), value, (owners or [cls])[0])
        )
    _, field = at(cls, loc)
    about = first_sentence(field.description) if field else ""
    if kind == "missing":
        place, path = located(tree, (*prefix, *loc[:-1]))
        return Problem(f"{loc[-1]!r} is missing", place, dotted(path), about)
    place, path = located(tree, (*prefix, *loc))
    if kind == "literal_error":
        hint = did_you_mean(str(value), re.findall(r"'([^']*)'", str(error["ctx"]["expected"])))
        return Problem(f"should be {error['ctx']['expected']}, not {value!r}", place, dotted(path), hint)
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        owners = [x for x in at(cls, loc)[0] if isinstance(x, type)]
        keys = ", ".join(names(owners[0])) if owners else ""
        return Problem(f"should be a map, not {_short(value)}", place, dotted(path), f"keys: {keys}" if keys else about)
    what = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if what.startswith("Input should"):
        what = what.removeprefix("Input ").partition(", unable to parse")[0] + f", not {_short(value)}"
    return Problem(what, place, dotted(path), "" if kind in ("plugin", "pointer") else about)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def located(tree: Node, loc: Path_) -> tuple[Place, Path_]:
    """The place of a setting and the part of its path that the text holds (the last part always)."""
    _, place = tree.find(loc)
    path: list[str | int] = []
    node: Node | None = tree
    for i, part in enumerate(loc):
        child: Node | None = None
        if node and isinstance(node.value, dict):
            child = node.value.get(part)
        elif node and isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
        if child:
            node = child
            path.append(part)
        elif isinstance(part, str) and (node is None or (isinstance(node.value, dict) and i == len(loc) - 1)):
            path.append(part)
    return place, tuple(path)


def dotted(path: Path_) -> str:
    """`steps.sft.learning_rate`."""
    return ".".join(map(str, path))
