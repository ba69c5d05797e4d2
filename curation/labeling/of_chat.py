"""A question about the last answer of a chat, which `rating` and `review` are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from curation.conversation import Message, digest, framed
from curation.labeling.question import Item, Question, Shown


@dataclass(frozen=True)
class OfChat(Question):
    """The chat stands in one field, and its last answer in another."""

    asked: ClassVar[str]
    """What is asked, as it goes into an item's id."""

    def item_id(self, item: Item) -> str:
        return digest(self.asked, framed((*item.prompt, *item.answers)), item.tools or "")

    @property
    def fields(self) -> Mapping[str, str]:
        return {"prompt": "Chat", "answer": "Last answer"}

    def shows(self, shown: Shown) -> Mapping[str, tuple[Message, ...]]:
        return {"prompt": shown.item.prompt, "answer": shown.answers}
