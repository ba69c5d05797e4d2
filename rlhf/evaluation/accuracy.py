"""How often a reward model agrees with who decided a pair, beside what length alone would get.

On many human preferences "the longer answer wins" is right more often than a small reward model (on OpenAssistant's
pairs 68%), so an accuracy alone misleads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.conversation import Preference
from rlhf.evaluation.intervals import bootstrap
from rlhf.evaluation.leaks import group_of
from rlhf.evaluation.wins import outcome


def accuracy(
    pairs: Sequence[Preference], chosen: Sequence[float], rejected: Sequence[float], seed: int = 0
) -> dict[str, Any]:
    """Share of pairs whose chosen answer has the higher score (equal scores count one half), and of those whose chosen
    answer is longer; each with its interval over prompts.

    `over_length` is the difference of the two on the same pairs: above zero where the model knows more than length.
    """
    hits = [outcome(a, b) for a, b in zip(chosen, rejected, strict=True)]
    longer = [outcome(*map(_characters, p.answers)) for p in pairs]
    groups = [group_of(p) for p in pairs]
    more = [a - b for a, b in zip(hits, longer, strict=True)]
    return {
        "accuracy": bootstrap(hits, groups, seed=seed).to_dict(),
        "length_accuracy": bootstrap(longer, groups, seed=seed).to_dict(),
        "over_length": bootstrap(more, groups, share=False, seed=seed).to_dict(),
        "n": len(pairs),
        "prompts": len(set(groups)),
    }


def _characters(answer: Sequence[Any]) -> int:
    return sum(len(m.content) for m in answer)
