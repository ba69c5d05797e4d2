"""One step as the page shows it: state, costs, curves, examples, settings, warnings.

The run's record knows how each step ended in this run; the manifest, where there is one, knows what was made. A step
that failed, waits or was skipped has no manifest and is shown all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rlhf.report.figures import line_chart
from rlhf.report.verdicts import flat
from rlhf.report.words import count, decider, duration, is_number, megabytes, number

SIGNS = {"done": "✓", "cached": "✓", "failed": "✗", "waiting": "…", "gated": "!", "skipped": "·", "running": "▸"}
_FIRST_CURVES = ("reward", "loss", "accuracy", "margin", "kl", "ended")
"""Shown with the training itself; other curves are folded away."""
_CURVE_TITLES = {
    "loss": "loss, nats a token",
    "learning_rate": "learning rate",
    "grad_norm": "norm of the gradient",
    "accuracy": "accuracy, share ranked right",
    "margin": "margin, reward of chosen minus rejected",
    "reward": "reward of an answer",
    "kl": "KL from the reference, nats an answer",
    "ended": "share of answers that ended by themselves",
    "answer_tokens": "tokens of an answer",
    "entropy": "entropy, nats a token",
    "policy_loss": "policy loss",
    "value_loss": "value loss",
    "clip_fraction": "share of tokens held by the clip",
    "value_clip_fraction": "share of values held by their clip",
    "ratio": "mean ratio of probabilities, new to old",
    "first_ratio": "ratio before an update has learned anything: 1",
    "update_kl": "KL moved within an update, nats an answer",
    "share_of_steps": "share of an update's steps before it ended",
    "kl_coef": "coefficient of the KL penalty",
    "explained_variance": "share of the returns' variance that the values foresaw",
}
_LOSSES = {
    **dict.fromkeys(("reward", "dpo", "orpo", "cpo"), "loss, nats a pair"),
    "kto": "loss, mean over the answers",
    "distill": "loss, divergence from the teacher, nats a token",
    **dict.fromkeys(("rloo", "grpo"), "loss, near zero by its making: look at the reward"),
}
"""Step type -> what its loss is, where that is not nats a token."""
_MOST_CHARS = 4000
"""Characters of one text that the page shows; the artifact has it all."""


@dataclass(frozen=True)
class Chart:
    """A drawn curve with its caption."""

    title: str
    picture: Markup
    first: bool


@dataclass(frozen=True)
class Piece:
    """Some text of a rendered row, and whether the loss sees it."""

    text: str
    supervised: bool


@dataclass(frozen=True)
class SideBySide:
    """A prompt and several answers to it."""

    prompt: str
    answers: Sequence[tuple[str, str]]
    """(who, answer)."""
    verdict: str


class StepView:
    """What templates read. Built from the record's entry of the step and its manifest, or None."""

    def __init__(self, name: str, record: Mapping[str, Any], manifest: Mapping[str, Any] | None) -> None:
        self.name, self.record = name, record
        self.manifest: Mapping[str, Any] = manifest or {}
        self.type = str(record.get("type") or self.manifest.get("step") or "")
        self.state = str(record.get("state") or "skipped")
        self.sign = SIGNS.get(self.state, "·")
        self.message = str(record.get("message") or "")
        self.hint = str(record.get("hint") or "")
        self.needs: list[str] = [str(n) for n in record.get("depends_on") or ()]
        self.made: Mapping[str, Any] = self.manifest.get("output") or {}
        self.warnings: list[str] = [str(w) for w in self.manifest.get("warnings") or ()]
        self.decided_by = self.manifest.get("decided_by")

    @property
    def seconds(self) -> float:
        found = self.record.get("seconds")
        return float(found) if is_number(found) else 0.0

    @property
    def took(self) -> str:
        """`cached`, a time, or nothing for a step that did not run."""
        if self.state == "cached":
            return f"cached, {duration(self.seconds)}" if self.seconds else "cached"
        return duration(self.seconds) if self.seconds else ""

    @property
    def note(self) -> str:
        """Second line of its box in the graph."""
        what = "cached" if self.state == "cached" else duration(self.seconds) if self.seconds else self.state
        return f"{self.type} · {what}" if self.type else what

    @property
    def memory(self) -> str:
        return megabytes(self.manifest.get("peak_memory_mb"))

    @property
    def usd(self) -> float:
        found = self.manifest.get("usd")
        return float(found) if is_number(found) else 0.0

    @property
    def tokens(self) -> list[tuple[str, int]]:
        found = self.manifest.get("tokens") or {}
        return [(str(k), int(v)) for k, v in found.items() if is_number(v) and v]

    @property
    def rows(self) -> str:
        """`262 rows: train 236, test 26`, or the kind of what was made."""
        made = self.made
        if not made:
            return ""
        if made.get("rows") is None:
            return f"{made.get('kind', '')}, {megabytes(made.get('bytes', 0) / 1e6)}"
        parts = ", ".join(f"{part} {n:,}" for part, n in (made.get("parts") or {}).items())
        return count(int(made["rows"]), "row") + (f": {parts}" if parts else "")

    @property
    def decision(self) -> str:
        """`brevity, a rule`; `people`; several joined; empty where nothing was decided."""
        names = [n.strip() for n in str(self.decided_by or "").split(",") if n.strip()]
        kinds = [(n, decider(n)) for n in names]
        return " and ".join(f"{n}, {by}" if by.startswith("a ") else by for n, by in kinds)

    @property
    def people(self) -> bool:
        """Whether people answered here. In an evaluation that word is the name of a judge."""
        return self.made.get("kind") != "evaluation" and bool((self.manifest.get("metrics") or {}).get("people"))

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """All figures but those of people, which have a section and a table of their own."""
        found = self.manifest.get("metrics") or {}
        own = ("agreement", "people") if self.people else ()
        return list(flat({name: value for name, value in found.items() if name not in own}))

    @property
    def charts(self) -> list[Chart]:
        """The curves, the telling ones first."""
        curves = self.manifest.get("curves") or {}
        order = sorted(curves, key=lambda n: _FIRST_CURVES.index(n) if n in _FIRST_CURVES else len(_FIRST_CURVES))
        found = []
        for name in order:
            title = _CURVE_TITLES.get(name, str(name).replace("_", " "))
            if name == "loss":
                title = _LOSSES.get(self.type, title)
            y_range = (0.0, 1.0) if "accurac" in name else None
            points = [tuple(point) for point in curves[name]]
            picture = line_chart({str(name): points}, f"{self.name}: {title} by step", y_range=y_range)
            found.append(Chart(title, picture, name in _FIRST_CURVES))
        return found

    @property
    def rendered(self) -> list[tuple[str, list[Piece]]]:
        """First rows as the trainer sees them: (what it is, its pieces)."""
        found = []
        for example in self._examples():
            pieces = example.get("rendered")
            if isinstance(pieces, list):
                good = [p for p in pieces if isinstance(p, list | tuple) and len(p) == 2]
                found.append((str(example.get("title", "")), [Piece(clipped(p[0]), bool(p[1])) for p in good]))
        return found

    @property
    def left_out(self) -> str:
        """Parts of used records that are in no row (deleted messages of a tree, say): `deleted 12, spam 3`."""
        found = (self.manifest.get("metrics") or {}).get("left_out")
        return ", ".join(f"{reason} {n:,}" for reason, n in found.items()) if isinstance(found, Mapping) else ""

    @property
    def side_by_side(self) -> list[SideBySide]:
        """Answers to the same prompt."""
        found = []
        for example in self._examples():
            answers = example.get("answers")
            if isinstance(answers, Mapping):
                pairs = [(str(k), clipped(v)) for k, v in answers.items()]
            elif isinstance(answers, list):
                pairs = [(f"answer {i}", clipped(v)) for i, v in enumerate(answers, 1)]
            else:
                continue
            verdict = example.get("verdict")
            found.append(SideBySide(clipped(example.get("prompt", "")), pairs, "" if verdict is None else str(verdict)))
        return found

    @property
    def dropped_examples(self) -> list[tuple[str, str, str, str]]:
        """Rows that were dropped: (operator, reason, text, what the reason rests on)."""
        return [
            (str(e["dropped by"]), str(e.get("reason", "")), clipped(e.get("text", "")), clipped(e.get("evidence", "")))
            for e in self._examples()
            if "dropped by" in e
        ]

    @property
    def other_examples(self) -> list[list[tuple[str, str]]]:
        """Examples of a shape of their own, as names and texts."""
        return [
            [(str(k), clipped(v)) for k, v in example.items()]
            for example in self._examples()
            if not {"rendered", "dropped by"} & set(example) and not isinstance(example.get("answers"), Mapping | list)
        ]

    def _examples(self) -> Iterator[Mapping[str, Any]]:
        for example in self.manifest.get("examples") or ():
            if isinstance(example, Mapping):
                yield example

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Settings as the key saw them, pointers as they were written."""
        written = {str(k): str(v) for k, v in (self.manifest.get("sources") or {}).items()}
        found = [(n, v) for n, v in _settings(self.manifest.get("settings") or {}, "", written) if n != "step"]
        found = [(n, v) for n, v in found if not (n.rpartition(".")[2] == "revision" and v.isdigit())]  # of classes
        return [(n, v) for n, v in found if v != number(None)] + [
            (n, "not set") for n, v in found if v == number(None) and "." not in n
        ]

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """(place in the settings, start of the content's digest)."""
        return [(str(k), str(v)[:16]) for k, v in (self.manifest.get("inputs") or {}).items()]

    @property
    def class_of_numbers(self) -> list[tuple[str, str]]:
        """Device, dtype, threads: within which results are the same to the bit."""
        return [(str(k), number(v) if not isinstance(v, dict | list) else str(v)) for k, v in self._numerics()]

    def _numerics(self) -> Iterator[tuple[str, Any]]:
        yield from (self.manifest.get("numerics") or {}).items()
        if self.manifest.get("resumed"):
            yield "went on after interruptions", self.manifest["resumed"]

    @property
    def is_training(self) -> bool:
        return bool(self.manifest.get("curves")) or bool(self.rendered)


def _settings(value: Any, prefix: str, written: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if prefix in written:
        yield prefix, written[prefix]
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _settings(item, f"{prefix}.{key}" if prefix else str(key), written)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for i, item in enumerate(value):
            yield from _settings(item, f"{prefix}.{i}", written)
    elif isinstance(value, list):
        yield prefix, ", ".join(written.get(f"{prefix}.{i}", _plain(item)) for i, item in enumerate(value))
    else:
        yield prefix, _plain(value) if value != {} else number(None)


def _plain(value: Any) -> str:
    """A setting as YAML would have it, not rounded."""
    if value is None:
        return number(None)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def clipped(value: Any) -> str:
    """The text, cut where it is longer than a page should hold; says so."""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]} […{len(text) - _MOST_CHARS:,} more characters]"
