"""The different answers of a row, and two of them as a preference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.conversation import Answer, Candidates, Message, Preference


def same(a: Message, b: Message) -> bool:
    """Whether two answers differ in nothing but white space around them: there is nothing to choose then."""
    return a.content.strip() == b.content.strip() and a.extra == b.extra


@dataclass(frozen=True, eq=False)
class Distinct:
    """A row, and those of its answers that say something that no earlier one says."""

    row: Candidates
    answers: tuple[Answer, ...]

    @classmethod
    def of(cls, row: Candidates) -> Distinct:
        kept: list[Answer] = []
        for answer in row.answers:
            if not any(same(answer.message(), other.message()) for other in kept):
                kept.append(answer)
        return cls(row, tuple(kept))

    @property
    def identical(self) -> int:
        """Answers that were left out."""
        return len(self.row.answers) - len(self.answers)

    @property
    def reason(self) -> str | None:
        """Why the row can give no pair, in one word, or None."""
        if len(self.answers) >= 2:
            return None
        return "identical_answers" if self.identical else "one_answer" if self.answers else "no_answer"

    def candidates(self) -> Candidates:
        """The row with its different answers alone."""
        return self.row.with_(answers=self.answers)

    def pair(
        self,
        better: Message,
        worse: Message,
        decided_by: str,
        *,
        tie: bool,
        scores: dict[str, float] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Preference:
        """Two of its answers as a preference. `meta` says of an answer that was cut off that it was."""
        cut = {
            f"{name}_finished": False
            for name, message in (("chosen", better), ("rejected", worse))
            if not all(a.finished for a in self.answers if a.message() == message)
        }
        return Preference(
            prompt=self.row.prompt,
            chosen=(better,),
            rejected=(worse,),
            verdict="tie" if tie else "chosen",
            decided_by=decided_by,
            scores={**self.row.scores, **(scores or {})},
            source=self.row.source,
            parent=self.row.id,
            split=self.row.split,
            meta={**self.row.meta, **cut, **(meta or {})},
        )
