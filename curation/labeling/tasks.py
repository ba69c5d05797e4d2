"""The question that people are asked here: which of two answers to a prompt is better?

A `Comparison` is the same item wherever it comes up: its id is the hash of the prompt and the two answers, whoever
wrote them. It is shown blind, with sides that a stable hash decides. What people say goes into an append-only log that
knows items by id, so an answer outlives the step, the form and the settings it was given under. The log has two kinds
of lines, both plain JSON:

    preference_items   a record as it was shown: its item, which answer stood left, the guidelines, and the texts
    preference         one answer: item, annotator, guidelines, verdict; a later line of the same person replaces it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from curation.conversation import Candidates, Message, Preference, digest, framed
from curation.labeling.answers import Distinct

QUESTION = "preference"
ITEMS = "preference_items"

Vote = Literal["first", "second", "tie"]
_VOTES: tuple[Vote, ...] = ("first", "second", "tie")
Verdict = Literal["first", "second", "tie", "skip", "withdrawn"]
"""Of the answers in the item's own order, never of sides. `skip`: seen, no opinion. `withdrawn`: take back."""


@dataclass(frozen=True)
class Comparison:
    """Two different answers to one prompt, in the order of their hashes."""

    prompt: tuple[Message, ...]
    first: Message
    second: Message

    @classmethod
    def of(cls, prompt: tuple[Message, ...], a: Message, b: Message) -> Comparison:
        """The item that two answers make, in whichever order they come."""
        first, second = sorted((a, b), key=lambda m: digest(m.framed()))
        return cls(prompt, first, second)

    @property
    def id(self) -> str:
        return digest("which is better", framed(self.prompt), self.first.framed(), self.second.framed())

    def shown(self, annotator: int, guidelines: str) -> Shown:
        """The record that this annotator (1, 2 ...) sees: neighbours see the two answers on opposite sides."""
        swapped = (int(digest("side", self.id)[:8], 16) + annotator) % 2 == 1
        code = "p" + digest("shown", self.id, str(annotator), guidelines)[:15]
        return Shown(code, self.id, "second" if swapped else "first", guidelines, self)


@dataclass(frozen=True)
class Shown:
    """An item as it lies before a person."""

    code: str
    """What a form calls it: a letter and hex digits, which no spreadsheet takes for a number."""
    item: str
    left: Literal["first", "second"]
    """Which answer stands left, as `A`."""
    guidelines: str
    """Digest of the guidelines, empty when there are none."""
    comparison: Comparison

    @property
    def sides(self) -> tuple[Message, Message]:
        """(A, B)."""
        c = self.comparison
        return (c.first, c.second) if self.left == "first" else (c.second, c.first)

    def verdict(self, side: Literal["a", "b", "tie", "skip"]) -> Verdict:
        """What a choice of sides means for the item."""
        if side in ("tie", "skip"):
            return side
        other: dict[str, Literal["first", "second"]] = {"first": "second", "second": "first"}
        return self.left if side == "a" else other[self.left]

    def line(self) -> dict[str, Any]:
        """As the log keeps it."""
        c = self.comparison
        texts = {"prompt": [m.to_dict() for m in c.prompt], "first": c.first.to_dict(), "second": c.second.to_dict()}
        here = {"record": self.code, "item": self.item, "left": self.left, "guidelines": self.guidelines}
        return {"question": ITEMS, **here, **texts}

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> Shown:
        prompt = tuple(map(Message.from_dict, line["prompt"]))
        comparison = Comparison(prompt, Message.from_dict(line["first"]), Message.from_dict(line["second"]))
        return cls(line["record"], line["item"], line["left"], line["guidelines"], comparison)


@dataclass(frozen=True)
class Given:
    """One answer of one person."""

    shown: Shown
    annotator: str
    verdict: Verdict
    note: str = ""
    form: str = ""
    """Where it was given: the form's name, or a server's."""


def new_lines(given: Iterable[Given], log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What has to be added to the log so that it holds these answers: nothing for those that it holds already.

    A record of one form has one author: when the name beside an answer was changed, the answer under the old name is
    withdrawn.
    """
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    turns: Counter[tuple[str, str]] = Counter()
    for line in log:
        last[line["form"], line["record"]] = line
        turns[line["form"], line["record"]] += 1
    lines: list[dict[str, Any]] = []

    def add(g: Given, annotator: str, verdict: Verdict, note: str) -> None:
        place = (g.form, g.shown.code)
        lines.append(
            {
                "question": QUESTION,
                "item": g.shown.item,
                "guidelines": g.shown.guidelines,
                "record": g.shown.code,
                "left": g.shown.left,
                "annotator": annotator,
                "verdict": verdict,
                "note": note,
                "form": g.form,
                "turn": turns[place],  # makes a line that repeats an earlier one a line of its own
            }
        )
        turns[place] += 1

    for g in given:
        before = last.get((g.form, g.shown.code))
        if before and before["annotator"] != g.annotator and before["verdict"] != "withdrawn":
            add(g, before["annotator"], "withdrawn", "")
        same = before and [before[k] for k in ("annotator", "verdict", "note")] == [g.annotator, g.verdict, g.note]
        if not same:
            add(g, g.annotator, g.verdict, g.note)
    return lines


def standing(log: Iterable[Mapping[str, Any]], guidelines: str) -> dict[str, dict[str, Verdict]]:
    """Item -> annotator -> what they say now, under these guidelines. Skips count, what was withdrawn does not."""
    found: dict[str, dict[str, Verdict]] = {}
    for line in log:
        if line["guidelines"] != guidelines:
            continue
        verdict: Verdict = line["verdict"]
        people = found.setdefault(line["item"], {})
        people.pop(line["annotator"], None)
        if verdict != "withdrawn":
            people[line["annotator"]] = verdict
    return {item: people for item, people in found.items() if people}


def decided(verdicts: Iterable[Verdict]) -> Vote | None:
    """What several people say together: the verdict with more votes than any other, else a tie.

    Skips are no votes; without a vote there is no decision.
    """
    votes = dict.fromkeys(_VOTES, 0)
    for verdict in verdicts:
        if verdict in _VOTES:
            votes[verdict] += 1
    most = max(votes.values())
    best = [word for word in _VOTES if votes[word] == most]
    return None if most == 0 else best[0] if len(best) == 1 else "tie"


@dataclass
class Asked:
    """What people are asked about a set of candidates."""

    rows: list[Distinct] = field(default_factory=list)
    items: dict[str, Comparison] = field(default_factory=dict)
    """Every pair of different answers of every row; the same pair in two rows is one item."""
    row_of: dict[str, int] = field(default_factory=dict)
    """Item -> the number of the (first) row that holds it."""

    @classmethod
    def about(cls, candidates: Iterable[Candidates]) -> Asked:
        asked = cls()
        for number, row in enumerate(candidates):
            distinct = Distinct.of(row)
            asked.rows.append(distinct)
            for a, b in combinations((answer.message() for answer in distinct.answers), 2):
                item = Comparison.of(row.prompt, a, b)
                if item.id not in asked.items:
                    asked.items[item.id] = item
                    asked.row_of[item.id] = number
        return asked

    def preferences(
        self, said: Mapping[str, Mapping[str, Verdict]]
    ) -> tuple[list[Preference], list[tuple[Candidates, str]]]:
        """What the answers come to, and the rows that came to nothing, each with its reason in one word.

        Args:
            said: Item -> person -> verdict.
        """
        made: dict[int, list[Preference]] = {}
        asked: set[int] = set()
        heard: set[int] = set()
        for key, item in self.items.items():
            number = self.row_of[key]
            asked.add(number)
            if key in said:
                heard.add(number)
                if found := self._preference(item, self.rows[number], said[key]):
                    made.setdefault(number, []).append(found)
        lost: list[tuple[Candidates, str]] = []
        for number, distinct in enumerate(self.rows):
            if number not in made:
                word = "skipped" if number in heard else "unanswered" if number in asked else "repeated_pair"
                lost.append((distinct.row, distinct.reason or word))
        return [pair for pairs in made.values() for pair in pairs], lost

    @staticmethod
    def _preference(item: Comparison, row: Distinct, said: Mapping[str, Verdict]) -> Preference | None:
        """None when everybody skipped the item."""
        verdict = decided(said.values())
        if verdict is None:
            return None
        better, worse, names = item.first, item.second, {"first": "chosen", "second": "rejected"}
        if verdict == "second":
            better, worse, names = worse, better, {"first": "rejected", "second": "chosen"}
        votes = Counter(names.get(v, v) for v in said.values())
        meta = {"votes": {name: votes[name] for name in sorted(votes)}}
        return row.pair(better, worse, "people", tie=verdict == "tie", meta=meta)
