"""Everything that can be said about a recipe without reading data: what is wrong, and what is unwise.

The loader finds what the text alone shows. Here come the files that are not there and each step's own advice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.artifact import Bound, Ref, Surroundings, pointers
from curation.errors import UserError
from rlhf.recipe.load import LoadedRecipe, examine
from rlhf.recipe.problem import Problem, RecipeProblems


@dataclass(frozen=True)
class Checked:
    """What `check` found."""

    loaded: LoadedRecipe
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(
    recipe: str | Path, *, sets: Sequence[str] | Mapping[str, Any] = (), profile: str | Path | None = None
) -> Checked:
    """Checks a recipe; arguments are those of `rlhf.recipe.load.load`.

    Raises:
        RecipeError: there is no such recipe or profile, or it is no YAML.
    """
    loaded, problems = examine(recipe, sets=sets, profile=profile)
    problems = [*problems, *_files(loaded)]
    warnings = [
        Problem(text, loaded.find("steps", name).place, f"steps.{name}")
        for name, step in loaded.steps.items()
        for text in step.advice()
    ]
    return Checked(loaded, tuple(RecipeProblems(problems).problems), tuple(RecipeProblems(warnings).problems))


def _files(loaded: LoadedRecipe) -> list[Problem]:
    """The local files that settings name and that are not there."""
    around = Surroundings(loaded.here, hash_file=lambda _: "unread", online=False)
    problems: list[Problem] = []
    for name, step in loaded.steps.items():
        for place, pointer, owner in pointers(step):
            if isinstance(pointer, Ref):
                continue
            try:
                _locate(str(place[-1]), pointer, owner, around)
            except UserError as error:
                found = loaded.find("steps", name, *place)
                problems.append(Problem(error.what, found.place, found.dotted, error.hint))
    return problems


def _locate(name: str, pointer: Bound, owner: Any, around: Surroundings) -> None:
    own = getattr(owner, "bind_pointer", None)
    if own is None:
        around.locate(pointer.written)
    else:
        own(name, pointer, around)
