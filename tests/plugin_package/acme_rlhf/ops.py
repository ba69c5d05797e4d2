from __future__ import annotations

from typing import Literal

from curation.conversation import Conversation
from curation.operator import Scorer


class Shouting(Scorer):
    """How much a reply shouts; 0 is calm."""

    op: Literal["acme/shouting"] = "acme/shouting"

    def score(self, conversations: list[Conversation]) -> list[float]:
        return [c.reply.count("!") for c in conversations]
