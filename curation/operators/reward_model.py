"""`reward_model`: how good a trained reward model finds the last answer. Rewards of one model compare, their size does
not.

The number is read at the answer's end token, exactly as in training (`rlhf.training.reward`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from curation.artifact import Ref, RewardModel
from curation.models.settings import DType
from curation.operator import Scorer
from curation.operators.by_policy import ends_on_answer, unreadable

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models import LoadedReward


class RewardScore(Scorer):
    """The reward that a model trained by a `reward` step gives the last answer; higher is better."""

    chunked: ClassVar[bool] = True

    op: Literal["reward_model"] = "reward_model"
    reward: Ref[RewardModel]
    """The step that made the reward model."""
    dtype: DType = "float32"
    """How finely the weights are kept; the head is always computed in float32."""

    def prepare(self) -> None:
        self._model()

    def score(self, conversations: list[Conversation]) -> list[float]:
        from curation.models import Refused, chat_ids, rewards_of

        loaded = self._model()
        rows = []
        for conversation in conversations:
            try:
                rows.append(chat_ids(loaded, ends_on_answer(conversation, self.op)))
            except Refused as refusal:
                raise unreadable(self.op, conversation, refusal.why) from refusal
        return rewards_of(loaded, rows)

    def _model(self) -> LoadedReward:
        from curation.models import load_reward
        from curation.models.opened import opened

        key = ("reward", self.reward.identity(), self.dtype)
        return opened(key, lambda: load_reward(self.reward.folder, dtype=self.dtype))
