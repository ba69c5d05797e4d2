"""What lies before people so far, batch by batch, and what was learned after each.

A batch that was chosen stands in the log of labels before anybody sees it, and is never chosen again: a kill, another
strategy or a larger budget goes on from it. Batches belong to a step's name and its guidelines. What is held out is no
property of a batch: it is the first records in the order of a hash, so it is the same whatever was asked, and whoever
changes `held_out` only changes which labels are learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from curation.conversation import Conversation, digest, framed
from curation.labeling.acquisition.curve import Point, measure
from curation.labeling.acquisition.head import Array
from curation.labeling.acquisition.pool import Record, Verdicts
from curation.labeling.acquisition.strategies import Belief, by_hash
from curation.labeling.question import Item, Ranks

LOG = "batches"
"""The question under which the log keeps batches."""


class Log(Protocol):
    """Append-only lines that outlive every step; on the disk when `append` returns."""

    def append(self, answers: list[dict[str, Any]]) -> int: ...

    def read(self, question: str) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Batch:
    """Records that were handed out together."""

    strategy: str
    """By which they were chosen; `held_out` for the first, random ones."""
    items: tuple[str, ...]
    """In the order in which they were chosen."""


class Batches:
    """The batches of one asking, oldest first."""

    def __init__(self, log: Log, step: str, guidelines: str) -> None:
        self._log, self._step = log, step
        self._asking = digest("asking", step, guidelines)
        self.all = [
            Batch(line["strategy"], tuple(line["items"])) for line in log.read(LOG) if line["asking"] == self._asking
        ]

    def add(self, strategy: str, items: Sequence[str]) -> None:
        """One batch more; on the disk when this returns."""
        here = {"asking": self._asking, "step": self._step, "batch": len(self.all)}
        self._log.append([{"question": LOG, **here, "strategy": strategy, "items": list(items)}])
        self.all.append(Batch(strategy, tuple(items)))

    @property
    def items(self) -> set[str]:
        """All that were handed out."""
        return {item for batch in self.all for item in batch.items}


@dataclass
class Pool:
    """Items as records, their answers as chats whose features are taken."""

    records: dict[str, Record] = field(default_factory=dict)
    chats: list[Conversation] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    """Which prompt each chat answers."""

    @classmethod
    def of(cls, items: Mapping[str, Item]) -> Pool:
        """The records of some items; the same answer in two of them is one chat."""
        made = cls()
        places: dict[str, int] = {}
        for key, item in items.items():
            own = []
            for place in range(len(item.answers)):
                chat = Conversation(messages=item.chat(place), tools=item.tools)
                if chat.id not in places:
                    places[chat.id] = len(made.chats)
                    made.chats.append(chat)
                    made.prompts.append(digest("prompt", framed(chat.prompt)))
                own.append(places[chat.id])
            prompts = dict.fromkeys(made.prompts[place] for place in own)
            made.records[key] = Record(key, " ".join(prompts), tuple(own))
        return made

    @property
    def lengths(self) -> list[int]:
        """Characters of each chat's answer."""
        return [len(chat.messages[-1].content) for chat in self.chats]

    def held_out(self, count: int, seed: int) -> list[str]:
        """So many records, prompt by prompt in the order of a hash: all records of a prompt are held out together, but
        for the last one's. Of several kinds, those that compare answers to one prompt: that is what is measured.
        """
        within = {key: record for key, record in self.records.items() if len(record.prompts) == 1}
        by_prompt: dict[str, list[str]] = {}
        for key, record in (within or self.records).items():
            by_prompt.setdefault(record.prompt, []).append(key)
        order = (key for prompt in by_hash(list(by_prompt), seed) for key in sorted(by_prompt[prompt]))
        return [key for key, _ in zip(order, range(count), strict=False)]

    def verdicts(self, ranks: Mapping[str, Ranks], keys: Iterable[str]) -> Verdicts:
        """What was said of these records; a ranking says it of every pair. Records without a decision say nothing."""
        said = Verdicts()
        for key in sorted(set(keys) & ranks.keys()):
            place = dict(zip(self.records[key].answers, ranks[key], strict=True))
            for a, b in self.records[key].pairs:
                outcome = 0.5 if place[a] == place[b] else float(place[a] < place[b])
                said.add(a, b, outcome, self.records[key].prompt)
        return said


@dataclass(frozen=True)
class Learned:
    """What the labels of all batches so far come to."""

    curve: tuple[Point, ...]
    """A point for the start and for each finished batch."""
    belief: Belief


def learn(
    pool: Pool,
    points: Array,
    ranks: Mapping[str, Ranks],
    answers: Mapping[str, int],
    held_out: Iterable[str],
    batches: Sequence[Batch],
    seed: int,
) -> Learned:
    """Fits the head anew after each batch, as if time were run again: the curve is a function of what was said and in
    which batches it was asked.

    Args:
        points: (chats of the pool, features).
        ranks: Record -> what people say of it together.
        answers: Record -> how many answered.
    """
    test = set(held_out)
    in_batches = {item for batch in batches for item in batch.items}
    known = {key for key in answers if key not in in_batches}  # answered before there were batches
    shown, lengths = pool.verdicts(ranks, test), pool.lengths
    curve: list[Point] = []
    belief = Belief.of(points, Verdicts(), seed)
    for batch in batches:
        known |= set(batch.items)
        said = pool.verdicts(ranks, known - test)
        belief = Belief.of(points, said, seed)
        count = sum(answers.get(key, 0) for key in known | test)
        point = measure(points, belief, shown, lengths, answers=count, learned=len(said), seed=seed)
        if point and (not curve or count > curve[-1].answers):
            curve.append(point)
    return Learned(tuple(curve), belief)
