"""Questions whose answer is known, mixed in among the others, to see who answers with care.

They look like all others and are asked like them: nobody can tell which they are. What people say of them tells how
right they are, and goes into the log; it never becomes a preference to train on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.conversation import Preference, digest
from curation.errors import UserError
from curation.labeling.agreement import Share
from curation.labeling.answers import same
from curation.labeling.consensus.ranks import Ranks, dense
from curation.labeling.pair import Pair
from curation.labeling.tasks import Compared


def mix_in(asked: Compared, pairs: Sequence[Preference], size: float) -> dict[str, Ranks]:
    """Adds questions to those that are asked; gives item -> the known ranking of its two answers.

    Which ones are taken a hash of each decides, so that more of them keep those that there were.

    Args:
        pairs: Pairs whose verdict is known. What is asked anyhow is left out: that answer is sought.
        size: How many: a share of the questions that are asked, where it is less than 1, else their number.

    Raises:
        UserError: no pair can be used.
    """
    items: dict[str, tuple[Any, Ranks]] = {}
    for pair in pairs:
        a, b = pair.chosen[-1], pair.rejected[-1]
        if len(pair.chosen) == len(pair.rejected) == 1 and not same(a, b):
            item = Pair.item(pair.prompt, a, b)
            known: Ranks = (1, 1) if pair.verdict == "tie" else (1, 2) if item.answers[0] == a else (2, 1)
            if item.id not in asked.items:
                items[item.id] = (item, known)
    if not items:
        hint = (
            "gold questions are pairs of two different answers, to other prompts than those that people are asked about"
        )
        raise UserError("none of the gold pairs can be mixed in", hint=hint)
    wanted = max(1, round(size * len(asked.items))) if size < 1 else round(size)
    taken = sorted(items, key=lambda key: digest("gold", key))[:wanted]
    for key in taken:
        asked.items[key] = items[key][0]  # with no row, so that no preference comes of it
    return {key: items[key][1] for key in taken}


def right(said: Mapping[str, Mapping[str, Ranks]], known: Mapping[str, Ranks]) -> dict[str, Share]:
    """Person -> of how many gold questions they gave an opinion, and how often the right one."""
    found: dict[str, Share] = {}
    for item, ranks in known.items():
        for who, own in said.get(item, {}).items():
            before = found.get(who, Share(0, 0))
            found[who] = Share(before.agreed + (dense(own) == dense(ranks)), before.pairs + 1)
    return found
