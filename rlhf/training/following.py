"""What is heard of a run: a bar while it lasts, curves afterwards, and an end with a clear error when the loss is
lost.
"""

from __future__ import annotations

import math
import re
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from curation.errors import UserError
from curation.progress import Bar

POINTS = 500
"""Points that a curve keeps."""
_CURVES = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "accuracy": "accuracy",
    "margin": "margin",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "kl": "kl",
    "reward": "reward",
    "completions/mean_length": "answer_tokens",
    "ended": "ended",
    "clip_ratio/region_mean": "clip_fraction",
}
"""Name in the trainer's logs -> name of the curve."""
_SPOKEN = ("loss", "reward", "kl", "margin", "accuracy")
"""Curves whose latest values stand beside the bar, the most telling first."""
_PART = re.compile(r"rewards/(.+)/mean")
"""One of several rewards that are added up."""


class Follow(TrainerCallback):
    """Moves the bar, and stops a run whose loss is no number any more."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.step, self.tokens, self.at = 0, 0.0, 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.total(state.max_steps)
        self.bar.advance(state.global_step)
        self.step, self.at = state.global_step, time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {state.global_step} of {state.max_steps}",
                hint="lower learning_rate, or use `dtype: float32`; what was learned before is lost",
            )
        now, tokens = time.monotonic(), float(logs.get("num_tokens", 0.0))
        speed = (tokens - self.tokens) / max(now - self.at, 1e-9)
        known = {curve: float(logs[name]) for name, curve in _CURVES.items() if name in logs}
        figures = {curve: known[curve] for curve in _SPOKEN if curve in known}
        self.bar.advance(state.global_step - self.step, **figures, **({"tokens/s": speed} if tokens else {}))
        self.step, self.tokens, self.at = state.global_step, tokens, now


def curves(state: TrainerState) -> dict[str, list[tuple[float, float]]]:
    """(step, value) of everything that was measured while training, thinned out to `POINTS`."""
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in state.log_history:
        if "loss" in entry:
            for name, curve in _CURVES.items():
                if name in entry:
                    found.setdefault(curve, []).append((entry["step"], float(entry[name])))
            for name, value in entry.items():
                if (part := _PART.fullmatch(name)) and value is not None:
                    found.setdefault(f"reward {part[1]}", []).append((entry["step"], float(value)))
    return {name: thinned(points) for name, points in found.items()}


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about `POINTS` of them, the last one included."""
    every = -(-len(points) // POINTS)
    return points if every <= 1 else [*points[:-1:every], points[-1]]
