"""What people are asked about chats: points for the last answer (`Rated`), or whether to learn from it (`Reviewed`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.conversation import Conversation, Message
from curation.labeling.question import SKIP, Item, Question, Verdict
from curation.labeling.rating import POINTS, Rating
from curation.labeling.review import Review
from curation.labeling.tasks import PEOPLE, Asked, Lost

BY = "rated_by"
"""In a row's `meta`: who gave the points, `people` or a scorer."""


@dataclass
class OfChats(Asked):
    """Chats that end on an answer, which is what people are asked about."""

    rows: list[Conversation] = field(default_factory=list)
    item_of: list[str | None] = field(default_factory=list)
    """Row -> its item; None for a chat that does not end on an answer."""

    def fill(self, rows: Iterable[Conversation], question: Question) -> None:
        """Adds an item a chat; equal chats are one."""
        for number, row in enumerate(rows):
            self.rows.append(row)
            if not row.messages or row.messages[-1].role != "assistant":
                self.item_of.append(None)
                continue
            item = Item(question, row.prompt, (row.messages[-1],), row.tools)
            self.add(item, number)
            self.item_of.append(item.id)

    def heard(
        self, said: Mapping[str, Mapping[str, Verdict]]
    ) -> tuple[list[tuple[Conversation, list[Mapping[str, Any]], int]], Lost[Conversation]]:
        """(row, verdicts, skips) for rows that somebody had an opinion on, and the others with their reason.

        Reasons: `no_answer` of a chat that ends on none, `unanswered`, `skipped`.
        """
        found: list[tuple[Conversation, list[Mapping[str, Any]], int]] = []
        lost: Lost[Conversation] = []
        for row, item in zip(self.rows, self.item_of, strict=True):
            people = said.get(item, {}) if item else {}
            opinions = [v for v in people.values() if isinstance(v, Mapping)]
            if opinions:
                found.append((row, opinions, len(people) - len(opinions)))
            else:
                lost.append((row, "no_answer" if item is None else "skipped" if people else "unanswered"))
        return found, lost


@dataclass
class Rated(OfChats):
    """How good is the last answer, in each aspect?"""

    @classmethod
    def about(cls, rows: Iterable[Conversation], aspects: Mapping[str, str], *, suggestions: bool = False) -> Rated:
        """The items of some chats.

        Args:
            aspects: Name -> what earns its points.
            suggestions: People see the scores of these names that a row has already, where it has all.
        """
        asked = cls()
        asked.fill(rows, Rating(tuple(aspects.items())))
        if suggestions:
            for key, number in asked.row_of.items():
                points = {name: asked.rows[number].scores.get(name) for name in aspects}
                whole = {name: round(x) for name, x in points.items() if x is not None and round(x) in POINTS}
                if len(whole) == len(aspects):
                    asked.suggested[key] = whole
        return asked

    def scored(self, said: Mapping[str, Mapping[str, Verdict]]) -> tuple[list[Conversation], Lost[Conversation]]:
        """The rows with the mean of what people gave in each aspect as scores, and those that got none."""
        found, lost = self.heard(said)
        made = []
        for row, opinions, skips in found:
            means = {name: sum(one[name] for one in opinions) / len(opinions) for name in opinions[0]}
            meta = {**row.meta, BY: PEOPLE, "ratings": len(opinions), **({"skips": skips} if skips else {})}
            made.append(row.with_(scores={**row.scores, **means}, meta=meta))
        return made, lost


@dataclass
class Reviewed(OfChats):
    """Is the chat good enough to learn from?"""

    @classmethod
    def about(cls, rows: Iterable[Conversation], reasons: Sequence[str]) -> Reviewed:
        """The items of some chats."""
        asked = cls()
        asked.fill(rows, Review(tuple(reasons)))
        return asked

    def outcome(self, said: Mapping[str, Mapping[str, Verdict]]) -> Outcome:
        """What becomes of the rows.

        More drops than other verdicts drop a row, for the reason that was named most. Otherwise it is kept: as it is
        when at least as many accept as edit, else with the answer that most people wrote. Of words or texts that are
        equally common, the first in alphabetical order stands, for nothing else tells them apart.
        """
        found, lost = self.heard(said)
        out = Outcome(lost=lost)
        for row, opinions, skips in found:
            votes = Counter(one["action"] for one in opinions)
            if votes["drop"] > len(opinions) - votes["drop"]:
                out.lost.append((row, _most(one["reason"] for one in opinions if one["action"] == "drop")))
                continue
            told = {word: votes[word] for word in sorted(votes)} | ({SKIP: skips} if skips else {})
            meta = {**row.meta, "reviewed_by": PEOPLE, "review": told}
            if votes["edit"] <= votes["accept"]:
                out.accepted.append(row.with_(meta=meta))
                continue
            text = _most(one["text"] for one in opinions if one["action"] == "edit")
            last = Message("assistant", text, row.messages[-1].extra)
            out.edited.append(row.with_(messages=(*row.prompt, last), parent=row.id, meta=meta))
        return out


@dataclass
class Outcome:
    """What a review came to: every row is in one of the three."""

    accepted: list[Conversation] = field(default_factory=list)
    edited: list[Conversation] = field(default_factory=list)
    """Children of the rows whose last answer was put right."""
    lost: Lost[Conversation] = field(default_factory=list)


def _most(words: Iterable[str]) -> str:
    counts = Counter(words)
    return min(counts, key=lambda word: (-counts[word], word))
