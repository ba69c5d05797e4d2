"""`perplexity`: how surprised a language model is by the last answer, given what was said before it.

exp of the mean negative log-likelihood over the answer's tokens (Jelinek et al. 1977): 1 when every token was certain,
the size of the vocabulary when all were alike. An answer that was cut off is not blamed for its missing end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from curation.artifact import Policy, Ref
from curation.errors import UserError
from curation.models.pointer import NamesModel, OutsideModel
from curation.models.settings import DType
from curation.operator import Scorer

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models import Loaded


class Perplexity(NamesModel, Scorer):
    """Perplexity of the last answer under a model; low is expected, high is odd."""

    chunked: ClassVar[bool] = True

    op: Literal["perplexity"] = "perplexity"
    policy: Ref[Policy] | None = None
    """The step that made the model; this or `model_name_or_path`."""
    model_name_or_path: OutsideModel | None = None
    """A model from outside: a folder, a .gguf file, or a name on the Hub."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub; a full commit sha is looked up nowhere."""
    dtype: DType = "float32"
    """How finely the weights are kept."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.policy is None) == (self.model_name_or_path is None):
            raise ValueError("`perplexity` needs a model: `policy` (a step) or `model_name_or_path`, one of them")
        return self

    def prepare(self) -> None:
        self._model()

    def score(self, conversations: list[Conversation]) -> list[float]:
        from curation.models import Refused, answer_ids, log_probs

        loaded = self._model()
        rows = []
        for conversation in conversations:
            try:
                rows.append(answer_ids(loaded, ends_on_answer(conversation, self.op)))
            except Refused as refusal:
                raise unreadable(self.op, conversation, refusal.why) from refusal
        return [math.exp(-s.log_prob / s.tokens) if s.tokens else 1.0 for s in log_probs(loaded, rows)]

    def _model(self) -> Loaded:
        from curation.models import load_model
        from curation.models.opened import opened

        source: Any = self.policy or self.model_name_or_path
        return opened(
            ("policy", source.identity(), self.dtype), lambda: load_model(source, dtype=self.dtype, merge=True)
        )


def ends_on_answer(conversation: Conversation, op: str) -> Conversation:
    """The conversation, if it ends on an assistant turn.

    Raises:
        UserError: it does not, so there is no answer to score.
    """
    if not conversation.messages or conversation.messages[-1].role != "assistant":
        raise UserError(
            f"conversation {conversation.id} does not end on an answer, so `{op}` has nothing to score",
            hint="put `roles` before it",
        )
    return conversation


def unreadable(op: str, conversation: Conversation, why: str) -> UserError:
    """The error for a chat that cannot be written in a model's template."""
    return UserError(
        f"conversation {conversation.id} cannot be scored by `{op}`: {why}",
        hint="clean or drop such rows with an operator before this one",
    )
