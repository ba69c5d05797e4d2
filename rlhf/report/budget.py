"""What people's answers bought, where they were asked in batches: held-out accuracy by the number of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from rlhf.report.figures import line_chart
from rlhf.report.steps import StepView
from rlhf.report.words import interval, is_number, share

_NAMES = ("answers", "accuracy", "low", "high", "length")


class Budget:
    """One step that asked in batches."""

    def __init__(self, step: StepView, found: Mapping[str, Any]) -> None:
        self.step = step
        self.strategy, self.stopped = str(found.get("strategy") or ""), str(found.get("stopped") or "")
        points = [p for p in found.get("points") or () if isinstance(p, Mapping)]
        self.points = [p for p in points if all(is_number(p.get(name)) for name in _NAMES)]

    @property
    def picture(self) -> Markup:
        """The accuracy with its interval, and what length alone gets."""
        curve = [(float(p["answers"]), float(p["accuracy"])) for p in self.points]
        length = [(float(p["answers"]), float(p["length"])) for p in self.points]
        band = [(float(p["answers"]), float(p["low"]), float(p["high"])) for p in self.points]
        title = f"{self.step.name}: held-out accuracy by answers, {self.last}"
        curves = {"held-out accuracy": curve, "the longer answer wins": length}
        return line_chart(curves, title, "answers", (0.0, 1.0), band=band)

    @property
    def last(self) -> str:
        """The accuracy at the end, with its interval."""
        if not self.points:
            return "nothing could be measured"
        end = self.points[-1]
        return interval({"mean": end["accuracy"], "low": end["low"], "high": end["high"]})

    @property
    def reading(self) -> str:
        """What the curve says, in words."""
        if not self.points:
            return "No held-out record has a winner, so there is nothing to measure."
        end = self.points[-1]
        answers, length = int(end["answers"]), float(end["length"])
        if end["low"] > length:
            what = "more than length alone"
        elif end["high"] < length:
            what = "less than length alone"
        else:
            what = "which does not tell it from length alone"
        return f"After {answers:,} answers {self.last}, {what} ({share(length)})."


def budgets(steps: list[StepView]) -> list[Budget]:
    """The steps that asked in batches and measured what came of it."""
    found = ((step, (step.manifest.get("pictures") or {}).get("label_budget")) for step in steps)
    return [Budget(step, drawn) for step, drawn in found if isinstance(drawn, Mapping)]
