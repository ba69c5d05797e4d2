"""Asking people in batches: what was said is learned from, the next batch is chosen by it, until enough is known.

One run goes as far as it can: it takes in what was said, and where a batch is answered it chooses the next one, hands
it out and waits again.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from curation.artifact import Policy, Ref
from curation.errors import UserError
from curation.labeling.acquisition import Strategy
from curation.settings import Settings
from rlhf.recipe.step import Room, Waiting

if TYPE_CHECKING:
    from curation.labeling.acquisition.batches import Learned
    from curation.labeling.rounds import Round
    from curation.labeling.tasks import Compared
    from rlhf.steps.compare import Compare

STOPPED = {
    "max_answers": "the {max_answers} answers of `max_answers` are there",
    "interval": "the interval of the held-out accuracy had stopped shrinking",
    "everything": "everything had been asked",
}
"""Why asking ended, for people."""
_LAST = "last-point.json"
"""For the message of a step that waits; nothing else reads it."""
IN_BATCHES = frozenset({"features", "batch", "held_out"})
"""Settings that mean nothing without `acquire`."""


class Acquires(Settings):
    """Settings of a step that asks people in batches."""

    acquire: Strategy | None = None
    """In which order people are asked. None: about everything at once. Else in batches, each chosen by what was said so
    far: `d_optimal` (the batch that tells a reward head most), `margin` (where it is least sure), `disagreement` (where
    heads that learned from other labels differ), `delta_ucb` and `thompson` (where one answer may be better by most),
    or `random`. It ends at `max_answers`, when everything was asked, or when the interval of the accuracy on held-out
    records is no narrower over three batches than over the three before; the page of the run shows the curve. Changing
    it loses no label."""
    features: Ref[Policy] | None = None
    """The step whose policy reads the answers: the head learns on its last layers' states at the last token. None: the
    `base` of the recipe. Only `random` does without, and then there is no curve and no end by it."""
    batch: int = Field(20, ge=1)
    """Records a batch."""
    held_out: int = Field(60, ge=1)
    """Records of the first batch. They are drawn at random, their answers count like all others and are part of the
    data, but the head that chooses never learns from them: its accuracy is measured on them."""
    seed: int = 42
    """Of what is drawn: the held-out records, `random`, `thompson`, and the heads that `disagreement` and the interval
    need."""

    def check_batches(self, min_submitted: int, max_answers: int | None) -> None:
        """What does not belong together.

        Raises:
            ValueError: there is such a thing.
        """
        if self.acquire is None:
            if idle := IN_BATCHES & self.model_fields_set:
                raise ValueError(f"`{min(idle)}` says nothing without `acquire`")
            return
        if self.features is None and self.acquire != "random":
            raise ValueError(f"`acquire: {self.acquire}` needs `features`, the step whose policy reads the answers")
        if max_answers is not None and self.held_out * min_submitted >= max_answers:
            what = f"`held_out: {self.held_out}` alone takes the {max_answers} answers of `max_answers`"
            raise ValueError(f"{what}; lower it, so that something is left to learn from")


@dataclass(frozen=True)
class InBatches:
    """What asking in batches came to, when it is over."""

    now: Round
    metrics: dict[str, Any]
    pictures: dict[str, Any]


def in_batches(step: Compare, asked: Compared, gold: Collection[str], room: Room) -> InBatches | Waiting:
    """Asks until people must answer, or until it is over.

    Args:
        gold: Items whose answer is known. They are handed out with the first batch, and nothing is learned from them.

    Raises:
        UserError: there are too few records to hold any out.
    """
    return _Asking(step, asked, gold, room).go()


class _Asking:
    def __init__(self, step: Compare, asked: Compared, gold: Collection[str], room: Room) -> None:
        from curation.labeling.acquisition.batches import Batches, Pool

        if room.labels is None or step.acquire is None:
            raise RuntimeError("people can only be asked in batches where there is a log and a strategy")
        self.step, self.asked, self.gold, self.room, self.log = step, asked, gold, room, room.labels
        self.strategy: Strategy = step.acquire
        self.guidelines = step.guidelines.digest if step.guidelines else ""
        self.batches = Batches(self.log, room.name, self.guidelines)
        self.pool = Pool.of({key: item for key, item in asked.items.items() if key not in gold})
        self.held_out = self.pool.held_out(step.held_out, step.seed)
        self.set_apart = {prompt for key in self.held_out for prompt in self.pool.records[key].prompts}
        self.points: Any = None

    def go(self) -> InBatches | Waiting:
        if not self.open():
            what = f"all {len(self.pool.records)} records would be held out, and none is left to choose from"
            raise UserError(what, hint="lower `held_out`, or remove `acquire` and ask about everything")
        self.add("held_out", [key for key in self.held_out if key not in self.batches.items])
        while True:
            now = self.look()
            if isinstance(now, Waiting):
                return now
            learned = self.learn(now)
            if stopped := self.stopped(now, learned):
                return InBatches(now, *self.figures(stopped, learned))
            self.add(self.strategy, self.next(now, learned))

    def open(self) -> list[str]:
        """Records that may be chosen some day: all but those of held-out prompts."""
        return [key for key, record in self.pool.records.items() if not self.set_apart.intersection(record.prompts)]

    def add(self, strategy: str, items: list[str]) -> None:
        if items:
            self.batches.add(strategy, items)

    def look(self) -> Round | Waiting:
        """One look at what people said about all that lies before them."""
        part = self.part()
        now = self.step.put_to_people(part, self.room)
        while self.part().items.keys() != part.items.keys():  # something was answered on a form of before
            part = self.part()
            now = self.step.put_to_people(part, self.room)
        if not isinstance(now, Waiting):
            return now
        number = len(self.batches.all)
        return Waiting(f"batch {number}: {now.message}{self.so_far()}", now.where)

    def so_far(self) -> str:
        """The accuracy that the last batch left behind, where there is one."""
        try:
            last = json.loads((self.room.work / _LAST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        interval = f"{last['accuracy']:.2f} [{last['low']:.2f}, {last['high']:.2f}]"
        return f"; held-out accuracy after {last['answers']:,}: {interval}"

    def part(self) -> Compared:
        """What was handed out, and what was answered before there were batches."""
        from curation.labeling.log import Book

        book = Book(self.log)
        there = self.batches.items.union(self.gold)
        for question in self.asked.questions:
            there |= book.standing(question, self.guidelines).keys()
        items = {key: item for key, item in self.asked.items.items() if key in there}
        later = frozenset(self.asked.items.keys() - items.keys())
        return dataclasses.replace(self.asked, items=items, later=later)

    def learn(self, now: Round) -> Learned | None:
        """What the labels say; None without features."""
        from curation.labeling.acquisition.batches import learn
        from curation.labeling.acquisition.pool import points_of
        from curation.labeling.consensus import agreed

        if self.step.features is None:
            return None
        if self.points is None:
            self.points = points_of(self.states(self.step.features), self.pool.prompts)
        together, _ = agreed(self.asked.rankings(now.said), self.step.consensus, self.asked.names())
        ranks = {key: own for key, own in together.items() if key in self.pool.records}
        answers = {key: len(people) for key, people in now.said.items() if key in self.pool.records}
        done = self.batches.all
        learned = learn(self.pool, self.points, ranks, answers, self.held_out, done, self.step.seed)
        if learned.curve:
            text = json.dumps(learned.curve[-1].to_dict())
            (self.room.work / _LAST).write_text(text, encoding="utf-8")
        return learned

    def states(self, features: Ref[Policy]) -> Any:
        """The features of all answers, from the cache where they are."""
        from curation.models import features_of, load_policy, release, set_threads, use_device

        if self.room.features is None:
            raise RuntimeError("features can only be taken where there is a cache for them")
        set_threads(self.room.profile.training.threads)
        use_device(self.room.profile.training.device)
        attention = self.room.profile.training.attn_implementation
        try:
            return features_of(
                self.pool.chats,
                features.digest,
                lambda: load_policy(features.folder, merge=True, attn_implementation=attention),
                self.room.features,
                progress=self.room.progress,
            )
        finally:
            release()

    def stopped(self, now: Round, learned: Learned | None) -> str:
        """Why asking is over, or nothing."""
        from curation.labeling.acquisition.curve import has_stopped

        if self.step.max_answers is not None and now.answered >= self.step.max_answers:
            return "max_answers"
        if all(key in now.said for key in self.open()):
            return "everything"
        return "interval" if learned and has_stopped(learned.curve) else ""

    def next(self, now: Round, learned: Learned | None) -> list[str]:
        """The next batch, no larger than the answers that are left."""
        from curation.labeling.acquisition.strategies import by_hash, choose

        count = self.step.batch
        if self.step.max_answers is not None:
            left = self.step.max_answers - now.answered
            count = min(count, math.ceil(left / self.step.min_submitted))
        there = self.batches.items | now.said.keys()
        fresh = [key for key in self.open() if key not in there]
        if learned is None:
            return by_hash(fresh, self.step.seed)[:count]
        records = [self.pool.records[key] for key in fresh]
        return choose(self.strategy, records, self.points, learned.belief, count, self.step.seed)

    def figures(self, stopped: str, learned: Learned | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """(metrics, pictures) for the manifest."""
        words = STOPPED[stopped].format(max_answers=self.step.max_answers)
        metrics: dict[str, Any] = {"batches": len(self.batches.all), "stopped": words}
        if learned is None:
            return metrics, {}
        points = [point.to_dict() for point in learned.curve]
        if points:
            last = points[-1]
            interval = {"mean": last["accuracy"], "low": last["low"], "high": last["high"]}
            metrics["held_out"] = {"accuracy": interval, "length_accuracy": last["length"]}
        return metrics, {"label_budget": {"strategy": self.strategy, "stopped": words, "points": points}}
