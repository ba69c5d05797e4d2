"""Which of two answers is better? One choice; a tie and no opinion are choices too.

Verdicts: `first`, `second` (of the answers in the item's own order) and `tie`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from curation.conversation import Message, digest, framed
from curation.labeling.question import (
    SKIP,
    Item,
    Misread,
    Question,
    Shown,
    Verdict,
    answer_fields,
    answers_shown,
    by_hash,
    label,
)

Vote = Literal["first", "second", "tie"]
VOTES: tuple[Vote, ...] = ("first", "second", "tie")
SIDES = {"a": "a", "b": "b", "1": "a", "2": "b", "tie": "tie", SKIP: SKIP}
"""What may stand under `verdict` in a form, in any case."""
HOW = "write a, b, tie or skip under `verdict`"
BETTER = "better"


@dataclass(frozen=True)
class Pair(Question):
    """A choice between two answers."""

    name: ClassVar[str] = "preference"
    letter: ClassVar[str] = "p"

    @property
    def title(self) -> str:
        return "Which answer is better?"

    @staticmethod
    def item(prompt: tuple[Message, ...], a: Message, b: Message) -> Item:
        """The item that two answers make, in whichever order they come."""
        return Item(Pair(), prompt, by_hash((a, b)))

    def item_id(self, item: Item) -> str:
        first, second = item.answers
        return digest("which is better", framed(item.prompt), first.framed(), second.framed())

    def order(self, item: Item, annotator: int) -> tuple[int, ...]:
        """Neighbours see the two answers on opposite sides."""
        swapped = (int(digest("side", item.id)[:8], 16) + annotator) % 2 == 1
        return (1, 0) if swapped else (0, 1)

    @property
    def fields(self) -> Mapping[str, str]:
        return answer_fields(2)

    def shows(self, shown: Shown) -> Mapping[str, tuple[Message, ...]]:
        return answers_shown(shown)

    @property
    def filled(self) -> tuple[str, ...]:
        return ("verdict",)

    def parse(self, shown: Shown, cells: Mapping[str, str]) -> Verdict | None:
        said = cells["verdict"]
        if not said:
            return None
        side = SIDES.get(said.lower())
        if side is None:
            raise Misread(f"{said[:40]!r} is no verdict; {HOW}")
        return self.verdict(shown, side)

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        choices = [("a", "A is better"), ("b", "B is better"), ("tie", "equally good")]
        return (label(BETTER, self.title, choices),)

    def read(self, shown: Shown, values: Mapping[str, Any]) -> Verdict | None:
        side = values.get(BETTER)
        return self.verdict(shown, side) if side in ("a", "b", "tie") else None

    def suggestion(self, shown: Shown, verdict: Verdict) -> Mapping[str, Any]:
        return {BETTER: verdict if verdict == "tie" else "ab"[shown.order.index(VOTES.index(verdict))]}

    @staticmethod
    def verdict(shown: Shown, side: str) -> Verdict:
        """What a choice of sides (a, b, tie, skip) means for the item."""
        return VOTES[shown.order["ab".index(side)]] if side in ("a", "b") else side

    # The log has kept pairs in these words from the start.

    def line(self, shown: Shown) -> dict[str, Any]:
        first, second = shown.item.answers
        texts = {"prompt": [m.to_dict() for m in shown.item.prompt], "first": first.to_dict()}
        return {**self.said(shown), **texts, "second": second.to_dict()}

    def said(self, shown: Shown) -> dict[str, Any]:
        return {"left": VOTES[shown.order[0]]}

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Pair:
        return cls()

    @classmethod
    def shown_of(cls, line: Mapping[str, Any]) -> Shown:
        answers = (Message.from_dict(line["first"]), Message.from_dict(line["second"]))
        item = Item(cls(), tuple(map(Message.from_dict, line["prompt"])), answers)
        return Shown(line["record"], item, (0, 1) if line["left"] == "first" else (1, 0), line["guidelines"])


def decided(verdicts: Iterable[Verdict]) -> Vote | None:
    """What several people say together: the verdict with more votes than any other, else a tie.

    Skips are no votes; without a vote there is no decision.
    """
    votes = Counter(verdict for verdict in verdicts if verdict in VOTES)
    if not votes:
        return None
    most = max(votes.values())
    best = [word for word in VOTES if votes[word] == most]
    return best[0] if len(best) == 1 else "tie"
