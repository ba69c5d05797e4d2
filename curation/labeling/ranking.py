"""How good are three to five answers, one against the other? A ranking, in which several may share a place.

A verdict is the tuple of ranks, one for each answer in the item's own order: `(2, 1, 1)` puts the first answer behind
two that are equally good. Argilla's SDK gives rankings back in the order of their list and drops the ranks, so they are
read over REST, by rank; and ranks are closed up, because a person may leave places free.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.conversation import Message, digest, framed
from curation.labeling.consensus.ranks import dense
from curation.labeling.question import (
    LETTERS,
    SKIP,
    Item,
    Misread,
    Question,
    Ranks,
    Shown,
    Verdict,
    answer_fields,
    answers_shown,
    by_hash,
)

FEWEST, MOST = 3, 5
"""Answers in a ranking. Two are a choice, and of more than five people lose sight."""
RANKING = "ranking"


@dataclass(frozen=True)
class Ranking(Question):
    """A ranking of so many answers, ties allowed."""

    count: int

    name: ClassVar[str] = "ranking"
    letter: ClassVar[str] = "k"

    @property
    def title(self) -> str:
        return f"Rank the {self.count} answers, the best on top"

    @staticmethod
    def item(prompt: tuple[Message, ...], answers: Sequence[Message]) -> Item:
        """The item that these answers make, in whichever order they come."""
        return Item(Ranking(len(answers)), prompt, by_hash(answers))

    def item_id(self, item: Item) -> str:
        return digest("rank", framed(item.prompt), *(m.framed() for m in item.answers))

    def board(self) -> tuple[str, ...]:
        return (str(self.count),)

    def order(self, item: Item, annotator: int) -> tuple[int, ...]:
        """One of all orders by a hash; the next annotator sees it turned by one, so that each answer leads in turn."""
        places = sorted(range(self.count), key=lambda place: digest("place", item.id, str(place)))
        turn = annotator % self.count
        return tuple(places[turn:] + places[:turn])

    @property
    def fields(self) -> Mapping[str, str]:
        return answer_fields(self.count)

    def shows(self, shown: Shown) -> Mapping[str, tuple[Message, ...]]:
        return answers_shown(shown)

    @property
    def filled(self) -> tuple[str, ...]:
        return ("verdict",)

    @property
    def how(self) -> str:
        """What to write in a form."""
        letters = LETTERS[: self.count]
        example = f"{letters[1]} > {letters[0]} = " + " > ".join(letters[2:])
        return f"write all letters, the best first, like `{example}` (`=` for a tie), or skip, under `verdict`"

    def parse(self, shown: Shown, cells: Mapping[str, str]) -> Verdict | None:
        said = re.sub(r"\s+", "", cells["verdict"]).lower()
        if not said or said == SKIP:
            return said or None
        groups = [group.split("=") for group in said.split(">")]
        if sorted(x for group in groups for x in group) != list(LETTERS[: self.count]):
            raise Misread(f"{cells['verdict'][:40]!r} is no ranking; {self.how}")
        rank = {x: number for number, group in enumerate(groups) for x in group}
        return self.verdict(shown, [rank[x] for x in LETTERS[: self.count]])

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        options = [
            {"value": f"answer_{x}", "text": f"Answer {x.upper()}", "description": None} for x in LETTERS[: self.count]
        ]
        settings = {"type": "ranking", "options": options}
        return ({"name": RANKING, "title": self.title, "required": True, "settings": settings},)

    def read(self, shown: Shown, values: Mapping[str, Any]) -> Verdict | None:
        found = {one["value"]: one.get("rank") for one in values.get(RANKING) or ()}
        ranks = [found.get(f"answer_{x}") for x in LETTERS[: self.count]]
        if None in ranks:
            return None
        return self.verdict(shown, [int(rank) for rank in ranks if rank is not None])

    def suggestion(self, shown: Shown, verdict: Verdict) -> Mapping[str, Any]:
        ranks = [verdict[place] for place in shown.order]  # type: ignore[index]
        return {RANKING: [{"value": f"answer_{x}", "rank": r} for x, r in zip(LETTERS, ranks, strict=False)]}

    @staticmethod
    def verdict(shown: Shown, ranks: Sequence[int]) -> Ranks:
        """Ranks of the answers as they stand, as ranks of the item's own answers."""
        own = dict(zip(shown.order, ranks, strict=True))
        return dense([own[place] for place in range(len(ranks))])

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Ranking:
        return cls(len(line["answers"]))
