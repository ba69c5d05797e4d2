"""What a loop gives back: rows, the rows that it dropped with a reason each, and answers that could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from curation.conversation import AnyRow, Conversation
from curation.errors import UserError
from curation.ledger import Entry, Ledger, Reading

R = TypeVar("R", bound=AnyRow)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that did not stay."""

    row: Conversation
    reason: str
    """One snake_case word."""
    evidence: str | None = None
    """What speaks for it where the word does not say it all."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A piece of an answer that is no row."""

    question: int
    """Number of the question that it answers."""
    reason: str
    text: str


@dataclass
class Made(Generic[R]):
    """Filled by a loop as it goes."""

    rows: list[R] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """For the manifest's metrics."""

    def reasons(self) -> dict[str, int]:
        """Reason -> dropped rows, sorted by name."""
        return dict(sorted(Counter(lost.reason for lost in self.dropped).items()))

    def ledger(self, operator: str, writer: str, questions: int | None = None) -> Ledger:
        """The sums of a loop whose rows are read from answers.

        Args:
            writer: Name of the model, for people.
            questions: What was given and what could not be read is counted against the pieces of so many answers.
        """
        made = len(self.rows) + len(self.dropped)
        readings = []
        if questions is not None:
            malformed = dict(sorted(Counter(piece.reason for piece in self.unread).items()))
            source = f"{questions:,} answers of {writer}"
            total = made + len(self.unread)
            readings.append(Reading(source=source, records=total, used=made, malformed=malformed, rows=made))
        entry = Entry(operator=operator, made=made, kept=len(self.rows), dropped=self.reasons())
        return Ledger(readings=readings, entries=[entry])


def short(error: UserError, have: int, want: int, what: str, setting: str = "") -> UserError:
    """The error that stopped a loop, with what is there and what is missing.

    Args:
        what: The rows, for people: `instructions`.
        setting: The setting that a smaller number could be written into, to make do with what is there.
    """
    less = f"or make do with what is there: `{setting}: {have}`" if setting and have else ""
    more = f"{have:,} of {want:,} {what} are there, {want - have:,} are missing: {error.what}"
    return type(error)(more, where=error.where, hint="; ".join(filter(None, (error.hint, less))))


def counted(reasons: Sequence[Dropped | Unread]) -> str:
    """`12 too_similar, 3 too_short`, the most frequent first."""
    found = Counter(lost.reason for lost in reasons)
    return ", ".join(f"{n:,} {word}" for word, n in found.most_common())
