"""Alpaca: `instruction`, an optional `input`, and `output`; the user's turn is Stanford Alpaca's prompt.

The two prompts are those of https://github.com/tatsu-lab/stanford_alpaca (`PROMPT_DICT` in train.py), byte for byte:
there is nothing to set, because a model that was trained on one wording has to be asked in the same wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Conversation, Message
from curation.formats.fields import absent, filled, record_id, text
from curation.formats.format import Format, Makes

WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)


def prompt(instruction: str, given: str = "") -> str:
    """What Stanford Alpaca asks its model; an empty `given` means that there is no input."""
    return (
        WITH_INPUT.format(instruction=instruction, input=given)
        if given
        else WITHOUT_INPUT.format(instruction=instruction)
    )


class Alpaca(Format):
    """Instructions with their answers, asked in Alpaca's words."""

    reads: ClassVar[frozenset[str]] = frozenset({"instruction", "input", "output", "id"})

    op: Literal["alpaca"] = "alpaca"

    @classmethod
    def recognizes(cls, record: Mapping[str, Any]) -> bool:
        return "instruction" in record and "output" in record

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        instruction = filled(record.get("instruction"), "no_instruction")
        given = record.get("input")
        asked = prompt(instruction, "" if absent(given) else text(given, "no_input"))
        answer = text(record.get("output"), "no_output")
        return [Conversation(messages=(Message("user", asked), Message("assistant", answer)), meta=record_id(record))]
