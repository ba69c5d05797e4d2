"""`rounds: N` on a step that trains a policy: answers, labels and training, again and again on the last policy.

What lies between the step's `policy` and the step itself (the sampling, the labeling, a reward model ...) is one round.
When the recipe is loaded the rounds are written out as plain steps, `answers_1`, `human_1`, `dpo_1`, `answers_2` ...:
in each later one, the policy that the round before trained stands wherever the first one's stood. So every round has
artifacts and keys of its own, a run waits in each for people, and a larger N adds steps and changes none. Anywhere
else in the recipe a step's plain name means its last round; `dpo_1` names one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.artifact import Policy, Ref, pointers
from rlhf.recipe.document import Path_
from rlhf.recipe.rebase import mapped
from rlhf.recipe.step import Step
from rlhf.recipe.wiring import reached

MOST = 100
"""Rounds that a recipe may have."""


@dataclass(frozen=True)
class Round:
    """Which step of the recipe, as it is written, a step is, and in which round."""

    step: str
    number: int
    of: int


@dataclass(frozen=True)
class Unrolled:
    """The steps with all rounds written out."""

    steps: dict[str, Step]
    rounds: dict[str, Round] = field(default_factory=dict)
    """Of the steps that stand in a round, by name."""
    wrong: tuple[tuple[Path_, str, str], ...] = ()
    """(place in the settings, what is wrong, what to do)."""
    unclear: frozenset[str] = frozenset()
    """Names that rounds would have had, were nothing wrong: that they are missing is nobody's mistake."""


def unroll(steps: Mapping[str, Step], whole: bool = True) -> Unrolled:
    """Writes out the rounds of the one step that has some; without one, the steps are as they were.

    Args:
        whole: False where not all of the steps could be read, so that what leads from one to another is not known.
    """
    repeated = [name for name, step in steps.items() if _repeated(step)]
    plain = {name: _once(step) for name, step in steps.items()}
    if not repeated:
        return Unrolled(plain) if whole else _refused(plain)
    trained, *more = repeated
    place = ("steps", trained, "rounds")
    if more:
        what = f"{trained!r} has rounds already, and one step of a recipe can have them"
        return _refused(plain, (("steps", more[0], "rounds"), what, "write the other loop as a recipe of its own"))
    settings: Any = steps[trained]
    if not issubclass(settings.makes(), Policy):
        what = f"rounds go on from the policy that a step trains, and this makes a {settings.makes().name}"
        hint = "set it on the step that trains the policy: a reward model on the way there is a part of each round"
        return _refused(plain, (place, what, hint))
    count = settings.rounds
    policy = getattr(settings, "policy", None)
    if policy is None or policy.step not in steps:
        return _refused(plain)  # said where the policy is missing
    start = policy.step
    between = _between(start, trained, steps)
    if between == [trained] and not whole:
        return _refused(plain)
    if between == [trained]:
        what = f"nothing that {trained!r} learns from is made with its policy {start!r}: every round would be the same"
        hint = (
            f"let {start!r} answer (`answers: {{step: sample, policy: {start}, ...}}`), and train on what comes of it"
        )
        return _refused(plain, (place, what, hint))
    taken = [f"{name}_{n}" for name in between for n in range(1, count + 1) if f"{name}_{n}" in steps]
    if taken:
        what = f"the rounds of {trained!r} need the name {taken[0]!r}, which another step has"
        return _refused(plain, (("steps", taken[0]), what, "call that step something else"))
    return _written_out(plain, start, trained, between, count)


def _refused(steps: dict[str, Step], *wrong: tuple[Path_, str, str]) -> Unrolled:
    """No rounds; that their names are missing then is nobody's mistake."""
    return Unrolled(steps, wrong=wrong, unclear=frozenset(f"{name}_{n}" for name in steps for n in range(1, MOST + 1)))


def _repeated(step: Step) -> bool:
    """Whether a step has rounds in this sense; elsewhere a setting may be called so and mean something of its own."""
    return step.trains and getattr(step, "rounds", None) is not None


def _once(step: Step) -> Step:
    """The step without its setting of rounds, which is no part of what it does."""
    return step.model_copy(update={"rounds": None}) if _repeated(step) else step


def _written_out(steps: Mapping[str, Step], start: str, trained: str, between: Sequence[str], count: int) -> Unrolled:
    rounds = {f"{name}_{n}": Round(name, n, count) for n in range(1, count + 1) for name in between}
    last = {name: f"{name}_{count}" for name in between}
    found: dict[str, Step] = {}
    for name, step in steps.items():
        if name == trained:
            for made, one in rounds.items():
                here = {other: f"{other}_{one.number}" for other in between}
                before = {start: f"{trained}_{one.number - 1}"} if one.number > 1 else {}
                found[made] = renamed(steps[one.step], {**here, **before})
        elif name not in between:
            found[name] = renamed(step, last)
    return Unrolled(found, rounds)


def renamed(step: Step, names: Mapping[str, str]) -> Step:
    """The step with other names in the place of these, wherever it points at a step."""

    def one(pointer: Any) -> Any:
        if not isinstance(pointer, Ref) or pointer.step not in names:
            return pointer
        part = f".{pointer.part}" if pointer.part else ""
        return type(pointer)(names[pointer.step] + part, accepts=pointer.accepts)

    return mapped(step, lambda _place, pointer, _owner: one(pointer), ()).with_names(names)


def _between(start: str, end: str, steps: Mapping[str, Step]) -> list[str]:
    """The steps that stand on one step and that another stands on, the latter among them, in the recipe's order."""
    needs = {name: {p.step for _, p, _ in pointers(step) if isinstance(p, Ref)} for name, step in steps.items()}
    above, below = reached(end, needs), set[str]()
    for name in steps:
        if start in reached(name, needs) - {name}:
            below.add(name)
    return [name for name in steps if name in above & below]
