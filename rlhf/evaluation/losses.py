"""Held-out loss: how surprised a policy is by chats that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from curation.conversation import Conversation
from curation.progress import SILENT, Progress
from rlhf.evaluation.intervals import bootstrap

if TYPE_CHECKING:
    from curation.models import Loaded


def held_out_loss(
    loaded: Loaded, chats: Sequence[Conversation], *, seed: int = 0, progress: Progress = SILENT, what: str = "loss"
) -> dict[str, Any]:
    """Mean negative log-likelihood, in nats a token, of everything the assistant says, with its interval over chats.

    Every assistant turn counts, its end token included, given all that was said before it. Chats that the model's
    template refuses, that have no assistant turn or that are longer than the model reads are counted as `left_out`.
    """
    from curation.models import Refused, log_probs

    rows: list[tuple[list[int], list[int]]] = []
    owners: list[int] = []
    left_out = 0
    for i, chat in enumerate(chats):
        try:
            encoded = loaded.template.encode(chat.messages, chat.tools)
        except Refused:
            left_out += 1
            continue
        if not encoded.turns or len(encoded.ids) > loaded.context or encoded.turns[0][0] == 0:
            left_out += 1
            continue
        for start, end in encoded.turns:
            rows.append((encoded.ids[:start], encoded.ids[start:end]))
            owners.append(i)
    if not rows:
        return {"mean": None, "low": None, "high": None, "tokens": 0, "chats": 0, "left_out": left_out}
    found = log_probs(loaded, rows, progress=progress, what=what)
    losses = [-s.log_prob / s.tokens for s in found]
    tokens = [s.tokens for s in found]
    interval = bootstrap(losses, owners, weights=tokens, share=False, seed=seed)
    return {**interval.to_dict(), "tokens": sum(tokens), "chats": len(set(owners)), "left_out": left_out}
