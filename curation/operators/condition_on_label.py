"""Good and bad answers told apart by what stands before them: a model learns from both and is asked for the good.

Koala was trained so: where a worse answer follows, `An Unhelpful Answer:` stands in the place of the assistant's mark
(https://bair.berkeley.edu/blog/2023/04/03/koala/; "Chain of Hindsight", arXiv 2302.02676). The words travel as the
message's `name`, which a chat template writes where it writes who speaks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from curation.conversation import Conversation, Message, canonical_json
from curation.operator import Mapper
from curation.operators.whole_chats import WholeChats


class ConditionOnLabel(WholeChats, Mapper):
    """Names the assistant in labelled chats by the label: other words before good answers than before bad ones.

    The `name` of the assistant's messages is set; chats without a label stay as they are. The chat template must write
    names (`templates/koala.jinja` does): one that does not would train on bad answers as if they were good.
    """

    op: Literal["condition_on_label"] = "condition_on_label"
    good: str | None = None
    """Name before a good answer. None: none, so that the template's own mark asks for good answers."""
    bad: str | None = "An Unhelpful Answer"
    """Name before a bad answer."""
    turns: Literal["last", "all"] = "last"
    """`last`: the last answer, which the label speaks of. `all`: each answer of the chat, as Koala did."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.good == self.bad:
            raise PydanticCustomError("label", "`good` and `bad` say the same, so nothing tells the answers apart")
        if any(name is not None and not name.strip() for name in (self.good, self.bad)):
            raise PydanticCustomError("label", "an empty name says nothing; null leaves it out")
        return self

    def map(self, row: Any) -> Sequence[Any]:
        name = None if row.label is None else self.good if row.label else self.bad
        return [row if name is None else self._named(row, name)]

    def _named(self, row: Conversation, name: str) -> Conversation:
        answers = [i for i, message in enumerate(row.messages) if message.role == "assistant"]
        meant = set(answers if self.turns == "all" else answers[-1:])
        messages = tuple(_called(m, name) if i in meant else m for i, m in enumerate(row.messages))
        return row if messages == row.messages else row.with_(messages=messages)


def _called(message: Message, name: str) -> Message:
    extra = json.loads(message.extra) if message.extra else {}
    return Message(message.role, message.content, canonical_json({**extra, "name": name}))
