"""How far judges agree with people, beside what people and length alone get: rows of intervals, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf.report.steps import StepView
from rlhf.report.words import count, interval, is_interval, is_number, share

_ROWS = {
    "agreement": "with what people say together, ties included",
    "agreement_without_ties": "where neither says tie",
    "kappa": "Cohen’s kappa: beyond chance",
    "people": "people with one another, on the same pairs",
    "length_agreement": "“the longer answer wins” with people",
}


@dataclass(frozen=True)
class Calibrated:
    """One judge held against people."""

    step: StepView
    judge: str
    by: str
    rows: Sequence[tuple[str, str, Mapping[str, Any]]]
    """(name, what it means, interval)."""
    notes: Sequence[str]

    @classmethod
    def of(cls, step: StepView) -> list[Calibrated]:
        """Those of an evaluation."""
        found = (step.manifest.get("metrics") or {}).get("calibration")
        if not isinstance(found, Mapping):
            return []
        return [cls._one(step, str(judge), figures) for judge, figures in found.items() if isinstance(figures, Mapping)]

    @classmethod
    def _one(cls, step: StepView, judge: str, figures: Mapping[str, Any]) -> Calibrated:
        rows = [
            (name.replace("_", " "), meaning, figures[name])
            for name, meaning in _ROWS.items()
            if is_interval(figures.get(name))
        ]
        notes = [count(int(figures["n"]), "pair")] if is_number(figures.get("n")) else []
        if figures.get("ties"):
            notes.append(count(int(figures["ties"]), "tie"))
        if is_number(figures.get("flip_rate")):
            notes.append(f"the order alone changed {share(figures['flip_rate'])} of its verdicts")
        over = figures.get("over_length")
        if is_interval(over) and is_number(over.get("low")):
            clear = "more than length: by" if over["low"] > 0 else "not clearly more than length: the difference is"
            notes.append(f"it agrees with people {clear} {interval(over)}")
        return cls(step, judge, str(figures.get("by") or judge), rows, notes)
