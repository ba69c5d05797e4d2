"""Puts the page together: record and manifests in, one HTML file out."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlhf.report import figures, words
from rlhf.report.budget import budgets
from rlhf.report.calibration import Calibrated
from rlhf.report.graph import Node, draw
from rlhf.report.labeling import People
from rlhf.report.rounds import Rounds
from rlhf.report.rows import RowsView
from rlhf.report.steps import StepView
from rlhf.report.verdicts import Accuracy, Comparison, Figure, accuracies, comparisons, policies
from rlhf.report.verdicts import figures as policy_figures

_CHANGES = {"finished": "finished answers", "words": "words", "repetition": "repetition", "perplexity": "perplexity"}
"""Figures that stand in the headline -> how they are called there."""


class Verdict:
    """An evaluation on the page."""

    def __init__(self, step: StepView) -> None:
        self.step = step
        settings = step.manifest.get("settings") or {}
        sources = step.manifest.get("sources") or {}
        metrics = step.manifest.get("metrics") or {}
        baseline = str(sources.get("baseline") or "the baseline")
        self.baseline = str((settings.get("names") or {}).get(baseline, baseline))
        self.comparisons: list[Comparison] = comparisons(metrics, self.baseline, _scorers(settings))
        self.policies: list[str] = policies(metrics, self.baseline)
        self.figures: list[Figure] = policy_figures(metrics)
        self.require = settings.get("require")

    @property
    def says(self) -> bool:
        """Whether there is anything about policies; judges held against people are shown elsewhere."""
        return bool(self.comparisons or self.figures) or not (self.step.manifest.get("metrics") or {}).get(
            "calibration"
        )

    def changes(self, policy: str) -> list[str]:
        """`finished answers 3% → 58%`: what happened to the figures that a win rate may hide."""
        return [
            f"{said} {f.cells[self.baseline]} → {f.cells[policy]}"
            for name, said in _CHANGES.items()
            for f in self.figures
            if f.name == name and self.baseline in f.cells and policy in f.cells
        ]

    @property
    def first(self) -> list[Comparison]:
        """The headline: each policy by the first judge."""
        seen: set[str] = set()
        return [c for c in self.comparisons if not (c.policy in seen or seen.add(c.policy))]  # type: ignore[func-returns-value]


def _scorers(settings: Mapping[str, Any]) -> dict[str, str]:
    """Names that judges go by -> their operators."""
    found = {}
    for judge in settings.get("judges") or ():
        if isinstance(judge, Mapping):
            for name in (judge.get("as_"), judge.get("as"), judge.get("op")):
                if name:
                    found[str(name)] = str(judge.get("op"))
    return found


class Page:
    """All that the template reads."""

    def __init__(self, record: Mapping[str, Any], manifests: Mapping[str, Mapping[str, Any]]) -> None:
        self.record = record
        self.recipe = str(record.get("recipe") or "a recipe")
        entries = record.get("steps") or {}
        self.steps = [StepView(name, entry, manifests.get(name)) for name, entry in entries.items()]
        self.started = words.moment(record.get("started"))
        self.took = words.duration(record.get("seconds"))
        self.graph = draw(
            [Node(s.name, s.note, s.state, s.sign) for s in self.steps], {s.name: s.needs for s in self.steps}
        )
        self.verdicts = [v for s in self.steps if s.made.get("kind") == "evaluation" for v in [Verdict(s)] if v.says]
        self.rows = [found for s in self.steps if (found := RowsView(s)).falls]
        self.accuracies: list[tuple[StepView, Accuracy]] = [
            (s, a) for s in self.steps for a in accuracies(s.manifest.get("metrics") or {})
        ]
        self.calibrated = [c for s in self.steps for c in Calibrated.of(s)]
        self.training = [s for s in self.steps if s.is_training]
        self.decisions = [s for s in self.steps if s.decided_by]
        self.labeled = [People(s) for s in self.steps if s.people]
        self.budgets = budgets(self.steps)
        self.rounds = Rounds.of(self.steps)
        self.warnings = [(s, w) for s in self.steps for w in s.warnings]
        self.slowest = max((s.seconds for s in self.steps), default=0.0)
        self.usd = sum(s.usd for s in self.steps if s.state != "cached")

    @property
    def outcome(self) -> tuple[str, str]:
        """(state, sentence) of the run as a whole."""
        states = [s.state for s in self.steps]
        for state, sentence in (
            ("failed", "The run stopped: {} failed"),
            ("gated", "A gate does not hold: {}"),
            ("waiting", "The run waits for people: {}"),
        ):
            names = [s.name for s in self.steps if s.state == state]
            if names:
                return state, sentence.format(", ".join(names))
        if "skipped" in states:
            done = sum(state in ("done", "cached") for state in states)
            return "skipped", f"A part of the recipe was run: {done} of {len(states)} steps are done"
        cached = states.count("cached")
        return "done", f"All {words.count(len(states), 'step')} are done" + (
            f", {cached} from before" if cached else ""
        )

    @property
    def troubles(self) -> list[StepView]:
        """Steps that someone has to look at."""
        return [s for s in self.steps if s.state in ("failed", "gated", "waiting")]

    @property
    def versions(self) -> list[tuple[str, str]]:
        return [(str(k), str(v)) for k, v in (self.record.get("versions") or {}).items()]

    @property
    def profile(self) -> list[tuple[str, str]]:
        """The profile's settings, nothing left out; keys of endpoints are names of variables, never the keys."""
        return list(_flat(self.record.get("profile") or {}, ""))


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif value is not None:
        yield prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def render(record: Mapping[str, Any], manifests: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as HTML text: the same text for the same input."""
    style = files("rlhf.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    around = Environment(
        loader=PackageLoader("rlhf.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    around.filters.update(number=words.number, duration=words.duration, megabytes=words.megabytes, count=words.count)
    around.filters.update(interval=words.interval)
    around.globals.update(bar=figures.bar, interval_track=figures.interval_track, is_link=_is_link)
    page = Page(record, manifests)
    return around.get_template("page.html").render(page=page, style=Markup(style), style_digest=digest)


def _is_link(text: str) -> bool:
    """Whether a hint is an address that may become a link."""
    return text.startswith(("http://", "https://")) and not any(c.isspace() for c in text)


def build(run_record: Mapping[str, Any], manifests: Mapping[str, Mapping[str, Any]], out: Path) -> Path:
    """Writes the page of a run.

    Args:
        run_record: The record of a run: recipe, path, started, seconds, exit_code, profile, versions, and `steps`, a
            mapping from name to type, state, key, seconds, depends_on, message, hint.
        manifests: Step name -> manifest as JSON, for the steps that have one.
        out: The file to write; its folder is made. Replaced in one move, so a reader never sees half a page.

    Returns:
        `out`.
    """
    text = render(run_record, manifests)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    draft.write_bytes(text.encode("utf-8", "replace"))  # a lone surrogate must not cost the page
    draft.replace(out)
    return out
