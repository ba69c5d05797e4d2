"""`evol_score`: DEITA's score of a whole chat, complexity times quality of each turn, added up (arXiv 2312.15685)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from curation.operator import Scorer
from curation.operators.complexity import Complexity
from curation.operators.quality import Quality

if TYPE_CHECKING:
    from curation.conversation import Conversation


class EvolScore(Scorer):
    """How complex the requests of a chat are times how well each is answered, added up over its turns.

    For chats of one turn it is `complexity * quality`; a long chat is worth the sum of its turns, no more.
    """

    chunked: ClassVar[bool] = True
    # Where two models rate, they take turns in memory, one load each for so many chats.
    chunk_size: ClassVar[int] = 256

    op: Literal["evol_score"] = "evol_score"
    complexity: Complexity
    """Who rates the requests, with the settings of `complexity`: `{policy: rater}`."""
    quality: Quality
    """Who rates the answers, with the settings of `quality`. The same model is loaded once."""

    @model_validator(mode="after")
    def _whole_chats(self) -> Self:
        if {self.complexity.turns, self.quality.turns} != {"sum"} or self.complexity.on or self.quality.on:
            raise ValueError("`evol_score` is made of each turn: take `turns` and `on` out of what it is made of")
        return self

    def prepare(self) -> None:
        self.quality.prepare()
        self.complexity.prepare()

    def score(self, conversations: list[Conversation]) -> list[float]:
        pairs = zip(self.complexity.numbers(conversations), self.quality.numbers(conversations), strict=True)
        return [sum(c * q for c, q in zip(*turns, strict=True)) for turns in pairs]
