"""What people can be asked about an item, and an item as it lies before a person.

An `Item` is the same wherever it comes up: its id is the hash of the question, the prompt and the answers, whoever
wrote them. A `Question` is a way of asking: it knows the id, what is shown and in which order, the columns of a form,
the fields and questions of an Argilla data set, how what comes back from either becomes a verdict, and what the log
keeps. There are five: `pair`, `across`, `ranking`, `rating` and `review`, a file each.

Nothing that is shown names a model, and nothing is ordered by what an answer is like: the order comes from a hash, and
stands in the log beside every answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from curation.conversation import Message, digest

Ranks = tuple[int, ...]
"""A rank for each answer of an item, in the item's own order: 1 is best, equal ranks are a tie."""
Verdict = str | Ranks | Mapping[str, Any]
"""What one person says of an item, in terms of the item and never of sides. Each question says which ones it has;
`skip` (seen, no opinion) and `withdrawn` (taken back) are verdicts of all."""
SKIP = "skip"
WITHDRAWN = "withdrawn"


class Misread(Exception):
    """What a person wrote cannot be understood. The text says what it is, and what to write instead."""


class Question(ABC):
    """A way of asking. Subclasses are frozen dataclasses: equal settings, equal question."""

    name: ClassVar[str]
    """In the log: answers are lines of `<name>`, what was shown of `<name>_items`."""
    letter: ClassVar[str]
    """First letter of a record's code, so that no spreadsheet takes it for a number."""

    @property
    @abstractmethod
    def title(self) -> str:
        """One line that says what to do."""

    @abstractmethod
    def item_id(self, item: Item) -> str:
        """The hash of what is asked about."""

    def under(self, guidelines: str) -> str:
        """Digest of all that an answer was given under: the guidelines, and what else the question says to people.

        Args:
            guidelines: Their digest, empty when there are none.
        """
        return guidelines

    def board(self) -> tuple[str, ...]:
        """What makes a data set of its own in Argilla, beside the name and what answers are given under."""
        return ()

    def order(self, item: Item, annotator: int) -> tuple[int, ...]:
        """In which order this annotator (0, 1, 2 ...) sees the answers: places in the item."""
        return tuple(range(len(item.answers)))

    # ------------------------------------------------------------------ shown

    @property
    @abstractmethod
    def fields(self) -> Mapping[str, str]:
        """Name -> title of each text that is shown, in order."""

    @abstractmethod
    def shows(self, shown: Shown) -> Mapping[str, tuple[Message, ...]]:
        """Field -> the messages in it."""

    # ------------------------------------------------------------------ forms

    @property
    @abstractmethod
    def filled(self) -> tuple[str, ...]:
        """Columns that people write in."""

    @abstractmethod
    def parse(self, shown: Shown, cells: Mapping[str, str]) -> Verdict | None:
        """The verdict in the filled cells of a row; None when nothing is written there.

        Raises:
            Misread: it cannot be understood.
        """

    # ---------------------------------------------------------------- Argilla

    @property
    @abstractmethod
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        """As Argilla's REST takes them: `{name, title, required, settings}`."""

    @abstractmethod
    def read(self, shown: Shown, values: Mapping[str, Any]) -> Verdict | None:
        """The verdict in a submitted response; None when it holds none.

        Args:
            values: Question's name -> value.

        Raises:
            Misread: it cannot be understood.
        """

    def prefilled(self, shown: Shown) -> Mapping[str, Any]:
        """Question's name -> value that stands there to be worked on. Never a verdict."""
        return {}

    def suggestion(self, shown: Shown, verdict: Verdict) -> Mapping[str, Any]:
        """Question's name -> value that says this verdict; the reverse of `read`."""
        return {}

    # -------------------------------------------------------------------- log

    def line(self, shown: Shown) -> dict[str, Any]:
        """What the log keeps of an item as it was shown, beside record, item and guidelines."""
        item = shown.item
        kept = {"prompt": [m.to_dict() for m in item.prompt], "answers": [m.to_dict() for m in item.answers]}
        return {"order": list(shown.order), **({"tools": item.tools} if item.tools else {}), **kept}

    @classmethod
    @abstractmethod
    def of_line(cls, line: Mapping[str, Any]) -> Question:
        """The question that a line of the log was shown under."""

    @classmethod
    def shown_of(cls, line: Mapping[str, Any]) -> Shown:
        """The reverse of `line`."""
        prompt, answers = (tuple(map(Message.from_dict, line[key])) for key in ("prompt", "answers"))
        item = Item(cls.of_line(line), prompt, answers, line.get("tools"))
        return Shown(line["record"], item, tuple(line["order"]), line["guidelines"])

    def said(self, shown: Shown) -> dict[str, Any]:
        """What a line of an answer keeps of how the item was shown."""
        return {"order": list(shown.order)} if len(shown.order) > 1 else {}


@dataclass(frozen=True)
class Item:
    """A prompt and the answers to it that people are asked about."""

    question: Question
    prompt: tuple[Message, ...]
    answers: tuple[Message, ...]
    """In the item's own order, which says nothing of them."""
    tools: str | None = None
    prompts: tuple[tuple[Message, ...], ...] = ()
    """What each answer is to, where that is not the same for all; `prompt` is empty then."""

    def chat(self, place: int) -> tuple[Message, ...]:
        """The answer at this place, behind what it answers."""
        return (*(self.prompts[place] if self.prompts else self.prompt), self.answers[place])

    @cached_property
    def id(self) -> str:
        return self.question.item_id(self)

    def shown(self, annotator: int, guidelines: str) -> Shown:
        """The record that this annotator sees under guidelines of this digest."""
        under = self.question.under(guidelines)
        code = self.question.letter + digest("shown", self.id, str(annotator), under)[:15]
        return Shown(code, self, self.question.order(self, annotator), under)


@dataclass(frozen=True)
class Shown:
    """An item as it lies before a person."""

    code: str
    """What a form or a server calls it: a letter and hex digits."""
    item: Item
    order: tuple[int, ...]
    """Place in the item of the answer that stands first, second ..."""
    guidelines: str
    """Digest of all that it is asked under; see `Question.under`."""

    @property
    def question(self) -> Question:
        return self.item.question

    @property
    def answers(self) -> tuple[Message, ...]:
        """The answers as they stand, the first is `A`."""
        return tuple(self.item.answers[place] for place in self.order)

    def line(self) -> dict[str, Any]:
        """As the log keeps it."""
        here = {"record": self.code, "item": self.item.id, "guidelines": self.guidelines}
        return {"question": f"{self.question.name}_items", **here, **self.question.line(self)}


def by_hash(answers: Sequence[Message]) -> tuple[Message, ...]:
    """The answers in an order that depends on their content alone."""
    return tuple(sorted(answers, key=lambda m: digest(m.framed())))


LETTERS = "abcde"
"""What answers are called on forms and servers."""


def answer_fields(count: int) -> dict[str, str]:
    """The prompt and so many answers, by field."""
    return {"prompt": "Prompt"} | {f"answer_{x}": f"Answer {x.upper()}" for x in LETTERS[:count]}


def answers_shown(shown: Shown) -> dict[str, tuple[Message, ...]]:
    """The prompt and each answer in the field where it stands."""
    answers = {f"answer_{x}": (m,) for x, m in zip(LETTERS, shown.answers, strict=False)}
    return {"prompt": shown.item.prompt, **answers}


def label(name: str, title: str, options: Sequence[tuple[str, str]], *, required: bool = True) -> dict[str, Any]:
    """A question of Argilla's that is answered with one of the (value, text) pairs."""
    listed = [{"value": value, "text": text, "description": None} for value, text in options]
    settings = {
        "type": "label_selection",
        "options": listed,
        "visible_options": len(listed) if len(listed) > 2 else None,
    }
    return {"name": name, "title": title, "required": required, "settings": settings}
