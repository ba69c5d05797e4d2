"""Chats and operators to run engines on, in a module that worker processes can import too."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import Conversation, Message, Source
from curation.operator import Filter, Mapper, Scorer
from curation.pipeline import Curated


def chats(count: int) -> list[Conversation]:
    """Short chats: some without an answer, some that split in two, some equal, some with a score."""
    rng = random.Random(0)
    return [
        Conversation(
            messages=(
                Message("user", f"question {rng.randrange(count // 2)} "),
                *(
                    [Message("assistant", "word " * rng.randrange(9) + "|" * rng.randrange(2) + " end")]
                    if i % 11
                    else []
                ),
            ),
            source=Source(digest=f"d{i % 3}", index=i),
            meta={"tree": rng.randrange(count)} if rng.random() < 0.3 else {},
            scores={"given": float(i)} if i % 2 else {},
        )
        for i in range(count)
    ]


class Halves(Mapper):
    op: Literal["halves"] = "halves"

    def map(self, row: Conversation) -> Sequence[Conversation]:
        parts = row.reply.split("|")
        return [row.with_(messages=(*row.prompt, Message("assistant", p))) for p in parts] if len(parts) > 1 else [row]


class Model(Scorer):
    """Its number depends on who shares the chunk, as that of a padded batch does in the last bits."""

    op: Literal["model"] = "model"
    chunked: ClassVar[bool] = True
    chunk_size: ClassVar[int] = 4
    calls: ClassVar[list[list[str]]] = []
    prepared: ClassVar[list[int]] = []

    def prepare(self) -> None:
        self.prepared.append(1)

    def score(self, conversations: list[Conversation]) -> list[float]:
        self.calls.append([c.id for c in conversations])
        longest = max(len(c.reply) for c in conversations)
        return [len(c.reply) + longest / 1000 for c in conversations]


class Prepares(Filter):
    """Works only in a process where it was prepared, and names the word that it was prepared with."""

    op: Literal["prepares"] = "prepares"
    word: str = "end"
    ready: ClassVar[dict[str, str]] = {}

    def prepare(self) -> None:
        self.ready["word"] = self.word

    def reason(self, row: Any) -> str | None:
        return None if self.ready["word"] in row.reply else "no_word"


class Refuses(Filter):
    """Breaks the rule that a reason is one word."""

    op: Literal["refuses"] = "refuses"

    def reason(self, row: Any) -> str | None:
        return "Not A Word"


def outcome(curated: Curated) -> tuple[Any, ...]:
    """All that a run came to, without the times."""
    for entry in curated.ledger.entries:
        entry.seconds = 0
    return curated.kept.frame(), curated.dropped.frame(), curated.ledger


class Slow(Mapper):
    """Takes its time with each batch."""

    op: Literal["slow"] = "slow"

    def map_frame(self, frame: Any) -> Any:
        time.sleep(0.1)
        return frame
