r"""Chats as one text in which each turn begins with who speaks, as OIG writes them.

    {"text": "<human>: What is a fjord?\n<bot>: A long narrow inlet of the sea."}

A speaker counts at the start of a line alone. Space around a turn belongs to the markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from curation.conversation import AnyRow, Conversation, Message
from curation.formats.fields import Refused, filled, record_id
from curation.formats.format import Format, Makes

Speaker = Literal["user", "assistant", "system"]
_OIG: dict[str, Speaker] = {"<human>:": "user", "<bot>:": "assistant"}


class Transcript(Format):
    """A chat as one text with marks for who speaks."""

    reads: ClassVar[frozenset[str]] = frozenset({"text", "id"})
    telling: ClassVar[frozenset[str]] = frozenset()

    op: Literal["transcript"] = "transcript"
    speakers: dict[str, Speaker] = Field(default_factory=lambda: dict(_OIG), min_length=1)
    """What a turn begins with -> who speaks. Default: OIG's `<human>:` and `<bot>:`."""

    @field_validator("speakers")
    @classmethod
    def _written(cls, value: dict[str, str]) -> dict[str, str]:
        if any(not mark.strip() for mark in value):
            raise ValueError("an empty mark stands before every line")
        return value

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        said = record.get("text")
        return "`text` begins with <human>:" if isinstance(said, str) and said.lstrip().startswith("<human>:") else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        said = filled(record.get("text"), "no_text")
        marks = "|".join(map(re.escape, sorted(self.speakers, key=len, reverse=True)))
        before, *pieces = re.split(rf"(?m)^[ \t]*({marks})", said)
        if before.strip() or not pieces:
            raise Refused("not_a_transcript")
        turns = zip(pieces[::2], pieces[1::2], strict=True)
        messages = tuple(Message(self.speakers[who], what.strip()) for who, what in turns)
        return [Conversation(messages=messages, meta=record_id(record))]
