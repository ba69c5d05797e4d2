"""What an evaluation says: who won by whose judgement, and what that judgement does not see.

Metrics of an evaluation are `{policy: {judge: {"win_rate": {mean, low, high}, "by", ...}, "win_rate": ...}}`, the last
one the first judge's. What else is a number or an interval under a policy is a figure of that policy alone: length,
finished answers, perplexity. Everything that is shown comes from there, so a judge or a figure that is added later
appears by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf.report.words import decider, interval, is_interval, is_number, number, share


@dataclass(frozen=True)
class Comparison:
    """One policy against the baseline, by one judge."""

    policy: str
    baseline: str
    judge: str
    by: str
    """What kind of judge: `a rule`, `a reward model`, `a language model`, `people`."""
    rate: Mapping[str, Any]
    notes: Sequence[str]
    """`64 prompts`, `12 ties`."""

    @property
    def mean(self) -> float:
        return float(self.rate["mean"])

    @property
    def low(self) -> float | None:
        return self.rate.get("low")

    @property
    def high(self) -> float | None:
        return self.rate.get("high")

    @property
    def words(self) -> str:
        return interval(self.rate)

    @property
    def reading(self) -> str:
        """The interval in a sentence; one that holds one half says that nothing is shown."""
        if self.low is None or self.high is None:
            return "no interval was computed"
        if self.low > 0.5:
            return f"{self.policy} is preferred: the whole interval lies above one half"
        if self.high < 0.5:
            return f"{self.baseline} is preferred: the whole interval lies below one half"
        return "no clear difference: the interval includes one half"


@dataclass(frozen=True)
class Figure:
    """A figure that policies have: one row of a table, a cell a policy."""

    name: str
    meaning: str
    cells: Mapping[str, str]


_MEANINGS = {
    "finished": "share of answers that ended by themselves, before the length limit",
    "perplexity": "of the answers under the base model: higher is less like what the base would write",
    "base_perplexity": "of the answers under the base model: higher is less like what the base would write",
    "repetition": "share of repeated word groups in an answer: higher repeats more",
    "length": "mean length of an answer",
    "words": "mean number of words of an answer",
    "tokens": "mean number of tokens of an answer",
    "empty": "share of answers without any text",
    "loss": "held-out loss, in nats a token: lower fits the held-out chats better",
}
ONE_PERSON = "one person"
"""What kind of judge somebody is who is one of several people that judge together."""
_COUNTS = {"win": "wins", "tie": "ties", "loss": "losses"}
_SHARES = ("finished", "empty", "share", "accuracy", "flip_rate", "repetition")
"""Figures that are parts of a whole: shown in percent."""


def comparisons(metrics: Mapping[str, Any], baseline: str, judges: Mapping[str, str] | None = None) -> list[Comparison]:
    """All comparisons of an evaluation, in the order of its metrics, the first judge of each policy first.

    Args:
        baseline: Name of what the policies are compared with.
        judges: Judge's name -> name of its scorer, where they differ.
    """
    found = []
    for policy, figures in metrics.items():
        if not isinstance(figures, Mapping) or policy == "calibration":
            continue
        for judge, verdict in figures.items():
            if isinstance(verdict, Mapping) and is_interval(verdict.get("win_rate")):
                op = (judges or {}).get(judge, judge)
                by = str(verdict.get("by") or decider(op))
                found.append(Comparison(policy, baseline, judge, by, verdict["win_rate"], list(_notes(verdict))))
                found += _by_person(policy, baseline, judge, verdict.get("annotators"))
    return found


def _by_person(policy: str, baseline: str, judge: str, annotators: Any) -> Iterator[Comparison]:
    """What each of the people says who are one judge together."""
    if isinstance(annotators, Mapping):
        for who, verdict in annotators.items():
            if isinstance(verdict, Mapping) and is_interval(verdict.get("win_rate")):
                notes = list(_notes(verdict))
                yield Comparison(policy, baseline, f"{judge}, {who}", ONE_PERSON, verdict["win_rate"], notes)


def _notes(verdict: Mapping[str, Any]) -> Iterator[str]:
    if is_number(verdict.get("n")):
        yield f"{number(verdict['n'])} prompts"
    for name, plural in _COUNTS.items():
        if is_number(verdict.get(plural)):
            yield f"{number(verdict[plural])} {name if verdict[plural] == 1 else plural}"
    for name, value in verdict.items():
        if name in ("identical", "without_verdict") and not value:
            continue
        if name not in ("n", "win_rate", "score", "baseline_score", *_COUNTS.values()) and (
            is_number(value) or is_interval(value)
        ):
            yield f"{name.replace('_', ' ')} {cell(name, value)}"


def figures(metrics: Mapping[str, Any]) -> list[Figure]:
    """What is measured on each policy's own answers, as rows; the columns are `policies`."""
    names: dict[str, None] = {}
    for found in metrics.values():
        if _has_figures(found):
            names.update(dict.fromkeys(n for n, v in found.items() if n != "win_rate" and _is_figure(v)))
    return [
        Figure(
            name.replace("_", " "),
            _MEANINGS.get(name, ""),
            {p: cell(name, found.get(name)) for p, found in metrics.items() if _has_figures(found)},
        )
        for name in names
    ]


def _has_figures(found: Any) -> bool:
    """Whether these are the metrics of a policy that has some; those of a reward model are shown elsewhere."""
    return isinstance(found, Mapping) and "length_accuracy" not in found and any(map(_is_figure, found.values()))


def _is_figure(value: Any) -> bool:
    return is_number(value) or is_interval(value)


def policies(metrics: Mapping[str, Any], baseline: str) -> list[str]:
    """The policies that have figures of their own, the baseline first."""
    names = [p for p, f in metrics.items() if _has_figures(f)]
    return sorted(names, key=lambda name: name != baseline)


def cell(name: str, value: Any) -> str:
    """A figure as text: intervals with their bounds, shares in percent."""
    if isinstance(value, Mapping):
        return interval(value) if is_interval(value) else number(None)
    if any(word in name for word in _SHARES) and is_number(value) and 0 <= value <= 1:
        return share(value)
    return number(value)


@dataclass(frozen=True)
class Accuracy:
    """How often a reward model ranks a pair as its deciders did, beside what length alone would get."""

    where: str
    accuracy: Any
    length: Any
    over_length: Any = None
    """The difference of the two on the same pairs, with its interval, where it was measured."""

    @property
    def words(self) -> str:
        return interval(self.accuracy)

    @property
    def length_words(self) -> str:
        return interval(self.length)

    @property
    def reading(self) -> str:
        """Whether the model knows more than that the longer answer wins."""
        low, base = _low(self.accuracy), _mean(self.length)
        if low is None or base is None:
            return ""
        best = max(base, 1 - base)
        side = "longer" if base >= 0.5 else "shorter"
        over = _low(self.over_length)
        better = over > 0 if over is not None and side == "longer" else low > best
        if better:
            return f"knows more than length: “the {side} answer wins” would get {best:.2f}"
        return f"is not clearly better than length: “the {side} answer wins” would get {best:.2f}"


def accuracies(metrics: Mapping[str, Any], where: str = "") -> Iterator[Accuracy]:
    """Every `accuracy` in nested metrics that stands beside a `length_accuracy`."""
    if "accuracy" in metrics and "length_accuracy" in metrics:
        yield Accuracy(where, metrics["accuracy"], metrics["length_accuracy"], metrics.get("over_length"))
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from accuracies(value, str(name))


def _mean(value: Any) -> float | None:
    found = value.get("mean") if isinstance(value, Mapping) else value
    return float(found) if is_number(found) else None


def _low(value: Any) -> float | None:
    found = value.get("low") if isinstance(value, Mapping) else value
    return float(found) if is_number(found) else None


def flat(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """All metrics as (dotted name, text), as a gate would name them."""
    for name, value in metrics.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping) and not is_interval(value):
            yield from flat(value, full + ".")
        elif isinstance(value, list):
            yield full, ", ".join(map(str, value))
        elif value is None or isinstance(value, str | int | float | bool) or is_interval(value):
            yield full, cell(name, value) if value is not None else number(None)
