"""Alpaca: `instruction`, an optional `input`, and `output`; the user's turn is Stanford Alpaca's prompt.

    {"instruction": "Add the numbers.", "input": "2 and 3", "output": "5"}
    {"instruction": "And 4?", "output": "9", "history": [["Add 2 and 3.", "5"]], "system": "Be brief."}

The two prompts are those of https://github.com/tatsu-lab/stanford_alpaca (`PROMPT_DICT` in train.py), byte for byte: a
model that was trained on one wording has to be asked in the same wording. Earlier turns (`history`, as LLaMA-Factory
writes them) are asked in it too. Dolly's `context` and `response` are other names of `input` and `output`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Conversation, Message
from curation.formats.fields import SYSTEM, Refused, absent, filled, first_of, record_id, text, unpacked, with_system
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

_INPUTS = ("input", "context")
_OUTPUTS = ("output", "response")


def prompt(instruction: str, given: str = "") -> str:
    """What Stanford Alpaca asks its model; an empty `given` means that there is no input."""
    return (
        WITH_INPUT.format(instruction=instruction, input=given)
        if given
        else WITHOUT_INPUT.format(instruction=instruction)
    )


class Alpaca(Format):
    """Instructions with their answers, asked in Alpaca's words or plainly."""

    revision: ClassVar[int] = 2
    reads: ClassVar[frozenset[str]] = frozenset({"instruction", *_INPUTS, *_OUTPUTS, *SYSTEM, "history", "id"})
    telling: ClassVar[frozenset[str]] = frozenset({"instruction"})

    op: Literal["alpaca"] = "alpaca"
    wording: Literal["stanford", "plain"] = "stanford"
    """How the user asks: in Stanford Alpaca's prompt, to the byte, or in the instruction alone, with the input on the
    next line (for models with a chat template of their own)."""

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        said = next((name for name in _OUTPUTS if name in record), None)
        return f"`instruction` and `{said}`" if "instruction" in record and said else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        instruction = filled(record.get("instruction"), "no_instruction")
        given = first_of(record, _INPUTS)
        asked = self._asked(instruction, "" if given is None else text(given, "no_input"))
        answer = next((record[name] for name in _OUTPUTS if not absent(record.get(name))), None)
        turns = (Message("user", asked), Message("assistant", text(answer, "no_output")))
        said = with_system((*self._history(record.get("history")), *turns), record)
        return [Conversation(messages=said, meta=record_id(record))]

    def _asked(self, instruction: str, given: str = "") -> str:
        if self.wording == "stanford":
            return prompt(instruction, given)
        return f"{instruction}\n{given}" if given else instruction

    def _history(self, value: Any) -> Iterator[Message]:
        """The turns before the last two: a list of [question, answer].

        Raises:
            Refused: `bad_history` when it is something else.
        """
        found = unpacked(value)
        if absent(found) or found == "":
            return
        if not isinstance(found, list):
            raise Refused("bad_history")
        for pair in found:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise Refused("bad_history")
            yield Message("user", self._asked(text(pair[0], "bad_history")))
            yield Message("assistant", text(pair[1], "bad_history"))
