"""The rounds of a run side by side: what each asked, who decided, and how its training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf.report.steps import StepView
from rlhf.report.words import is_number, number

_FIGURES = (("loss", "loss_first", "loss_last"), ("reward", "reward_first", "reward_last"))
"""What is said of a training, with the figures at its beginning and end; those that there are."""


@dataclass(frozen=True)
class Cell:
    """What came of a step in one round."""

    step: StepView
    words: str


@dataclass(frozen=True)
class Rounds:
    """A table: a line a round, a column a step of the recipe."""

    columns: Sequence[str]
    lines: Sequence[tuple[int, Sequence[Cell]]]

    @classmethod
    def of(cls, steps: Sequence[StepView]) -> Rounds | None:
        """The rounds of a run, or None where no step has some."""
        found: dict[int, dict[str, Cell]] = {}
        for step in steps:
            one = step.record.get("round")
            if isinstance(one, Mapping):
                found.setdefault(int(one["number"]), {})[str(one["step"])] = Cell(step, said(step))
        if not found:
            return None
        columns = list(found[min(found)])
        lines = [(n, [cells[c] for c in columns if c in cells]) for n, cells in sorted(found.items())]
        return cls(columns, lines)


def said(step: StepView) -> str:
    """What a cell says: of a step without an artifact why, of rows how many and who decided, of a training its loss."""
    if not step.made:
        return step.message or step.state
    metrics: Mapping[str, Any] = step.manifest.get("metrics") or {}
    moved = [
        f"{name} {number(metrics[first])} → {number(metrics[last])}"
        for name, first, last in _FIGURES
        if is_number(metrics.get(first)) and is_number(metrics.get(last))
    ]
    rows = step.rows if step.made.get("rows") is not None else ""
    decided = f"decided by {step.decision}" if step.decision else ""
    return ", ".join(filter(None, [rows, decided, *moved])) or step.rows
