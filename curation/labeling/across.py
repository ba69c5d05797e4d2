"""Which of two conversations went better, when they are about different things?

Answers to two prompts can be compared by a reader just as answers to one, and a reward model learns from both: Bradley
and Terry's model knows only rewards. Designs that may ask such questions get more out of each label (Shen, Sun and Ton
2025, arXiv 2502.04354, cross-prompt annotations). A policy learns nothing from them: it never chooses its prompt.

Verdicts are those of a pair: `first`, `second` (in the item's own order) and `tie`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.conversation import Message, digest, framed
from curation.labeling.pair import VOTES, Pair
from curation.labeling.question import Item, Shown, label

Chat = tuple[Message, ...]
"""A prompt with an answer behind it."""


@dataclass(frozen=True)
class Across(Pair):
    """A choice between two whole conversations."""

    name: ClassVar[str] = "across"
    letter: ClassVar[str] = "x"

    @property
    def title(self) -> str:
        return "Which conversation went better?"

    @staticmethod
    def item_of(a: Chat, b: Chat) -> Item:
        """The item that two conversations make, in whichever order they come."""
        first, second = sorted((a, b), key=lambda chat: digest(framed(chat)))
        return Item(Across(), (), (first[-1], second[-1]), None, (first[:-1], second[:-1]))

    def item_id(self, item: Item) -> str:
        return digest("which conversation", *(framed(item.chat(place)) for place in (0, 1)))

    @property
    def fields(self) -> Mapping[str, str]:
        return {"chat_a": "Conversation A", "chat_b": "Conversation B"}

    def shows(self, shown: Shown) -> Mapping[str, Chat]:
        return dict(zip(self.fields, (shown.item.chat(place) for place in shown.order), strict=True))

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        choices = [("a", "A went better"), ("b", "B went better"), ("tie", "equally well")]
        return (label("better", self.title, choices),)

    def line(self, shown: Shown) -> dict[str, Any]:
        chats = [[m.to_dict() for m in shown.item.chat(place)] for place in (0, 1)]
        return {**self.said(shown), "first": chats[0], "second": chats[1]}

    @classmethod
    def shown_of(cls, line: Mapping[str, Any]) -> Shown:
        a, b = (tuple(map(Message.from_dict, line[side])) for side in VOTES[:2])
        item = Item(cls(), (), (a[-1], b[-1]), None, (a[:-1], b[:-1]))
        return Shown(line["record"], item, (0, 1) if line["left"] == "first" else (1, 0), line["guidelines"])


def drawn(chats: Sequence[tuple[str, Chat]], count: int) -> Iterator[tuple[int, int]]:
    """So many pairs of conversations with different prompts, as places in `chats`; fewer where there are no more.

    The chats stand in a circle by a hash, and each is paired with the next; then in another circle, and so on. So all
    are asked about equally often, and a chat that is added or taken away changes two pairs of a circle and no other.

    Args:
        chats: (what must be equal in both, the chat): the split, so that no pair ties two of them together.
    """
    keys = [digest(framed(chat)) for _, chat in chats]
    prompts = [digest(framed(chat[:-1])) for _, chat in chats]
    groups: dict[str, list[int]] = {}
    for place, (group, _) in enumerate(chats):
        groups.setdefault(group, []).append(place)
    found: dict[frozenset[str], tuple[int, int]] = {}
    idle = turn = 0
    while len(found) < count and idle < _IDLE:
        edges: list[tuple[str, int, int]] = []
        for own in groups.values():
            ring = sorted(own, key=lambda k: digest("across", str(turn), keys[k]))
            ends = zip(ring, [*ring[1:], ring[0]], strict=True)
            edges += [(digest("edge", *sorted((keys[a], keys[b]))), a, b) for a, b in ends if prompts[a] != prompts[b]]
        before = len(found)
        for _, a, b in sorted(edges):
            if len(found) < count:
                found.setdefault(frozenset((keys[a], keys[b])), (a, b))
        idle = idle + 1 if len(found) == before else 0
        turn += 1
    return iter(found.values())


_IDLE = 20
"""Circles in a row that bring nothing new before it is taken that there are no more pairs."""
