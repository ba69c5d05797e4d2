"""Configs of other tools as recipes: every key is carried over, or listed with what to write instead.

What a recipe cannot take is not guessed at. The result is loaded like any recipe; a value that our settings refuse goes
to the list with their reason, and what is still missing after that is named by its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.errors import RecipeError, did_you_mean
from curation.registry import STEPS, lookup
from rlhf.recipe.convert import axolotl, llamafactory, text, trl
from rlhf.recipe.convert.draft import PAIRS, PROMPTED, Draft, Tool
from rlhf.recipe.document import parse, read
from rlhf.recipe.load import examined
from rlhf.recipe.problem import Place, Problem, shown

TOOLS: dict[str, Tool] = {tool.name: tool for tool in (axolotl.TOOL, llamafactory.TOOL, trl.TOOL)}
METHODS = ("sft", "kto", *sorted(PAIRS | (PROMPTED - {"distill"})))
"""Steps that a config can become."""


@dataclass(frozen=True)
class Converted:
    """A recipe, and what became of each key of the config that it was made from."""

    tool: str
    source: Path
    recipe: dict[str, Any]
    carried: dict[str, str]
    """Key -> where it stands in the recipe."""
    not_carried: dict[str, str]
    """Key -> why not, or what to write instead."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Place -> what the other tool does where its config says nothing and we would do something else."""
    to_fill_in: tuple[Problem, ...] = ()
    """What a person must still write before the recipe loads."""

    def text(self) -> str:
        """The recipe as YAML, under a comment that says what was not carried."""
        return text.written(self)


def convert(
    file: Path, tool: str, *, method: str | None = None, num_processes: int = 1, folder: Path | None = None
) -> Converted:
    """The recipe of another tool's config.

    Args:
        file: The config, a YAML file.
        tool: A name of `TOOLS`.
        method: The step that trains; None: as the config says.
        num_processes: Processes that the config was run on: its batch is one process's.
        folder: Where the recipe will lie; None: the working directory.

    Raises:
        RecipeError: the file is no config of a training run, or of a method that there is no step for.
    """
    source = TOOLS.get(tool)
    if source is None:
        raise RecipeError(f"there is no tool {tool!r} to convert from", hint=did_you_mean(tool, TOOLS))
    config = read(file)[0].plain()
    if not isinstance(config, Mapping):
        raise RecipeError(f"{shown(file)} holds no keys, so it is no config", hint="is it really a config?")
    if method is not None and method not in METHODS:
        raise RecipeError(f"there is no method {method!r}", hint=did_you_mean(method, METHODS))
    try:
        step = method or source.method(config)
    except RecipeError as error:
        raise RecipeError(error.what, where=shown(file), hint=error.hint) from error
    lookup(STEPS, step)
    draft = Draft(source, config, step, num_processes, (folder or Path.cwd()).resolve(), file.resolve())
    source.together(draft)
    draft.follow_table()
    defaults = _defaults(draft)
    source.adapter(draft)
    left = _refused(draft)
    defaults = {place: value for place, value in defaults.items() if _at(draft.recipe(), place) is not None}
    return Converted(tool, file, draft.recipe(), draft.carried, draft.not_carried, defaults, tuple(left))


def _defaults(draft: Draft) -> dict[str, Any]:
    """Fills in what the other tool does by itself; a key that was written stands as it is."""
    filled: dict[str, Any] = {}
    written = set(draft.carried.values())
    for key, value in draft.tool.defaults(draft.method).items():
        rule = draft.tool.table[key]
        if isinstance(rule, str):
            continue
        name = rule.place.removeprefix("train.")
        place = draft.full(rule.place)
        if place not in written and name not in draft.train and draft.takes(name):
            draft.train[name] = filled[place] = rule.change(value)
    return filled


def _refused(draft: Draft) -> list[Problem]:
    """Takes out what our settings refuse, one after another; returns what is missing or wrong even so."""
    while True:
        problems = _problems(draft)
        for problem in problems:
            keys = [key for key, place in draft.carried.items() if place.split(" (")[0] == problem.path]
            if keys and problem.path != f"steps.{draft.method}" and _drop(draft, problem.path):
                for key in keys:
                    draft.leave(key, " ".join(f"{problem.what}; {problem.hint}".strip("; ").split()))
                break
        else:
            return problems


def _problems(draft: Draft) -> list[Problem]:
    place = draft.folder / "converted.yaml"
    words = text.yaml(draft.recipe())
    _, problems = examined(parse(words, Place(place)), {place.name: words}, place)
    ours = [p for p in problems if re.match(r"(steps|base|seed|recipe)\b", p.path)]
    return list({(p.path, p.what): Problem(p.what, path=p.path, hint=p.hint) for p in ours}.values())


def _drop(draft: Draft, place: str) -> bool:
    """Takes a value out of the draft; False where it was not there."""
    *room, name = place.split(".")
    if room == ["steps", draft.method]:
        return draft.train.pop(name, None) is not None
    if room == ["base"]:
        return draft.base.pop(name, None) is not None
    if room[:3] == ["steps", "data", "datasets"] and len(room) == 4 and name != "path":
        return draft.datasets[int(room[3])].pop(name, None) is not None
    return not room and draft.top.pop(name, None) is not None


def _at(recipe: Mapping[str, Any], place: str) -> Any:
    found: Any = recipe
    for part in place.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
