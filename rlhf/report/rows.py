"""What became of a step's rows, as the page shows it: stairs, scores, a map, and samples of each reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.errors import RecipeError
from curation.expression import All, AnyOf, Compare, Expression, Not, parse
from rlhf.report.plots import DataMap, Histogram, data_map, histogram
from rlhf.report.steps import StepView
from rlhf.report.waterfall import Waterfall, waterfalls


@dataclass(frozen=True)
class Samples:
    """Some rows that an operator dropped for one reason."""

    operator: str
    reason: str
    texts: Sequence[tuple[str, str]]
    """(text, what the reason rests on, or nothing)."""
    rows: int
    """How many went for it."""


class RowsView:
    """The rows of one step. Empty when it has no ledger."""

    def __init__(self, step: StepView) -> None:
        self.step = step
        ledger = step.manifest.get("ledger")
        self.falls: list[Waterfall] = waterfalls(ledger)
        pictures = step.manifest.get("pictures") or {}
        settings = step.manifest.get("settings") or {}
        limits = bounds(settings.get("operators") or ())
        self.histograms: list[Histogram] = [
            histogram(found, limits.get(str(found.get("score")), ())) for found in pictures.get("histograms") or ()
        ]
        self.bounded = any(str(found.get("score")) in limits for found in pictures.get("histograms") or ())
        self.map: DataMap | None = data_map(pictures["map"]) if pictures.get("map") else None
        self.samples: list[Samples] = list(_samples(step, ledger or {}))


def _samples(step: StepView, ledger: Mapping[str, Any]) -> Iterator[Samples]:
    rows: dict[tuple[str, str], int] = {}
    for entry in ledger.get("entries") or ():
        for reason, n in (entry.get("dropped") or {}).items():
            key = str(entry.get("operator", "")), str(reason)
            rows[key] = rows.get(key, 0) + int(n)
    for reading in ledger.get("readings") or ():
        for reason, n in (reading.get("malformed") or {}).items():
            rows["malformed", str(reason)] = rows.get(("malformed", str(reason)), 0) + int(n)
    texts: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for operator, reason, text, evidence in step.dropped_examples:
        texts.setdefault((operator, reason), []).append((text, evidence))
    for key, found in texts.items():
        yield Samples(*key, found, rows.get(key, len(found)))


def bounds(operators: Sequence[Any]) -> dict[str, list[float]]:
    """Score -> the numbers that the conditions of `keep` compare it with."""
    found: dict[str, list[float]] = {}
    for operator in operators:
        if isinstance(operator, Mapping) and operator.get("op") == "keep":
            try:
                whole = parse(str(operator.get("condition")))
            except RecipeError:  # of a grammar that this version does not read any more
                continue
            for term in _compared(whole):
                for name, value in ((term.left, term.right), (term.right, term.left)):
                    if isinstance(name, str) and not isinstance(value, str):
                        found.setdefault(name, []).append(float(value))
    return found


def _compared(expression: Expression) -> Iterator[Compare]:
    match expression:
        case Compare():
            yield expression
        case Not():
            yield from _compared(expression.term)
        case All() | AnyOf():
            for term in expression.terms:
                yield from _compared(term)
