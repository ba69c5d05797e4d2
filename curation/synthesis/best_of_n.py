"""Best of n: a model answers several times, a scorer says which answer is best, and that one is learned.

Or two of them are: the best against the worst is the clearest pair that a prompt has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from curation.conversation import Candidates, Conversation, Preference
from curation.labeling.answers import Distinct
from curation.labeling.ranked import by_score
from curation.synthesis.made import Dropped, Made

Score = Callable[[list[Conversation]], list[float]]


def best(candidates: Sequence[Candidates], score: Score, column: str) -> Made[Conversation]:
    """Each prompt with its best answer; the first of several that are equally good.

    Args:
        column: Name of the score; a row keeps its own and, as `<column>_mean`, that of all answers to the prompt.
    """
    made: Made[Conversation] = Made()
    for row, own in zip(candidates, _scored(candidates, score), strict=True):
        place = max(range(len(own)), key=lambda i: (own[i], -i))
        answer = row.answers[place]
        meta = {**row.meta, "finished": answer.finished, "policy": answer.policy, "answers": len(own)}
        made.rows.append(
            Conversation(
                messages=(*row.prompt, answer.message()),
                source=row.source,
                parent=row.parent,
                split=row.split,
                scores={column: own[place], f"{column}_mean": sum(own) / len(own)},
                meta=meta,
            )
        )
    return made


def pairs(
    candidates: Sequence[Candidates], score: Score, column: str, decided_by: str, min_gap: float = 0.0
) -> Made[Preference]:
    """The best answer of each prompt against its worst. Equal scores, or ones closer than `min_gap`, are a tie.

    A prompt is dropped for `one_answer`, or for `identical_answers` where all say the same.
    """
    made: Made[Preference] = Made()
    distinct = [Distinct.of(row) for row in candidates]
    for one in distinct:
        if one.reason is not None:
            made.dropped.append(Dropped(as_chat(one.row), one.reason))
    able = [one for one in distinct if one.reason is None]
    for one, own in zip(able, _scored([one.candidates() for one in able], score), strict=True):
        found = by_score(one, own, column, decided_by, "best_worst", min_gap)
        made.rows += [pair.with_(parent=one.row.parent) for pair in found]
    made.figures["identical"] = sum(one.identical for one in distinct)
    made.figures["ties"] = sum(pair.verdict == "tie" for pair in made.rows)
    return made


def as_chat(row: Candidates) -> Conversation:
    """A row that gave no pair, with its first answer, as people look at it."""
    messages = (*row.prompt, *(answer.message() for answer in row.answers[:1]))
    return Conversation(messages=messages, source=row.source, parent=row.parent, split=row.split, meta=row.meta)


def _scored(candidates: Sequence[Candidates], score: Score) -> list[list[float]]:
    """The scores of each row's answers, all asked for at once."""
    chats = [chat for row in candidates for chat in row.conversations()]
    found = iter(score(chats) if chats else [])
    return [[next(found) for _ in row.answers] for row in candidates]
