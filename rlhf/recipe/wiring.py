"""Whether the steps fit together: every name exists, nothing goes in circles, every edge carries what it should.

Known from the settings alone, before any file is opened. An artifact that nobody uses is fine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.artifact import Kind, Ref, Rows, pointers
from curation.errors import did_you_mean
from rlhf.recipe.document import Found, Path_
from rlhf.recipe.problem import Problem
from rlhf.recipe.step import Step

Edge = tuple[Path_, Ref[Any]]
Locate = Callable[[Path_], Found]
"""Where a setting was written."""


@dataclass
class Wiring:
    """What the edges of a recipe come to."""

    kinds: dict[str, type[Kind]] = field(default_factory=dict)
    edges: dict[str, tuple[Ref[Any], ...]] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def wire(
    steps: Mapping[str, Step],
    known: Collection[str],
    locate: Locate,
    partial: Collection[str] = (),
    unclear: Collection[str] = (),
) -> Wiring:
    """Edges, kinds and order of the steps.

    Args:
        steps: Those that could be read.
        known: The names of all steps, the unreadable ones included: a Ref to one of those is not wrong.
        locate: Says where a setting was written.
        partial: Steps of which only a part could be read; what they make is not known.
        unclear: Names that steps would have, were nothing else wrong; that they are missing is no mistake.
    """
    wiring = Wiring()
    edges: dict[str, list[Edge]] = {
        name: [(where, p) for where, p, _ in pointers(step) if isinstance(p, Ref)] for name, step in steps.items()
    }
    wiring.edges = {name: tuple(ref for _, ref in found) for name, found in edges.items()}
    for name, found in edges.items():
        for where, ref in found:
            if ref.step not in known and ref.step not in unclear:
                path = ("steps", name, *where)
                hint = _no_base() if ref.step == "base" else did_you_mean(ref.step, set(known) - {name})
                wiring.problems.append(_problem(f"there is no step {ref.step!r}", path, locate, hint))
    wiring.order, cycle = _in_order(edges)
    if cycle:
        path = ("steps", cycle[0])
        what = "the steps go in a circle: " + " needs ".join(cycle)
        wiring.problems.append(_problem(what, path, locate, "give one of them another input"))
        return wiring
    for name in wiring.order:
        if name not in partial:
            _find_kind(name, steps[name], edges[name], wiring, locate)
    for name, found in edges.items():
        for where, ref in found:
            if problem := _misfit(ref, wiring.kinds.get(ref.step), ("steps", name, *where), locate, wiring.kinds):
                wiring.problems.append(problem)
    return wiring


def _no_base() -> str:
    return "add `base: {model_name_or_path: ...}` at the top of the recipe"


def _in_order(edges: Mapping[str, list[Edge]]) -> tuple[tuple[str, ...], list[str]]:
    """The names so that each comes after its inputs, and the first cycle (`[a, b, a]`) if there is one."""
    order: dict[str, None] = {}
    cycle: list[str] = []

    def visit(name: str, path: list[str]) -> None:
        if name in order or cycle:
            return
        if name in path:
            cycle.extend([*path[path.index(name) :], name])
            return
        for _, ref in edges[name]:
            if ref.step in edges:
                visit(ref.step, [*path, name])
        order[name] = None

    for name in edges:
        visit(name, [])
    return tuple(order), cycle


def _find_kind(name: str, step: Step, edges: list[Edge], wiring: Wiring, locate: Locate) -> None:
    """The kind that a step makes, where it can be known."""
    if step.like is None:
        wiring.kinds[name] = step.makes()
        return
    given = {ref.step: wiring.kinds.get(ref.step) for where, ref in edges if where[0] == step.like}
    kinds = {kind for kind in given.values() if kind}
    if len(kinds) > 1:
        path = ("steps", name, step.like)
        what = "all must be of one kind, but " + ", ".join(f"{n} makes {k.name}" for n, k in given.items() if k)
        wiring.problems.append(_problem(what, path, locate, "split this step into one for each kind"))
    elif kinds and None not in given.values():
        wiring.kinds[name] = kinds.pop()


def _misfit(
    ref: Ref[Any],
    kind: type[Kind] | None,
    path: Path_,
    locate: Locate,
    kinds: Mapping[str, type[Kind]],
) -> Problem | None:
    """Why an edge cannot carry what the step at its end makes."""
    if kind is None:
        return None
    if not issubclass(kind, ref.accepts):
        wanted = " or ".join(k.name for k in ref.accepts)
        fitting = [name for name, k in kinds.items() if issubclass(k, ref.accepts)]
        hint = (
            f"steps that make {wanted}: {', '.join(fitting)}" if fitting else f"no step of this recipe makes {wanted}"
        )
        return _problem(f"needs {wanted}, but {ref.step!r} makes {kind.name}", path, locate, hint)
    if ref.part and not issubclass(kind, Rows):
        hint = f"write {ref.step!r} alone; only data sets have parts"
        return _problem(f"{str(ref)!r} asks for a part of a {kind.name}", path, locate, hint)
    return None


def _problem(what: str, path: Path_, locate: Locate, hint: str) -> Problem:
    found = locate(path)
    return Problem(what, found.place, found.dotted, hint)


def reached(name: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """A step and all that it stands on, near or far; each is looked at once, however many ways lead to it."""
    found: set[str] = set()
    open_ = [name]
    while open_:
        here = open_.pop()
        if here not in found:
            found.add(here)
            open_ += needs.get(here, ())
    return found
