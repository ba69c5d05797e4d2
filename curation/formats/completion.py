"""Prompt and completion, TRL's `prompt`/`completion`: two texts, or two lists of messages.

{"prompt": "What color is the sky?", "completion": "It is blue."}
{"prompt": [{"role": "user", "content": "..."}], "completion": [{"role": "assistant", "content": "..."}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Conversation, Message
from curation.formats.fields import Refused, absent, filled, messages, record_id, text, tools, unpacked
from curation.formats.format import Format, Makes


class PromptCompletion(Format):
    """A prompt and its one answer."""

    reads: ClassVar[frozenset[str]] = frozenset({"prompt", "completion", "system", "tools", "id"})

    op: Literal["completion"] = "completion"

    @classmethod
    def recognizes(cls, record: Mapping[str, Any]) -> bool:
        return "prompt" in record and "completion" in record

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        return [
            Conversation(
                messages=(*prompted(record), *answered(record.get("completion"), "no_completion")),
                tools=tools(record.get("tools")),
                meta=record_id(record),
            )
        ]


def is_list(value: Any) -> bool:
    """Whether a column holds messages: a list, or a text that is one in JSON and not merely some JSON."""
    if not isinstance(value, str):
        return isinstance(value, Mapping | list)
    found = unpacked(value)
    return isinstance(found, list) and bool(found) and all(isinstance(m, dict) and m.keys() & _SPEAKS for m in found)


_SPEAKS = {"role", "from"}


def prompted(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns of the column `prompt`, behind the column `system` where there is one.

    Raises:
        Refused: `no_prompt`, or what is wrong with a turn.
    """
    asked = record.get("prompt")
    if absent(asked) or asked in ("", []):
        raise Refused("no_prompt")
    turns = messages(asked) if is_list(asked) else (Message("user", filled(asked, "no_prompt")),)
    system = record.get("system")
    if not absent(system) and system != "" and turns[0].role != "system":
        turns = (Message("system", filled(system, "no_text")), *turns)
    return turns


def answered(value: Any, reason: str) -> tuple[Message, ...]:
    """The turns of an answer; a text is one turn of the assistant.

    Raises:
        Refused: `reason` when nothing is there, `ends_on_<role>` when the assistant does not have the last word.
    """
    if absent(value) or value == []:
        raise Refused(reason)
    turns = messages(value) if is_list(value) else (Message("assistant", text(value, reason)),)
    if turns[-1].role != "assistant":
        raise Refused(f"ends_on_{turns[-1].role}")
    return turns
