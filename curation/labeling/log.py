"""What people said, as an append-only log that outlives the step, the form and the settings it was said under.

The log has two kinds of lines for each question, both plain JSON:

    preference_items   a record as it was shown: its item, the order on the screen, the guidelines, and the texts
    preference         one answer: item, annotator, guidelines, verdict; a later line of the same person replaces it

and the same for `across`, `ranking`, `rating` and `review`. Nothing is decided before a line lies on the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curation.labeling.across import Across
from curation.labeling.pair import Pair
from curation.labeling.question import WITHDRAWN, Question, Shown, Verdict
from curation.labeling.ranking import Ranking
from curation.labeling.rating import Rating
from curation.labeling.review import Review

QUESTIONS: dict[str, type[Question]] = {q.name: q for q in (Pair, Across, Ranking, Rating, Review)}
"""Name in the log -> the class that knows its lines."""
Said = dict[str, dict[str, Verdict]]
"""Item -> annotator -> what they say."""


class Log(Protocol):
    """Append-only answers that outlive every step."""

    def append(self, answers: list[dict[str, Any]]) -> int:
        """On the disk when it returns; a line that is there already is not written again."""
        ...

    def read(self, question: str) -> list[dict[str, Any]]:
        """All lines of a question, oldest first."""
        ...


@dataclass(frozen=True)
class Given:
    """One answer of one person."""

    shown: Shown
    annotator: str
    verdict: Verdict
    note: str = ""
    form: str = ""
    """Where it was given: the form's name, or a server's."""
    suggested: bool = False
    """A verdict of a model stood there already when it was given."""
    at: str = ""
    """When, as the server says it (ISO 8601, UTC); empty where nobody knows."""


def shown_of(line: Mapping[str, Any]) -> Shown:
    """The record that an items line keeps."""
    return QUESTIONS[line["question"].removesuffix("_items")].shown_of(line)


class Book:
    """The log, read once, and what has to be added to it.

    A record of one form has one author: when the name beside an answer was changed, the answer under the old name is
    withdrawn.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.lines: dict[str, list[dict[str, Any]]] = {name: log.read(name) for name in QUESTIONS}
        """Question's name -> its answers, oldest first."""
        self.known: dict[str, Shown] = {
            line["record"]: shown_of(line) for name in QUESTIONS for line in log.read(f"{name}_items")
        }
        """Code -> the record, for all that were ever handed out."""
        self._last: dict[tuple[str, str], dict[str, Any]] = {}
        self._turns: Counter[tuple[str, str]] = Counter()
        for lines in self.lines.values():
            for line in lines:
                self._note(line)

    def _note(self, line: dict[str, Any]) -> None:
        place = (line["form"], line["record"])
        self._last[place] = line
        self._turns[place] += 1

    def show(self, records: Iterable[Shown]) -> None:
        """Keeps records, before anybody sees them, so that every code on a form or a server is known."""
        new = {shown.code: shown for shown in records if shown.code not in self.known}
        if new:
            self._log.append([shown.line() for shown in new.values()])
            self.known |= new

    def take(self, given: Iterable[Given]) -> int:
        """Keeps answers; on the disk when this returns. Gives the number of new lines; none is kept twice."""
        lines: list[dict[str, Any]] = []
        for g in given:
            for line in self._new(g):
                self._note(line)
                lines.append(line)
        if lines:
            self._log.append(lines)
            for line in lines:
                self.lines[line["question"]].append(line)
        return len(lines)

    def _new(self, g: Given) -> Iterable[dict[str, Any]]:
        before = self._last.get((g.form, g.shown.code))
        if before and before["annotator"] != g.annotator and before["verdict"] != WITHDRAWN:
            yield self._line(g, before["annotator"], WITHDRAWN, "")
        same = before and [before[k] for k in ("annotator", "verdict", "note")] == [
            g.annotator,
            _plain(g.verdict),
            g.note,
        ]
        if not same:
            yield self._line(g, g.annotator, g.verdict, g.note)

    def _line(self, g: Given, annotator: str, verdict: Verdict, note: str) -> dict[str, Any]:
        return {
            "question": g.shown.question.name,
            "item": g.shown.item.id,
            "guidelines": g.shown.guidelines,
            "record": g.shown.code,
            **g.shown.question.said(g.shown),
            "annotator": annotator,
            "verdict": _plain(verdict),
            "note": note,
            "form": g.form,
            "turn": self._turns[g.form, g.shown.code],  # makes a line that repeats an earlier one a line of its own
            **({"suggested": True} if g.suggested else {}),
            **({"at": g.at} if g.at else {}),
        }

    def last(self, form: str = "") -> dict[tuple[str, str], dict[str, Any]]:
        """(form, code) -> the last line, for forms whose name begins so."""
        return {place: line for place, line in self._last.items() if place[0].startswith(form)}

    def standing(self, question: Question, guidelines: str) -> Said:
        """What people say now about the items of a question under guidelines of this digest; see `standing`."""
        return standing(self.lines[question.name], question.under(guidelines))


def standing(log: Iterable[Mapping[str, Any]], under: str) -> Said:
    """Item -> annotator -> what they say now.

    Skips count, what was withdrawn does not.

    Args:
        log: Lines of one question.
        under: Digest of what they were asked under; see `Question.under`.
    """
    found: Said = {}
    for line in log:
        if line["guidelines"] != under:
            continue
        people = found.setdefault(line["item"], {})
        people.pop(line["annotator"], None)
        if line["verdict"] != WITHDRAWN:
            people[line["annotator"]] = _typed(line["verdict"])
    return {item: people for item, people in found.items() if people}


def _plain(verdict: Verdict) -> Any:
    """As JSON gives it back."""
    return verdict if isinstance(verdict, str) else dict(verdict) if isinstance(verdict, Mapping) else list(verdict)


def _typed(verdict: Any) -> Verdict:
    return tuple(verdict) if isinstance(verdict, Sequence) and not isinstance(verdict, str) else verdict
