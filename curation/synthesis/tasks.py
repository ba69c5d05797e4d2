"""Tasks as Self-Instruct and Alpaca write them: a numbered list of instruction, input and output.

    ###
    4. Instruction: Give three words that rhyme with the one below.
    4. Input:
    light
    4. Output:
    night, bright, sight

A model is shown a few tasks in this form and goes on with the list. `read_seeds` reads the tasks to start from, `ask`
writes the question, `parse` takes the answer apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import UserError

NO_INPUT = "<noinput>"
"""What stands for an input where a task needs none."""
_SHAPE = 'a seed task is {"instruction": "...", "input": "", "output": "..."}, one a line or in one JSON list'
_FIELDS = ("Instruction", "Input", "Output")


@dataclass(frozen=True, slots=True)
class Task:
    """One task."""

    instruction: str
    given: str = ""
    """Its input; empty for none."""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer that is no task, and why in one word: `cut_off`, `not_a_task`."""

    reason: str
    text: str


def read_seeds(path: Path) -> list[Task]:
    """The tasks of a file: JSON lines or one JSON array of `instruction`, `input`, `output`.

    Self-Instruct's own form, with `instances` in the place of the last two, is read by its first instance.

    Raises:
        UserError: a record is no task; it is named.
    """
    tasks = []
    for place, record in _records(path):
        found = _task(record)
        if isinstance(found, str):
            raise UserError(f"{place} of the seed tasks {found}", where=path.name, hint=_SHAPE)
        tasks.append(found)
    if not tasks:
        raise UserError("the file has no seed task", where=path.name, hint=_SHAPE)
    return tasks


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"the seed tasks are not UTF-8: {error.reason} at byte {error.start}",
            where=path.name,
            hint="save the file as UTF-8",
        ) from None
    if text.lstrip().startswith("["):
        try:
            yield from ((f"record {n}", record) for n, record in enumerate(json.loads(text), 1))
        except ValueError as error:
            raise UserError(f"the seed tasks are no JSON: {error}", where=path.name, hint=_SHAPE) from None
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"line {number} of the seed tasks is no JSON: {error}", where=path.name, hint=_SHAPE
                ) from None


def _task(record: Any) -> Task | str:
    """The task, or what is wrong with the record."""
    if not isinstance(record, dict):
        return "is no object"
    own = record
    if isinstance(record.get("instances"), list) and record["instances"]:
        own = record["instances"][0] if isinstance(record["instances"][0], dict) else {}
    texts = [record.get("instruction"), own.get("input") or "", own.get("output")]
    for name, text in zip(("instruction", "input", "output"), texts, strict=True):
        if not isinstance(text, str) or (not text.strip() and name != "input"):
            return f"has no `{name}`"
    return Task(*map(str, texts))


def ask(shown: Sequence[Task], length: int, language: str | None = None) -> str:
    """The question: these tasks as the beginning of a list of `length`, for the model to go on with."""
    number = len(shown) + 1
    tongue = f"\n- Everything is written in {language}." if language else ""
    tasks = "".join(_listed(i, task) for i, task in enumerate(shown, 1))
    return f"{_REQUEST.format(length=length, number=number, language=tongue)}\n{tasks}###\n{number}. Instruction:"


def _listed(number: int, task: Task) -> str:
    instruction = " ".join(task.instruction.split()).rstrip(":")
    given = task.given if task.given.strip() else NO_INPUT
    return f"###\n{number}. Instruction: {instruction}\n{number}. Input:\n{given}\n{number}. Output:\n{task.output}\n"


_REQUEST = """\
Below begins a list of {length} tasks that people might set a language model, each with an input where it needs one, \
and with an answer. Continue the list from number {number}, in exactly the same form, up to number {length}.

What the list should be like:
- No two tasks begin with the same verb, and some are questions, some are orders.
- Many kinds of work are among them: to explain, sort, rewrite, plan, compare, correct, invent, reckon.
- A model that only reads and writes text can do each of them: nothing has to be seen, heard, opened or done elsewhere.
- An instruction is one or two sentences.
- An input is true to life, gives what the instruction speaks of, and has at most a hundred words. A task that needs \
none says <noinput> there.
- An answer does what its instruction asks, completely and without a word about itself.{language}
"""


def parse(text: str, first: int, finished: bool = True, *, exact: bool = False) -> list[Task | Piece]:
    """What an answer holds, in its order.

    Args:
        text: The answer; it goes on after `<first>. Instruction:`, and may repeat that.
        finished: False for an answer that was cut off: its last piece is then no whole task.
        exact: Read it as Alpaca did: `###` parts tasks wherever it stands, and numbers must count up from `first`. Else
            a line of `###` alone parts them, so that an output may hold a heading, and any one number will do.
    """
    head = re.match(r"\s*(?:###\s*)?(?=\d+\.\s*Instruction:)", text)
    whole = text[head.end() :] if head else f"{first}. Instruction:{text}"
    pieces = re.split("###", whole) if exact else re.split(r"^[ \t]*###[ \t]*$", whole, flags=re.MULTILINE)
    found: list[Task | Piece] = []
    for place, piece in enumerate(pieces):
        if place == len(pieces) - 1 and not finished:
            found.append(Piece("cut_off", piece))
            continue
        if not piece.strip():
            continue
        number = str(first + place) if exact else r"\d+"
        parts = re.split(rf"({number})\.\s+({'|'.join(_FIELDS)}):", piece)
        numbers, names, texts = parts[1::3], parts[2::3], parts[3::3]
        if len(parts) != 10 or len(set(numbers)) > 1 or (not exact and tuple(names) != _FIELDS):
            found.append(Piece("not_a_task", piece))
            continue
        instruction, given, output = (part.strip() for part in texts)
        found.append(Task(instruction, "" if given.lower() == NO_INPUT else given, output))
    return found
