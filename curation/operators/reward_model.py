"""`reward_model`: how good a trained reward model finds the last answer. Rewards of one model compare, their size does
not.

Of a model that a `reward` step made the number is read at the answer's end token, exactly as in training
(`rlhf.training.reward`). A model from outside may be any sequence classifier: it reads the chat as its own template
writes it, or what was said before and the answer as two texts where it has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from curation.artifact import Ref, RewardModel
from curation.models.pointer import NamesModel, OutsideModel
from curation.models.settings import DType
from curation.operator import Scorer
from curation.operators.by_policy import ends_on_answer, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from curation.conversation import Conversation


class RewardScore(NamesModel, Scorer):
    """The reward that a model gives the last answer; higher is better.

    The model is one that a `reward` step trained, or any sequence classifier from outside.
    """

    chunked: ClassVar[bool] = True

    op: Literal["reward_model"] = "reward_model"
    reward: Ref[RewardModel] | None = None
    """The step that made the reward model; this or `model_name_or_path`."""
    model_name_or_path: OutsideModel | None = None
    """A sequence classifier from outside: a folder, or a name on the Hub."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub; a full commit sha is looked up nowhere."""
    label: str | None = None
    """Of a classifier with several classes: the name or number of the one whose probability is the score. None: the
    model has one output, which is the score as it is."""
    dtype: DType = "float32"
    """How finely the weights are kept; the head is always computed in float32."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.reward is None) == (self.model_name_or_path is None):
            raise ValueError("`reward_model` needs a model: `reward` (a step) or `model_name_or_path`, one of them")
        if self.reward is not None and self.label is not None:
            raise ValueError("a reward model that a step made has one output, so it takes no `label`")
        return self

    def prepare(self) -> None:
        self._model()

    def score(self, conversations: list[Conversation]) -> list[float]:
        from curation.models import Refused

        loaded = self._model()
        encode, values = _read(loaded)
        rows = []
        for conversation in conversations:
            try:
                rows.append(encode(loaded, ends_on_answer(conversation, self.op)))
            except Refused as refusal:
                raise unreadable(self.op, conversation, refusal.why) from refusal
        return values(loaded, rows)

    def _model(self) -> Any:
        from curation.models.opened import opened

        if self.reward is not None:
            return opened(("reward", self.reward.identity(), self.dtype), self._trained)
        source: Any = self.model_name_or_path
        return opened(("classifier", source.identity(), self.label, self.dtype), self._outside)

    def _trained(self) -> Any:
        from curation.models import load_reward

        return load_reward(self.reward.folder, dtype=self.dtype)  # type: ignore[union-attr]

    def _outside(self) -> Any:
        from curation.models.classifying import load_classifier

        return load_classifier(self.model_name_or_path.local(), label=self.label, dtype=self.dtype)  # type: ignore[union-attr]


def _read(loaded: Any) -> tuple[Callable[[Any, Conversation], Any], Callable[[Any, list[Any]], list[float]]]:
    """How a chat is shown to such a model, and how its numbers are read."""
    from curation.models import LoadedReward, chat_ids, rewards_of
    from curation.models.classifying import LoadedClassifier, values_of

    return (chat_ids, rewards_of) if isinstance(loaded, LoadedReward) else (LoadedClassifier.ids, values_of)
