"""Messages: a list of `role` and `content`, as OpenAI's API, chat templates and TRL take it.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}], "tools": [...]}

A list that ends on the user is a prompt. Parts of text are joined; a part that is an image refuses the record, because
the chat without it is another one. `tool_calls`, `tool_call_id`, `name` and the like stay with their message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow
from curation.formats.fields import SYSTEM
from curation.formats.format import SPEAKING, Format, Makes, Spelling
from curation.formats.sharegpt import chat, turns


class Messages(Format):
    """Chats as lists of messages."""

    reads: ClassVar[frozenset[str]] = frozenset({"messages", *SYSTEM, "tools", "id"})
    telling: ClassVar[frozenset[str]] = frozenset({"messages"})
    spellings: ClassVar[tuple[Spelling, ...]] = tuple(Spelling("messages", *keys) for keys in SPEAKING)

    op: Literal["messages"] = "messages"

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        found = turns(record, "messages")
        return f"`messages` holds {found}" if found else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        return [chat(record, ("messages",))]
