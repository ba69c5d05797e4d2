"""How far a judge agrees with people about the same pairs of answers.

A share of agreement alone says little: people do not agree with one another all the time either, and on many prompts
"the longer answer wins" is right more often than not. So both stand beside it, and kappa, which takes off what chance
would bring. As in the MT-Bench paper (Zheng et al., arXiv 2306.05685, table 5) agreement is given with ties as verdicts
of their own, and again on the pairs where neither side says tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.conversation import Preference, digest, framed
from curation.labeling.agreement import RAW, Votes, interval, kappa_with_others
from curation.labeling.panel import plain
from curation.labeling.votes import votes_of
from curation.operator import PairScorer, Scorer
from rlhf.evaluation.intervals import bootstrap
from rlhf.evaluation.judging import compare, scores
from rlhf.evaluation.leaks import group_of
from rlhf.evaluation.wins import outcome

if TYPE_CHECKING:
    from rlhf.recipe.step import Room

_WORTH = {"chosen": 1.0, "tie": 0.5, "rejected": 0.0}


def calibration(judge: Scorer, pairs: Sequence[Preference], work: Path, room: Room, seed: int) -> dict[str, Any]:
    """Figures of one judge; intervals are over prompts, and those of kappa and of people over pairs.

    `agreement` with what people say together, `agreement_without_ties`, `kappa`; `people`: of each two people on the
    same pair; `length_agreement`: of the longer answer; `over_length`: how much more the judge agrees than length. For
    a judge that sees two answers side by side, `flip_rate` and `unreadable`.

    Args:
        pairs: What people decided, at least one.
        work: Folder of its own.
    """
    chats = [pair.conversations() for pair in pairs]
    more: dict[str, Any] = {}
    if isinstance(judge, PairScorer):
        verdicts = compare(judge, [(a, b) for a, b in chats])
        readable = [v for v in verdicts if v.forth is not None and v.back is not None]
        said = [v.outcome for v in verdicts]
        more["flip_rate"] = sum(v.flipped for v in readable) / len(readable) if readable else None
        more["unreadable"] = len(verdicts) - len(readable)
    else:
        flat = [chat for two in chats for chat in two]
        numbers = scores(judge, flat, work=work, cache=room.scores, progress=room.progress)
        said = [outcome(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    return {**agreement(pairs, said, seed), **more}


def agreement(pairs: Sequence[Preference], said: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """The figures from what a judge says of each pair: 1 for the answer that people chose, 0.5 for a tie, 0."""
    people = [_WORTH[pair.verdict] for pair in pairs]
    longer = [outcome(*map(_length, p.answers)) for p in pairs]
    groups = [group_of(p) for p in pairs]
    hits = [float(a == b) for a, b in zip(said, people, strict=True)]
    by_length = [float(a == b) for a, b in zip(longer, people, strict=True)]
    clear = [i for i, (a, b) in enumerate(zip(said, people, strict=True)) if 0.5 not in (a, b)]
    # The chosen answer stands first in every pair, so kappa is taken in an order that does not know the verdict.
    two: Votes = {
        str(i): {"people": _place(pair, worth), "judge": _place(pair, own)}
        for i, (pair, worth, own) in enumerate(zip(pairs, people, said, strict=True))
    }
    each = {str(i): {who: _place(p, _WORTH[v]) for who, v in votes_of(p).items()} for i, p in enumerate(pairs)}
    found: dict[str, Any] = {
        "agreement": bootstrap(hits, groups, seed=seed).to_dict(),
        "agreement_without_ties": _share([hits[i] for i in clear], [groups[i] for i in clear], seed),
        "kappa": plain(interval(two, kappa_with_others(two, "judge", "nominal"), seed=seed)),
        "people": plain(interval(each, RAW, seed=seed)),
        "length_agreement": bootstrap(by_length, groups, seed=seed).to_dict(),
        "over_length": bootstrap(
            [a - b for a, b in zip(hits, by_length, strict=True)], groups, share=False, seed=seed
        ).to_dict(),
        "n": len(pairs),
        "ties": sum(worth == 0.5 for worth in people),
    }
    return found


def _share(hits: Sequence[float], groups: Sequence[str], seed: int) -> dict[str, float | None]:
    return dict(bootstrap(hits, groups, seed=seed).to_dict()) if hits else {"mean": None, "low": None, "high": None}


def _length(answer: Sequence[Any]) -> int:
    return sum(len(m.content) for m in answer)


def _place(pair: Preference, worth: float) -> str:
    """`first`, `second` or `tie`, of the two answers in the order of their hashes."""
    if worth == 0.5:
        return "tie"
    in_order = digest(framed(pair.chosen)) < digest(framed(pair.rejected))
    return "first" if (worth == 1.0) == in_order else "second"
