"""The Python door: `Recipe.load("quickstart").run()["dpo"]` is the artifact that the command line would have made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UserError, did_you_mean
from rlhf.recipe import plan as planning
from rlhf.recipe import run as running
from rlhf.recipe.load import LoadedRecipe, load
from rlhf.recipe.manifest import Manifest
from rlhf.recipe.profile import Profile
from rlhf.recipe.store import Store

if TYPE_CHECKING:
    import polars as pl

DEFAULT_STORE = ".rlhf"


def open_store(given: Path | str | None, profile: Profile) -> Store:
    """The store: the one given, else RLHF_STORE, else the profile's, else `.rlhf` in the working directory."""
    return Store(given or os.environ.get("RLHF_STORE") or profile.store or DEFAULT_STORE)


@dataclass(frozen=True)
class Artifact:
    """What a step made."""

    path: Path
    """Its folder in the store; never change anything in it."""
    manifest: Manifest

    def dataset(self, part: str | None = None) -> pl.DataFrame:
        """The rows of a data set, or of one split of it, in the schema of `curation.frame`."""
        from curation import table

        return table.read(self.path, part)

    def model(self, **how: Any) -> Any:
        """The policy or reward model, loaded; arguments are those of `curation.models.load_policy`."""
        from curation import models

        load_it = models.load_reward if self.manifest.output.kind == "reward model" else models.load_policy
        return load_it(self.path, **how)


@dataclass(frozen=True)
class Run(Mapping[str, Artifact]):
    """The artifacts of a run by step name; a step that made nothing is an error that says why."""

    result: running.RunResult
    store: Store
    called: Callable[[str], str] = str
    """Which step a name means (`LoadedRecipe.called`)."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 2 the recipe is wrong, 3 waiting for people, 4 a gate did not hold."""
        return self.result.exit_code

    def __getitem__(self, name: str) -> Artifact:
        outcome = self.result.outcomes.get(self.called(name))
        if outcome is None:
            raise KeyError(f"there is no step {name!r}; {did_you_mean(name, self.result.outcomes)}")
        if outcome.manifest is None:
            raise UserError(f"step {name!r} made nothing: {outcome.state}, {outcome.message}", hint=outcome.hint)
        return Artifact(self.store.artifact(outcome.manifest.output.digest), outcome.manifest)

    def __iter__(self) -> Iterator[str]:
        return iter(self.result.manifests)

    def __len__(self) -> int:
        return len(self.result.manifests)


class Recipe:
    """A recipe that was read and checked, and a store to run it in."""

    def __init__(self, loaded: LoadedRecipe, store: Store) -> None:
        self.loaded, self.store = loaded, store

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        *,
        set: Mapping[str, Any] | None = None,
        profile: str | Path | None = None,
        store: str | Path | None = None,
    ) -> Recipe:
        """Reads a recipe by file or shipped name.

        Args:
            set: Changes by place, like `--set`: `{"sft.learning_rate": 1e-4}`.
            profile: File or shipped name.
            store: Folder; default RLHF_STORE, else the profile's, else `.rlhf`.

        Raises:
            RecipeError: anything in the file is wrong; all problems are named at once.
        """
        changes = [f"{place}={json.dumps(value)}" for place, value in (set or {}).items()]
        loaded = load(path_or_name, sets=changes, profile=profile)
        return cls(loaded, open_store(store, loaded.profile))

    def plan(self) -> list[planning.Planned]:
        """What a run would do, and why."""
        return planning.plan(self.loaded, self.store)

    def run(
        self,
        *,
        only: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        redo: Iterable[str] = (),
        wait: bool = True,
        listener: running.Listener | None = None,
    ) -> Run:
        """Runs what is not done yet.

        Raises:
            UserError: a step failed; the first failure is raised, after the run's record was written.
        """
        choice = running.Choice(only, from_, until, frozenset(redo))
        result = running.run(self.loaded, self.store, choice=choice, wait=wait, listener=listener)
        for name, outcome in result.outcomes.items():
            if outcome.state == "failed":
                raise UserError(f"{outcome.message}\n{outcome.trace or ''}".rstrip(), where=name, hint=outcome.hint)
        return Run(result, self.store, self.loaded.called)
