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
        wrong = problems(cls, error.errors(include_url=False), tree, prefix, advice)
        return None, wrong, {str(e["loc"][0]) for e in error.errors(include_url=False) if e["loc"]}
    except UserError as error:
        found = tree.find(prefix)
        return None, [Problem(error.what, found.place, found.dotted, error.hint)], set()


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
    found = tree.find((*prefix, *loc[:-1]) if kind == "missing" else (*prefix, *loc))

    def problem(what: str, hint: str) -> Problem:
        return Problem(what, found.place, found.dotted, hint)

    if kind == "extra_forbidden":
        owners = [x for x in at(cls, loc[:-1])[0] if isinstance(x, type)]
        return problem(f"unknown key {loc[-1]!r}", advice(str(loc[-1]), value, (owners or [cls])[0]))
    _, field = at(cls, loc)
    about = first_sentence(field.description) if field else ""
    if kind == "missing":
        return problem(f"{loc[-1]!r} is missing", about)
    if kind == "literal_error":
        wanted = str(error["ctx"]["expected"])
        return problem(f"should be {wanted}, not {value!r}", did_you_mean(str(value), re.findall(r"'([^']*)'", wanted)))
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        owners = [x for x in at(cls, loc)[0] if isinstance(x, type)]
        keys = ", ".join(names(owners[0])) if owners else ""
        return problem(f"should be a map, not {_short(value)}", f"keys: {keys}" if keys else about)
    what = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if what.startswith("Input should"):
        what = what.removeprefix("Input ").partition(", unable to parse")[0] + f", not {_short(value)}"
    return problem(what, "" if kind in ("plugin", "pointer") else about)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
