"""Prompt and completion, TRL's `prompt`/`completion`: two texts, or two lists of messages.

    {"prompt": "What color is the sky?", "completion": "It is blue."}
    {"prompt": [{"role": "user", "content": "..."}], "completion": [{"role": "assistant", "content": "..."}]}

The answer may be called `response` (GPT4All), and the prompt `question` then (OpenOrca). Several answers in a list
of texts (HC3) give a row each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Conversation, Message
from curation.formats.fields import (
    SYSTEM,
    Refused,
    absent,
    filled,
    first_of,
    messages,
    record_id,
    text,
    tools,
    unpacked,
    with_system,
)
from curation.formats.format import Format, Makes

ANSWERS = ("completion", "response")
PROMPTS = ("prompt", "question")


class PromptCompletion(Format):
    """A prompt and its answer; of several answers in a list, a row for each."""

    revision: ClassVar[int] = 3
    reads: ClassVar[frozenset[str]] = frozenset({*PROMPTS, *ANSWERS, *SYSTEM, "tools", "id"})
    telling: ClassVar[frozenset[str]] = frozenset({"prompt", *ANSWERS})

    op: Literal["completion"] = "completion"

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        asked = next((name for name in PROMPTS if name in record), None)
        said = next((name for name in ANSWERS if name in record), None)
        return f"`{asked}` and `{said}`" if asked and said else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        answer = next((record[name] for name in ANSWERS if not absent(record.get(name))), None)
        texts = isinstance(answer, list) and bool(answer) and all(isinstance(one, str) for one in answer)
        answers: list[Any] = list(answer) if texts and isinstance(answer, list) else [answer]
        return [
            Conversation(
                messages=(*prompted(record, PROMPTS), *answered(one, "no_completion")),
                tools=tools(record.get("tools")),
                meta=record_id(record),
            )
            for one in answers
        ]


class Prompts(Format):
    """Prompts without an answer, TRL's prompt-only: to sample answers for."""

    reads: ClassVar[frozenset[str]] = frozenset({"prompt", *SYSTEM, "tools", "id"})
    telling: ClassVar[frozenset[str]] = frozenset({"prompt"})

    op: Literal["prompt"] = "prompt"

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        return "`prompt` stands alone" if isinstance(record.get("prompt"), str | list) else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        asked = prompted(record)
        if asked[-1].role == "assistant":
            raise Refused("ends_on_assistant")
        return [Conversation(messages=asked, tools=tools(record.get("tools")), meta=record_id(record))]


def is_list(value: Any) -> bool:
    """Whether a column holds messages: a list, or a text that is one in JSON and not merely some JSON."""
    if not isinstance(value, str):
        return isinstance(value, Mapping | list)
    found = unpacked(value)
    return isinstance(found, list) and bool(found) and all(isinstance(m, dict) and m.keys() & _SPEAKS for m in found)


_SPEAKS = {"role", "from"}


def prompted(record: Mapping[str, Any], names: Sequence[str] = ("prompt",)) -> tuple[Message, ...]:
    """The turns of the first of these columns that is there, behind the column `system` where there is one.

    Raises:
        Refused: `no_prompt`, or what is wrong with a turn.
    """
    asked = first_of(record, names)
    if asked is None:
        raise Refused("no_prompt")
    turns = messages(asked) if is_list(asked) else (Message("user", filled(asked, "no_prompt")),)
    return with_system(turns, record)


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
