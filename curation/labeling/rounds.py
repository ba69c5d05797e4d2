"""One look at the forms: take in what people wrote, say what still lacks, and hand out forms for it.

The order matters: what stands in the forms goes into the log before anything else is decided, so that no change of
settings, guidelines or data can cost an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from curation.labeling import file
from curation.labeling.log import Book, Log, Said
from curation.labeling.question import WITHDRAWN
from curation.labeling.tasks import Asked, nearly_done


@dataclass(frozen=True)
class Terms:
    """When there are answers enough."""

    guidelines: str = ""
    """Digest of the guidelines."""
    min_submitted: int = 1
    """People an item."""
    max_answers: int | None = None
    """Answers in all."""

    def wanted(self, items: int) -> int:
        """Answers that are waited for."""
        return min(items * self.min_submitted, self.max_answers or items * self.min_submitted)


@dataclass(frozen=True)
class Stranded:
    """Answers that are kept and do not count."""

    guidelines: int = 0
    """About these items, given under other guidelines (or aspects)."""
    rows: int = 0
    """Given in this step about items that it asks about no longer: rows before it changed."""

    def warnings(self) -> list[str]:
        """What to tell before anybody is asked anew."""
        found = []
        if self.guidelines:
            found.append(f"{_answers(self.guidelines)} given under other guidelines, and do not count")
        if self.rows:
            found.append(f"{_answers(self.rows)} given about rows that are no longer asked about, and do not count")
        hint = "; they are kept, and count again when that is changed back"
        return [text + hint for text in found]


def _answers(n: int) -> str:
    return f"{n:,} answer was" if n == 1 else f"{n:,} answers were"


@dataclass
class Round:
    """Where the asking stands."""

    said: Said
    """Item -> person -> verdict, for the items that were asked about."""
    answered: int
    """Answers that count towards what is wanted."""
    wanted: int
    missing: dict[str, int] = field(default_factory=dict)
    """Item -> answers that it lacks."""
    problems: list[str] = field(default_factory=list)
    """What in the forms cannot be understood. Nothing is decided while there are any."""
    stranded: Stranded = field(default_factory=Stranded)
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


def stranded(asked: Asked, book: Book, terms: Terms, here: Iterable[str]) -> Stranded:
    """What would not count if people were asked about these items under these terms.

    Args:
        here: Codes of the records that this step handed out, as far as that is known.
    """
    counts = counted(asked, book, terms).said
    elsewhere: set[tuple[str, str]] = set()
    gone: set[tuple[str, str]] = set()
    codes = set(here)
    for name, lines in book.lines.items():
        under = {q.under(terms.guidelines) for q in asked.questions if q.name == name}
        for line in lines:
            item, who = line["item"], line["annotator"]
            if item in asked.later:
                continue
            if item not in asked.items:
                places, kept = gone, bool(under) and line["record"] in codes
            else:
                places, kept = elsewhere, line["guidelines"] not in under and who not in counts.get(item, {})
            if kept and line["verdict"] != WITHDRAWN:
                places.add((item, who))
            elif kept:
                places.discard((item, who))
    return Stranded(len(elsewhere), len(gone))


class _Unwritten:
    """A log that keeps nothing: what would come to it stays in the book."""

    def __init__(self, log: Log) -> None:
        self.read = log.read

    def append(self, answers: list[dict[str, Any]]) -> int:
        return len(answers)


def foreseen(asked: Asked, folder: Path, log: Log, terms: Terms, name: str) -> Stranded:
    """What would not count if the step of this name ran now. Reads the log and the forms, asks no server, writes
    nothing.
    """
    book = Book(_Unwritten(log))
    reading = file.read(folder, book.known)
    book.take(reading.given)
    online = {code for _, code in book.last(f"argilla:{name}-")}
    return stranded(asked, book, terms, online | reading.where.keys())


def look(
    asked: Asked,
    folder: Path,
    log: Log,
    terms: Terms,
    *,
    format: Literal["csv", "jsonl"] = "csv",
    warn: Callable[[str], None] = lambda text: None,
) -> Round:
    """Reads the forms in `folder`, then writes those that are missing.

    Args:
        warn: Is told what would not count any more, before anything is handed out.
    """
    book = Book(log)
    reading = file.read(folder, book.known)
    book.take(reading.given)
    now = counted(asked, book, terms)
    now.problems = reading.problems
    now.stranded = stranded(asked, book, terms, reading.where)
    for text in now.stranded.warnings():
        warn(text)
    if now.answered < now.wanted:
        now.forms = _hand_out(asked, now, folder, book, terms, reading.where, format)
    return now


def counted(asked: Asked, book: Book, terms: Terms) -> Round:
    """Where the asking stands by what the log holds, wherever it was said."""
    said: Said = {}
    for question in asked.questions:
        standing = book.standing(question, terms.guidelines)
        said |= {i: people for i, people in standing.items() if i in asked.items}
    enough = terms.min_submitted
    said = {item: said[item] for item in asked.items if item in said}
    return Round(
        said=said,
        answered=sum(min(len(people), enough) for people in said.values()),
        wanted=terms.wanted(len(asked.items)),
        missing={i: enough - n for i in asked.items if (n := len(said.get(i, {}))) < enough},
    )


def _hand_out(
    asked: Asked,
    now: Round,
    folder: Path,
    book: Book,
    terms: Terms,
    where: Mapping[str, Sequence[Path]],
    format: Literal["csv", "jsonl"],
) -> list[Path]:
    """The forms that hold the pending records; what lies in none gets a new one."""
    answered = {code for (_, code), line in book.last().items() if line["verdict"] != WITHDRAWN}
    out = {book.known[code].item.id for code in where if code in book.known}
    pending = nearly_done(now.missing, now.wanted - now.answered, out)
    forms: set[Path] = set()
    for annotator in range(1, terms.min_submitted + 1):
        for question in asked.questions:
            items = (asked.items[i] for i in pending if asked.items[i].question == question)
            open_ = [s for s in (i.shown(annotator, terms.guidelines) for i in items) if s.code not in answered]
            forms.update(path for s in open_ for path in where.get(s.code, ()))
            new = sorted((s for s in open_ if s.code not in where), key=lambda s: s.code)
            if new:
                book.show(new)  # before the form, so that every code in a form is known
                forms.add(file.write(folder, annotator, new, format))
    return sorted(forms)
