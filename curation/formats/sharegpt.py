"""ShareGPT: a list of turns with `from` and `value`, as browser extensions exported them and many sets copied.

    {"id": "a1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}

Exports differ: the list is called `conversations`, `conversation`, `messages` or `items`, turns may say `role` and
`content`, speakers may be called chatgpt, bing or bard. A `function_call` turn becomes an assistant's tool call, an
`observation` the tool's answer; `system` and `tools` may stand beside the list. Roles that repeat, a chat that starts
with the assistant, empty turns, HTML: all that is kept as it is, for operators to judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Conversation
from curation.formats.fields import SYSTEM, Refused, absent, messages, record_id, tools, unpacked, with_system
from curation.formats.format import SPEAKING, Format, Makes, Outcome, Spelling, Ties

LISTS = ("conversations", "conversation", "messages", "items")


class ShareGPT(Format):
    """Chats as ShareGPT exports them."""

    revision: ClassVar[int] = 2
    reads: ClassVar[frozenset[str]] = frozenset({*LISTS, *SYSTEM, "tools", "id"})
    telling: ClassVar[frozenset[str]] = frozenset(LISTS)
    spellings: ClassVar[tuple[Spelling, ...]] = tuple(Spelling(name, *keys) for name in LISTS for keys in SPEAKING)

    op: Literal["sharegpt"] = "sharegpt"
    pieces: Literal["apart", "joined"] = "apart"
    """What long chats become that were cut into pieces (`a_0`, `a_8`, by the number of the first turn): rows of their
    own, which `split` keeps in one part because their `tree` in `meta` is the same, or one chat again where a piece
    goes on where another ends. `split_long` cuts them anew, by your model's tokens."""

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        return next((f"`{n}` holds {found}" for n in LISTS if n != "messages" and (found := turns(record, n))), "")

    @property
    def ties(self) -> Ties:
        return "tree" if self.pieces == "apart" else "record"

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        return [chat(record, LISTS)]

    def outcomes(
        self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str] = ()
    ) -> Iterator[Outcome]:
        from curation.formats.parts import tied

        return tied(super().outcomes(records, makes, carry), join=self.pieces == "joined")


def turns(record: Mapping[str, Any], name: str) -> str:
    """`turns (from, value)` where this column is a list of messages, or the text of one; else empty."""
    found = record.get(name)
    if isinstance(found, str):
        found = unpacked(found)
    if not isinstance(found, list):
        return ""
    first = next((turn for turn in found if isinstance(turn, Mapping)), None)
    if first is None:
        return "a list" if not found else ""
    spelled = [key for key in ("from", "value", "role", "content") if not absent(first.get(key))]
    return f"turns ({', '.join(spelled)})" if {"from", "role"} & {*spelled} else ""


def chat(record: Mapping[str, Any], lists: Sequence[str]) -> Conversation:
    """The conversation in the first of the columns `lists` that is there, with the system turn and tools beside it.

    Raises:
        Refused: `no_messages`, or what is wrong with a turn.
    """
    for name in lists:
        if not absent(found := record.get(name)):
            break
    else:
        raise Refused("no_messages")
    said = with_system(messages(found), record)
    return Conversation(messages=said, tools=tools(record.get("tools")), meta=record_id(record))
