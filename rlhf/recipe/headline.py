"""A finished step in a few words: `1,204 rows (96 dropped)`, `loss 2.41 -> 1.87`, `win rate 0.77 [0.70, 0.83]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rlhf.recipe.manifest import Manifest


def headline(manifest: Manifest) -> str:
    """The one line that the live view, `show` and a log line share."""
    parts: list[str] = []
    if manifest.output.rows is not None:
        parts.append(_rows(manifest))
    if manifest.output.kind == "evaluation":
        rates = list(first_win_rates(manifest.metrics))
        parts += [f"{f'{who} ' if len(rates) > 1 else ''}win rate {interval(found)}" for who, found in rates]
    for name in ("reward", "loss"):  # of who learns from rewards the loss says nothing
        if curve := manifest.curves.get(name):
            parts.append(f"{name} {figure(curve[0][1])} -> {figure(curve[-1][1])}")
            break
    held_out = manifest.metrics.get("held_out")
    if isinstance(held_out, Mapping) and is_interval(held_out.get("accuracy")):
        parts.append(f"accuracy {accuracy(held_out)}")
    parts += [f"{name} accuracy {accuracy(found)}" for name, found in rewards(manifest.metrics)]
    if manifest.decided_by:
        parts.append(f"decided by {manifest.decided_by}")
    if not parts:
        parts.append(f"{manifest.output.kind}, {size(manifest.output.bytes)}")
    return ", ".join(parts)


def _rows(manifest: Manifest) -> str:
    made, notes = manifest.output, []
    if manifest.ledger:
        dropped = sum(manifest.ledger.dropped().values())
        malformed = sum(n for r in manifest.ledger.readings for n in r.malformed.values())
        notes += [f"{n:,} {word}" for n, word in ((dropped, "dropped"), (malformed, "malformed")) if n]
        found = sorted({name for r in manifest.ledger.readings for name in r.evidence})
        notes += [f"read as {' and '.join(found)}"] if found else []
    if len(made.parts) > 1:
        notes.append(" ".join(f"{part} {n:,}" for part, n in made.parts.items()))
    rows = f"{made.rows:,} row{'s' * (made.rows != 1)}"
    return f"{rows} ({', '.join(notes)})" if notes else rows


def first_win_rates(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(policy, win rate by the first judge) of an evaluation."""
    for policy, figures in metrics.items():
        if isinstance(figures, Mapping) and isinstance(figures.get("win_rate"), Mapping):
            yield policy, figures["win_rate"]


def rewards(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(reward model, its figures) of an evaluation."""
    found = metrics.get("rewards")
    for name, figures in found.items() if isinstance(found, Mapping) else ():
        if isinstance(figures, Mapping) and is_interval(figures.get("accuracy")):
            yield name, figures


def accuracy(figures: Mapping[str, Any]) -> str:
    """`0.63 [0.55, 0.71], length alone 0.68`: never without what length alone would get, which often is more."""
    length = figures.get("length_accuracy") or {}
    beside = f", length alone {_two(length['mean'])}" if is_interval(length) else ""
    return interval(figures["accuracy"]) + beside


def is_interval(found: Any) -> bool:
    """Whether a metric is a mean with its bounds."""
    return isinstance(found, Mapping) and found.get("mean") is not None


def interval(found: Mapping[str, Any]) -> str:
    """`0.77 [0.70, 0.83]`."""
    mean, low, high = (found.get(k) for k in ("mean", "low", "high"))
    if mean is None:
        return "unknown"
    return _two(mean) if low is None or high is None else f"{_two(mean)} [{_two(low)}, {_two(high)}]"


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # + 0.0 makes -0.0 equal 0.0


def figure(value: float) -> str:
    """A number for people: three digits that matter, whole numbers whole."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1):
        return f"{int(value):,}"
    return f"{value:#.3g}" if abs(value) < 99.95 else f"{value:,.0f}"


def size(n: int) -> str:
    """Bytes for people: `93 MB`."""
    amount = float(n)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `5:07`, `2:03:11`; whole seconds stay whole."""
    if isinstance(seconds, float) and seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
