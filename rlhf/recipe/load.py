"""A recipe file and what was said on the command line become a `LoadedRecipe`: typed steps, wired and ready to plan.

The order is: read, extend, override, then check everything that can be checked and report all of it at once: names at
the top, each step's settings, the wiring, the profile. Nothing is read but the recipe and the profile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from curation.artifact import Kind, Ref
from curation.errors import RecipeError, did_you_mean
from curation.operator import Settings
from curation.registry import STEPS, known_names, lookup
from rlhf.recipe import belongs, shipped
from rlhf.recipe.document import Found, Node, Path_, head_comment, merged, read
from rlhf.recipe.explain import validated
from rlhf.recipe.fields import names
from rlhf.recipe.overrides import apply, changes
from rlhf.recipe.problem import Place, Problem, RecipeProblems
from rlhf.recipe.profile import Profile
from rlhf.recipe.profiles import load_profile
from rlhf.recipe.rebase import rebased
from rlhf.recipe.rounds import Round, unroll
from rlhf.recipe.step import Step
from rlhf.recipe.wiring import wire


class Budget(Settings):
    """What a run may cost. Reaching it stops the run, which can go on later; it never shortens a result."""

    usd: float | None = Field(None, gt=0)
    """Dollars for paid answers, all steps together. None: no bound."""
    hours: float | None = Field(None, gt=0)
    """Wall time of one run. None: no bound."""


class Top(Settings):
    """The top of a recipe file."""

    recipe: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    """Name of the recipe: letters, digits, - and _. None: the file's name."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Every step that draws something starts from it, unless it has its own."""
    extends: str | None = None
    """Another recipe file, relative to this one: this file's maps are laid over its maps, lists are replaced."""
    base: dict[str, Any] | None = None
    """The model that all steps start from; it becomes a step named `base`, and steps without `policy` use it."""
    budget: Budget = Budget()
    """What one run may cost."""
    steps: dict[str, Any] = Field(default_factory=dict)
    """Name -> settings; `step:` says which step it is."""


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
    changes: tuple[str, ...] = ()
    """What was changed from outside, as typed: `--set sft.max_steps=3`."""
    tree: Node = field(default_factory=lambda: Node({}, Place()), repr=False)
    """The same with the places where it was written."""
    rounds: Mapping[str, Round] = field(default_factory=dict)
    """Of the steps that `rounds:` wrote out: which one of the recipe each is, and in which round."""

    def needs(self, name: str) -> tuple[str, ...]:
        """The steps that a step reads, each once."""
        return tuple(dict.fromkeys(ref.step for ref in self.edges[name]))

    def find(self, *path: str | int) -> Found:
        """Where a setting was written: `find("steps", "sft", "data").place`. The closest place known."""
        return self.tree.find(_in_file(path, self.rounds))

    def called(self, name: str) -> str:
        """The step that a name means: of one with rounds, the plain name means the last."""
        last = [made for made, one in self.rounds.items() if one.step == name and one.number == one.of]
        return last[0] if last else name


def load(
    recipe: str | Path, *, sets: Sequence[str] | Mapping[str, Any] = (), profile: str | Path | None = None
) -> LoadedRecipe:
    """Reads, extends, overrides, validates and wires a recipe.

    Args:
        recipe: A file, or the name of a shipped recipe; the file wins.
        sets: `place=value` texts, or a mapping place -> value, applied in order.
        profile: A file or the name of a shipped profile; None: `RLHF_PROFILE`, else the defaults.

    Raises:
        RecipeError: there is no such recipe or profile.
        RecipeProblems: everything that is wrong, at once.
    """
    loaded, problems = examine(recipe, sets=sets, profile=profile)
    if problems:
        raise RecipeProblems(problems)
    return loaded


def examine(
    recipe: str | Path, *, sets: Sequence[str] | Mapping[str, Any] = (), profile: str | Path | None = None
) -> tuple[LoadedRecipe, list[Problem]]:
    """The same, but what is wrong comes back beside as much of the recipe as could be understood.

    Raises:
        RecipeError: there is no such recipe or profile, or it is no YAML.
    """
    path = shipped.find_recipe(recipe)
    tree, texts = extended(path)
    return examined(tree, texts, path, sets=sets, profile=profile)


def examined(
    tree: Node,
    texts: Mapping[str, str],
    path: Path,
    *,
    sets: Sequence[str] | Mapping[str, Any] = (),
    profile: str | Path | None = None,
) -> tuple[LoadedRecipe, list[Problem]]:
    """The same for a tree that need not come from one file.

    Args:
        tree: The recipe, with the places where its parts were written.
        texts: File name -> text; the recipe's own is under the name of `path`.
        path: The recipe's file; relative paths in the recipe count from its folder. It is not read.
    """
    asked = changes(sets)
    tree = apply(tree, [c for c in asked if c.path[0] != "profile"])
    problems: list[Problem] = []
    top = _top(tree, problems)
    where, found = load_profile(profile, [c for c in asked if c.path[0] == "profile"])
    problems += found
    steps, partial = _steps(tree, top, path, problems)
    known = _written(tree) | ({"base"} if tree.get("base") else set())
    unrolled = unroll(steps, whole=not partial and known <= steps.keys())
    for place, what, hint in unrolled.wrong:
        found_at = tree.find(place)
        problems.append(Problem(what, found_at.place, found_at.dotted, hint))
    steps, rounds = unrolled.steps, unrolled.rounds
    known |= rounds.keys()
    partial |= {name for name, one in rounds.items() if one.step in partial}
    wiring = wire(steps, known, lambda p: tree.find(_in_file(p, rounds)), partial, unrolled.unclear)
    problems += wiring.problems
    if not wiring.problems:
        problems += _misfits(steps, wiring.kinds, tree, rounds)
    loaded = LoadedRecipe(
        name=top.recipe or re.sub(r"[^A-Za-z0-9_-]", "-", path.stem),
        path=path,
        here=path.parent,
        seed=top.seed,
        budget=top.budget,
        steps=steps,
        kinds=wiring.kinds,
        edges=wiring.edges,
        order=wiring.order,
        profile=where,
        head_comment=head_comment(texts.get(path.name, "")),
        texts=texts,
        settings=tree.plain(),
        changes=tuple(c.flag for c in asked),
        tree=tree,
        rounds=rounds,
    )
    return loaded, problems


def _misfits(
    steps: Mapping[str, Step], kinds: Mapping[str, type[Kind]], tree: Node, rounds: Mapping[str, Round]
) -> list[Problem]:
    """What the steps themselves find wrong in view of one another."""
    problems: list[Problem] = []
    for name, step in steps.items():
        for misfit in step.misfits(steps, kinds):
            found = tree.find(_in_file(("steps", name, *misfit.place), rounds))
            problems.append(Problem(misfit.what, found.place, found.dotted, misfit.hint))
    return problems


def _in_file(path: Path_, rounds: Mapping[str, Round] | None = None) -> Path_:
    """The place in the file of a setting of the implicit step, or of a step of a round."""
    if rounds and path[:1] == ("steps",) and len(path) > 1 and (one := rounds.get(str(path[1]))):
        return ("steps", one.step, *path[2:])
    return ("base", *path[2:]) if path[:2] == ("steps", "base") else path


def extended(path: Path) -> tuple[Node, dict[str, str]]:
    """The tree of a recipe laid over the one that it extends, and the texts of both."""
    tree, text = read(path)
    if not isinstance(tree.value, dict):
        what = "the file is empty" if tree.value is None else "a recipe is a map of names"
        raise RecipeProblems([Problem(what, tree.place, hint="start with `recipe: NAME` and `steps:`")])
    below = tree.get("extends")
    if below is None or below.value is None:
        return tree, {path.name: text}
    written, place = below.value, tree.keys["extends"]
    if not isinstance(written, str):
        raise RecipeProblems([Problem("takes the path of one file", place, "extends")])
    other = path.parent / Path(written).expanduser()
    if not other.is_file():
        near = did_you_mean(other.name, [p.name for p in other.parent.glob("*.yaml") if p != path])
        raise RecipeProblems(
            [Problem(f"there is no {written}", place, "extends", f"looked for {other}; {near}".rstrip("; "))]
        )
    under, under_text = read(other)
    if not isinstance(under.value, dict):
        raise RecipeProblems([Problem(f"{written} is no recipe", place, "extends")])
    if under.get("extends"):
        hint = "one level is all there is: extend that file directly"
        raise RecipeProblems([Problem(f"{written} itself extends another file", place, "extends", hint)])
    return merged(under, tree), {path.name: text, written: under_text}


def _top(tree: Node, problems: list[Problem]) -> Top:
    """The top of the recipe; what is wrong with it is left out."""

    def advice(key: str, value: Any, cls: type[BaseModel]) -> str:
        if cls is Top and key in belongs.profile_keys():
            return "it says where and how fast, so it belongs in a profile, given by --profile FILE"
        if cls is Top and isinstance(value, dict) and "step" in value:
            return "steps stand one level down, under `steps:`"
        return did_you_mean(key, names(cls))

    settings = tree.plain()
    if settings.get("steps") is None:
        settings.pop("steps", None)
    found, wrong, keys = validated(Top, settings, tree, (), advice)
    problems += wrong
    if not isinstance(found, Top):
        found, _, _ = validated(Top, {k: v for k, v in settings.items() if k not in keys}, tree, (), advice)
    if not settings.get("steps") and "steps" not in keys:
        problems.append(Problem("the recipe has no steps", tree.place, "steps", "add `steps:` with at least one step"))
    return found if isinstance(found, Top) else Top()


def _written(tree: Node) -> set[str]:
    steps = tree.get("steps")
    return set(steps.value) if steps and isinstance(steps.value, dict) else set()


def _steps(tree: Node, top: Top, path: Path, problems: list[Problem]) -> tuple[dict[str, Step], set[str]]:
    """The steps that could be read, and the names of those of which only a part could."""
    steps: dict[str, Step] = {}
    partial: set[str] = set()
    written: dict[str, Any] = {}
    if tree.get("base") and isinstance(top.base, dict):
        written["base"] = {"step": "base", **top.base}
    for name, settings in top.steps.items():
        place = ("steps", name)
        if name in ("base", "profile", *names(Top)) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
            hint = "names are letters, digits, - and _; those of the recipe's own keys and `base` are taken"
            problems.append(Problem(f"a step cannot be called {name!r}", tree.find(place).place, ".".join(place), hint))
        else:
            written[name] = settings
    for name, settings in written.items():
        step, whole = _step(name, settings, tree, top, path, problems)
        if step:
            steps[name] = step
        if not whole:
            partial.add(name)
    return steps, partial


def _step(
    name: str, settings: Any, tree: Node, top: Top, path: Path, problems: list[Problem]
) -> tuple[Step | None, bool]:
    """One step, and whether all of it could be read."""
    place = _in_file(("steps", name))
    here, dotted = tree.find(place).place, ".".join(map(str, place))
    if not isinstance(settings, dict):
        problems.append(Problem("a step is a map of settings", here, dotted, f"write `{name}: {{step: sft, ...}}`"))
        return None, False
    if not isinstance(settings.get("step"), str):
        types = ", ".join(n for n in known_names(STEPS) if n != "base")
        problems.append(Problem("does not say which step it is", here, dotted, f"add `step:`, one of {types}"))
        return None, False
    try:
        cls: type[Step] = lookup(STEPS, settings["step"])
    except RecipeError as error:
        problems.append(Problem(error.what, tree.find((*place, "step")).place, f"{dotted}.step", error.hint))
        return None, False
    known = names(cls)
    if cut := belongs.batch({k: v for k, v in settings.items() if k not in known}):
        wrong = [k for k in belongs.BATCH if k in settings]
        problems.append(Problem(cut[0], tree.find((*place, wrong[0])).place, dotted, cut[1]))
        settings = {k: v for k, v in settings.items() if k not in wrong}
    filled = _filled(settings, known, tree, top, cls.inherits_policy)
    inherits = cls.inherits_policy and "policy" in known and not known["policy"].is_required() and not _several(filled)
    if inherits and "policy" not in filled:
        hint = "name the step that makes it, or add `base:` at the top of the recipe"
        problems.append(Problem("'policy' is missing", here, dotted, hint))

    def advice(key: str, value: Any, owner: type[BaseModel]) -> str:
        if owner is cls:
            return belongs.in_recipe(key, value, known)
        return did_you_mean(key, names(owner))

    step, found, wrong_keys = validated(cls, filled, tree, place, advice)
    problems += found
    whole = isinstance(step, Step)
    if not whole:
        rest = {k: v for k, v in filled.items() if k not in wrong_keys}
        step, _, _ = validated(cls, rest, tree, place, advice)
    return (rebased(step, tree, place, path) if isinstance(step, Step) else None), whole


def _several(settings: dict[str, Any]) -> bool:
    return bool(settings.get("policies"))


def _filled(
    settings: dict[str, Any], known: Mapping[str, Any], tree: Node, top: Top, inherits_policy: bool
) -> dict[str, Any]:
    """The settings with what they inherit from the top, under the name that the step's class has for itself."""
    filled = dict(settings)
    if not known["step"].is_required():  # an import path and a registered name are the same step, with the same key
        del filled["step"]
    if "seed" in known and "seed" not in filled:
        filled["seed"] = top.seed
    if "policy" in known and filled.get("policy") is None:
        filled.pop("policy", None)
        required = known["policy"].is_required()
        if tree.get("base") and inherits_policy and not required and not _several(filled):
            filled["policy"] = "base"
    if "features" in known and filled.get("acquire") and not filled.get("features") and tree.get("base"):
        filled["features"] = "base"  # of a step that needs none, no edge is made
    return filled
