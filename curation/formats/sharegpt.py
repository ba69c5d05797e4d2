"""ShareGPT: a list of turns with `from` and `value`, as browser extensions exported them and many sets copied.

    {"id": "a1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}

Exports differ: the list is called `conversations`, `conversation`, `messages` or `items`, turns may say `role` and
`content`, speakers may be called chatgpt, bing or bard. A `function_call` turn becomes an assistant's tool call, an
`observation` the tool's answer; `system` and `tools` may stand beside the list. Roles that repeat, a chat that starts
with the assistant, empty turns: all that is kept as it is, for operators to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Conversation, Message
from curation.formats.fields import Refused, absent, filled, messages, record_id, tools
from curation.formats.format import Format, Makes

LISTS = ("conversations", "conversation", "messages", "items")


class ShareGPT(Format):
    """Chats as ShareGPT exports them."""

    reads: ClassVar[frozenset[str]] = frozenset({*LISTS, "system", "tools", "id"})

    op: Literal["sharegpt"] = "sharegpt"

    @classmethod
    def recognizes(cls, record: Mapping[str, Any]) -> bool:
        return any(isinstance(record.get(name), list | str) for name in ("conversations", "conversation", "items"))

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        return [chat(record, LISTS)]


def chat(record: Mapping[str, Any], lists: Sequence[str]) -> Conversation:
    """The conversation in the first of the columns `lists` that is there, with the system turn and tools beside it.

    Raises:
        Refused: `no_messages`, or what is wrong with a turn.
    """
    found = next((record[name] for name in lists if not absent(record.get(name))), None)
    if found is None:
        raise Refused("no_messages")
    turns = messages(found)
    system = record.get("system")
    if not absent(system) and system != "" and turns[0].role != "system":
        turns = (Message("system", filled(system, "no_text")), *turns)
    return Conversation(messages=turns, tools=tools(record.get("tools")), meta=record_id(record))
