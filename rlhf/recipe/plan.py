"""What a run would do, and why: which steps are cached, which run, which wait, before anything is touched.

A step's key is known once the digests of its inputs are; what lies behind a step that will run is therefore `unknown`
until it has run: if its input comes out as before, it is cached (early cut-off).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curation.artifact import Surroundings, bind, identity
from curation.errors import UserError
from rlhf.recipe.caches import Labels
from rlhf.recipe.identity import as_json, code_mark, step_key
from rlhf.recipe.manifest import Manifest
from rlhf.recipe.step import Step
from rlhf.recipe.store import Store

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe

State = Literal["cached", "runs", "unknown"]


@dataclass(frozen=True)
class Planned:
    """One step of a plan."""

    name: str
    step: Step
    state: State
    why: str
    key: str | None = None
    manifest: Manifest | None = None
    warning: str | None = None

    @property
    def digest(self) -> str | None:
        """Of the artifact, where it is known already."""
        return self.manifest.output.digest if self.manifest else None


def bind_step(loaded: LoadedRecipe, store: Store, name: str, made: Mapping[str, Manifest]) -> Step:
    """The step with every pointer bound.

    Raises:
        UserError: a file that the settings name is missing; the error names the step.
    """
    refs: dict[str, tuple[Path, str]] = {n: (store.artifact(m.output.digest), m.output.digest) for n, m in made.items()}
    try:
        return bind(loaded.steps[name], Surroundings(loaded.here, store.hash_file, refs))
    except UserError as error:
        raise type(error)(error.what, where=error.where or f"step {name!r}", hint=error.hint) from error


def plan(loaded: LoadedRecipe, store: Store) -> list[Planned]:
    """All steps in the order in which they would run."""
    before = previous_keys(store, loaded.name)
    made: dict[str, Manifest] = {}
    planned: list[Planned] = []
    for name in loaded.order:
        step = loaded.steps[name]
        missing = [n for n in loaded.needs(name) if n not in made]
        if missing:
            why = f"depends on what {', '.join(missing)} makes"
            planned.append(Planned(name, step, "unknown", why))
            continue
        bound = bind_step(loaded, store, name, made)
        key = step_key(bound)
        manifest = store.manifest(key)
        if manifest:
            made[name] = manifest
            planned.append(Planned(name, step, "cached", "", key, manifest, _moved(step, manifest)))
        else:
            why = _why(bound, store, before.get(name))
            planned.append(Planned(name, step, "runs", why, key, warning=_stranded(bound, name, loaded, store)))
    return planned


def _stranded(bound: Step, name: str, loaded: LoadedRecipe, store: Store) -> str | None:
    """A warning when people's answers would not count any more."""
    folder = loaded.profile.labeling.folder
    forms = (Path(folder) if folder else store.root / "labeling") / name
    try:
        return "; ".join(bound.stranded(name, Labels(store.root / "labels"), forms)) or None
    except UserError as error:  # it would stop the run too, before anybody is asked
        return f"{error.what}; {error.hint}"


def previous_keys(store: Store, recipe: str) -> dict[str, str]:
    """Step name -> key, of the last run of the recipe."""
    last = store.last_run(recipe)
    steps = last[1].get("steps", {}) if last else {}
    return {name: s["key"] for name, s in steps.items() if s.get("key")}


def _why(step: Step, store: Store, old_key: str | None) -> str:
    """What changed since the last run, in a few words."""
    old = store.manifest(old_key) if old_key else None
    if old is None:
        return "has not run yet" if old_key is None else "has not finished yet"
    changes = differences(old.settings, as_json(identity(step)))
    return "changed: " + "; ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else "")


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """`learning_rate 0.0001 -> 0.0002` for each place at which two settings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [d for n in names for d in differences(old.get(n), new.get(n), f"{place}.{n}" if place else n)]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{place}.{i}")]
    if old == new:
        return []
    if _is_digest(old) and _is_digest(new):
        return [f"{place} has other content"]
    return [f"{place} {_short(old)} -> {_short(new)}"]


def _is_digest(value: Any) -> bool:
    text = str(value).partition(".")[0]
    return len(text) >= 32 and all(c in "0123456789abcdef" for c in text)


def _short(value: Any) -> str:
    text = "unset" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _moved(step: Step, manifest: Manifest) -> str | None:
    """A warning when the code of the step's class is not the one that made the artifact, at the same revision."""
    noted = manifest.versions.get("code")
    if noted and noted != code_mark(step):
        return f"the code of {type(step).__name__} changed since, but its revision ({type(step).revision}) did not"
    return None
