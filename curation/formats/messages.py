"""Messages: a list of `role` and `content`, as OpenAI's API, chat templates and TRL take it.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}], "tools": [...]}

A list that ends on the user is a prompt. `tool_calls`, `tool_call_id`, `name` and the like stay with their message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow
from curation.formats.format import Format, Makes
from curation.formats.sharegpt import chat


class Messages(Format):
    """Chats as lists of messages."""

    reads: ClassVar[frozenset[str]] = frozenset({"messages", "system", "tools", "id"})

    op: Literal["messages"] = "messages"

    @classmethod
    def recognizes(cls, record: Mapping[str, Any]) -> bool:
        return isinstance(record.get("messages"), list | str)

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        return [chat(record, ("messages",))]
