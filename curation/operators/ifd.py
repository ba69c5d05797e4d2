"""`ifd`: how much of the last answer the question does not explain (instruction-following difficulty).

A model reads the answer twice: after the question, and alone. The score is the perplexity of the answer given the
question, divided by its perplexity alone (Li et al., "From Quantity to Quality", arXiv 2308.12032; with perplexities as
in "Superfiltering", arXiv 2402.00530). Near 0 the question says almost everything about the answer, so there is little
to learn; near 1 it says almost nothing, and the answer is hard to find from it; above 1 the question misleads, and
such rows are dropped by most who use it: `keep: "ifd < 1"`.

Both readings hold the same tokens of the answer, so what is compared is the question alone. *Alone* means: after the
header that a model's template puts before an answer, and nothing else (no default system prompt). Of a chat with
several turns the last answer counts, and everything before it, system prompt included, is its question.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operators.by_policy import ByPolicy, ends_on_answer, unreadable

if TYPE_CHECKING:
    from curation.conversation import Conversation


class Ifd(ByPolicy):
    """Perplexity of the last answer given what came before it, over its perplexity alone."""

    # Answers alone differ in length more than whole chats do: in larger chunks more of them find their like.
    chunk_size: ClassVar[int] = 32

    op: Literal["ifd"] = "ifd"
    of: Literal["perplexity", "loss"] = "perplexity"
    """What is divided: perplexities, or mean negative log-likelihoods as the first paper writes it. Both are below 1
    for the same rows and rank them differently. An answer that is certain when alone has a loss ratio of 1."""

    def score(self, conversations: list[Conversation]) -> list[float]:
        from curation.models import Refused, answer_ids, log_probs
        from curation.models.scoring import header_ids

        loaded = self._model()
        header = header_ids(loaded)
        given: list[tuple[list[int], list[int]]] = []
        for conversation in conversations:
            try:
                given.append(answer_ids(loaded, ends_on_answer(conversation, self.op)))
            except Refused as refusal:
                raise unreadable(self.op, conversation, refusal.why) from refusal
        alone = [(header[-(loaded.context - len(answer)) :], answer) for _, answer in given]
        found = log_probs(loaded, [*given, *alone])  # together, so that what is of like length shares a batch
        losses = [-s.log_prob / s.tokens if s.tokens else 0.0 for s in found]
        return [self._ratio(a, b) for a, b in zip(losses[: len(given)], losses[len(given) :], strict=True)]

    def _ratio(self, given: float, alone: float) -> float:
        if self.of == "perplexity":
            return math.exp(given - alone)
        return given / alone if alone > 0 else 1.0
