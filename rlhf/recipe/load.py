"""A recipe file and what was said on the command line become a `LoadedRecipe`: typed steps, wired and ready to plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from curation.artifact import Kind, Ref
from curation.operator import Settings
from rlhf.recipe.problem import Place
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Step


class Budget(Settings):
    """What a run may cost. Reaching it stops the run, which can go on later; it never shortens a result."""

    usd: float | None = Field(None, gt=0)
    """Dollars for paid answers, all steps together. None: no bound."""
    hours: float | None = Field(None, gt=0)
    """Wall time of one run. None: no bound."""


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe that is well formed, fully typed and wired. Nothing has been read but the recipe and the profile."""

    name: str
    path: Path
    """The recipe file."""
    here: Path
    """Its folder: what relative paths in the steps' settings count from."""
    seed: int
    budget: Budget
    steps: Mapping[str, Step]
    """In the file's order (`base` first), seed and base filled in."""
    kinds: Mapping[str, type[Kind]]
    """Step -> the kind of its artifact."""
    edges: Mapping[str, tuple[Ref[Any], ...]]
    """Step -> its Refs, at any depth."""
    order: tuple[str, ...]
    """The steps so that each comes after what it needs; the file's order where that leaves a choice."""
    profile: Profile
    head_comment: str = ""
    """The comment that opens the file, without the `#`: hardware, hours, cost, what to expect."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """File name -> text of the recipe (and of what it extends), for the page."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe as plain data: extended, with what `--set` changed, nothing filled in."""

    def needs(self, name: str) -> tuple[str, ...]:
        """The steps that a step reads, each once."""
        return tuple(dict.fromkeys(ref.step for ref in self.edges[name]))

    def place(self, *path: str | int) -> Place:
        """Where a setting was written: `place("steps", "sft", "data")`. The closest place known."""
        raise NotImplementedError


def load(
    recipe: str | Path, *, sets: Sequence[str] = (), profile: str | Path | None = None
) -> LoadedRecipe:
    """Reads, extends, overrides, validates and wires a recipe.

    Args:
        recipe: A file, or the name of a shipped recipe; the file wins.
        sets: `path=value` texts, applied in order.
        profile: A file or the name of a shipped profile; None: `RLHF_PROFILE`, else the defaults.

    Raises:
        RecipeProblems: everything that is wrong, at once.
    """
    raise NotImplementedError
