"""One look at the forms: take in what people wrote, say what still lacks, and hand out forms for it.

The order matters: what stands in the forms goes into the log before anything else is decided, so that no change of
settings, guidelines or data can cost an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from curation.labeling import file
from curation.labeling.tasks import ITEMS, QUESTION, Asked, Verdict, new_lines, standing


class Log(Protocol):
    """Append-only answers that outlive every step."""

    def append(self, answers: list[dict[str, Any]]) -> int: ...

    def read(self, question: str) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Terms:
    """When there are answers enough."""

    guidelines: str = ""
    """Digest of the guidelines."""
    min_submitted: int = 1
    """People a pair."""
    max_answers: int | None = None
    """Answers in all."""

    def wanted(self, items: int) -> int:
        """Answers that are waited for."""
        return min(items * self.min_submitted, self.max_answers or items * self.min_submitted)


@dataclass
class Round:
    """Where the asking stands."""

    said: dict[str, dict[str, Verdict]]
    """Item -> person -> verdict, for the items that were asked about."""
    answered: int
    """Answers that count towards what is wanted."""
    wanted: int
    pending: list[str] = field(default_factory=list)
    """Items that lack answers."""
    problems: list[str] = field(default_factory=list)
    """What in the forms cannot be understood. Nothing is decided while there are any."""
    stranded: int = 0
    """Answers about these items that were given under other guidelines."""
    forms: list[Path] = field(default_factory=list)
    """Forms with records that still lack an answer."""

    @property
    def complete(self) -> bool:
        return self.answered >= self.wanted and not self.problems

    def message(self) -> str:
        """`38 of 200 answered`, and what has to be put right."""
        text = f"{self.answered:,} of {self.wanted:,} answered"
        if not self.problems:
            return text
        more = f"\n  ... and {len(self.problems) - 10} more" if len(self.problems) > 10 else ""
        return f"{text}; please put right:\n  " + "\n  ".join(self.problems[:10]) + more


def look(asked: Asked, folder: Path, log: Log, terms: Terms, *, format: Literal["csv", "jsonl"] = "csv") -> Round:
    """Reads the forms in `folder`, then writes those that are missing."""
    reading = file.read(folder, file.by_code(log.read(ITEMS)))
    log.append(new_lines(reading.given, log.read(QUESTION)))
    lines = log.read(QUESTION)
    now = counted(asked, lines, terms)
    now.problems = reading.problems
    if now.answered < now.wanted:
        now.forms = _hand_out(asked, now.pending, folder, log, lines, terms, reading.where, format)
    return now


def counted(asked: Asked, lines: Sequence[Mapping[str, Any]], terms: Terms) -> Round:
    """Where the asking stands by what the log holds, wherever it was said."""
    everything = standing(lines, terms.guidelines)
    said = {item: everything[item] for item in asked.items if item in everything}
    enough = terms.min_submitted
    return Round(
        said=said,
        answered=sum(min(len(people), enough) for people in said.values()),
        wanted=terms.wanted(len(asked.items)),
        pending=[item for item in asked.items if len(said.get(item, {})) < enough],
        stranded=sum(line["item"] in asked.items and line["guidelines"] != terms.guidelines for line in lines),
    )


def _hand_out(
    asked: Asked,
    pending: Sequence[str],
    folder: Path,
    log: Log,
    lines: Sequence[Mapping[str, Any]],
    terms: Terms,
    where: Mapping[str, Sequence[Path]],
    format: Literal["csv", "jsonl"],
) -> list[Path]:
    """The forms that hold the pending records; what lies in none gets a new one."""
    last = {(line["form"], line["record"]): line["verdict"] for line in lines}
    answered = {record for (_, record), verdict in last.items() if verdict != "withdrawn"}
    forms: set[Path] = set()
    for annotator in range(1, terms.min_submitted + 1):
        shown = [asked.items[item].shown(annotator, terms.guidelines) for item in pending]
        open_ = [s for s in shown if s.code not in answered]
        forms.update(path for s in open_ for path in where.get(s.code, ()))
        new = sorted((s for s in open_ if s.code not in where), key=lambda s: s.code)
        if new:
            log.append([s.line() for s in new])  # before the form, so that every code in a form is known
            forms.add(file.write(folder, annotator, new, format))
    return sorted(forms)
