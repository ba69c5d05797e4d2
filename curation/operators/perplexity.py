"""`perplexity`: how surprised a language model is by the last answer, given what was said before it.

exp of the mean negative log-likelihood over the answer's tokens (Jelinek et al. 1977): 1 when every token was certain,
the size of the vocabulary when all were alike. An answer that was cut off is not blamed for its missing end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from curation.operators.by_policy import ByPolicy, ends_on_answer, unreadable

if TYPE_CHECKING:
    from curation.conversation import Conversation


class Perplexity(ByPolicy):
    """Perplexity of the last answer under a model; low is expected, high is odd."""

    op: Literal["perplexity"] = "perplexity"

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
