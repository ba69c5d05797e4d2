"""The reward of an answer: a weighted sum of scorers, whatever the method that learns from it.

A scorer sees the whole chat, the answer as its last turn, with what came with the prompt in `meta` (a reference answer,
say) and `meta["finished"]`: whether the answer ended by itself. So a rule, a reward model of another tokenizer and a
judge behind an endpoint are rewards by the same line of a recipe. Cheap to import: `rlhf check` reads the settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import model_validator

from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.models.opened import keep_open
from curation.operator import SCORER_FIELD, Scorer
from curation.settings import ONE_OR_MORE, Settings

Score = Callable[[list[Conversation]], list[float]]


class Rewarded(Settings):
    """What a policy is rewarded for."""

    rewards: Annotated[list[Annotated[Scorer, SCORER_FIELD]], ONE_OR_MORE]
    """What scores an answer, more being better: `brevity`, `{reward_model: {reward: STEP}}`, any scorer. Several are
    added up."""
    reward_weights: list[float] | None = None
    """Weight of each of several rewards, in their order; None: 1 each."""

    @model_validator(mode="after")
    def _rewards_fit(self) -> Self:
        if not self.rewards:
            raise ValueError("`rewards` is empty: name at least one scorer")
        if self.reward_weights is not None and len(self.reward_weights) != len(self.rewards):
            raise ValueError(f"`reward_weights` has {len(self.reward_weights)} numbers for {len(self.rewards)} rewards")
        seen: set[str] = set()
        for scorer in self.rewards:
            if scorer.on:
                raise ValueError(f"`{scorer.op}` scores the whole chat as a reward; remove its `on`")
            if scorer.column in seen:
                raise ValueError(f"two rewards are called `{scorer.column}`; give one of them another name by `as`")
            seen.add(scorer.column)
        return self


@dataclass(frozen=True)
class Scored:
    """The rewards of some answers, in their order."""

    total: list[float]
    """The weighted sums."""
    parts: dict[str, list[float]]
    """Column of a scorer -> what it gave, without its weight."""


class Rewards:
    """Scores answers by the scorers of a recipe.

    Args:
        scorers: Bound to their models and files.
        weights: One a scorer; None: 1 each.
        instead: Column of a scorer -> another way to the same numbers: a reward model that stands on the base which is
            in memory already.
    """

    def __init__(
        self, scorers: Sequence[Scorer], weights: Sequence[float] | None = None, instead: Mapping[str, Score] = {}
    ) -> None:
        self.scorers = list(scorers)
        self.weights = list(weights) if weights is not None else [1.0] * len(self.scorers)
        self._score: dict[str, Score] = {s.column: instead.get(s.column, s.score) for s in self.scorers}
        own = [s for s in self.scorers if s.column not in instead]
        keep_open(max(1, sum(s.chunked for s in own)))
        for scorer in own:
            scorer.prepare()

    def __call__(self, answers: list[Conversation]) -> Scored:
        """The rewards of these chats' last answers.

        Raises:
            UserError: a scorer gave no finite number.
        """
        parts: dict[str, list[float]] = {}
        for name, score in self._score.items():
            parts[name] = [float(x) for x in score(answers)]
            for chat, value in zip(answers, parts[name], strict=True):
                if not math.isfinite(value):
                    raise UserError(
                        f"the reward `{name}` gave {value} for the answer {chat.reply[:80]!r}",
                        hint="a reward is a finite number for every answer, an empty one too",
                    )
        rows = zip(*parts.values(), strict=True)
        total = [math.fsum(w * x for w, x in zip(self.weights, row, strict=True)) for row in rows]
        return Scored(total, parts)


def answered(prompt: Conversation, answer: str, *, finished: bool) -> Conversation:
    """The chat with this answer in the place of its last one, as scorers see it."""
    messages = (*prompt.prompt, Message("assistant", answer))
    return prompt.with_(messages=messages, meta={**prompt.meta, "finished": finished})
