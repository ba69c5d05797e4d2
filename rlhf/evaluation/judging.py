"""Judges: a scorer gives a number to each answer, or looks at two side by side; either way one wins or none does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curation.conversation import Conversation
from curation.operator import PairScorer, Scorer, TwoOrders
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    import polars as pl

    from curation.engines import ScoreCache


def kind_of(judge: Scorer) -> str:
    """What a judge is, for people: a scorer that runs no model is a rule, whatever it is called."""
    if isinstance(judge, PairScorer):
        return "a language model"
    return {"reward_model": "a reward model", "llm_judge": "a language model"}.get(
        judge.op, "a model" if judge.chunked else "a rule"
    )


def scores(
    scorer: Scorer,
    conversations: Sequence[Conversation],
    *,
    work: Path,
    cache: ScoreCache | None = None,
    progress: Progress = SILENT,
) -> list[float]:
    """One number a conversation. Models score in fixed chunks, through the cache that outlives the run.

    Args:
        work: Folder of its own for what is finished; a killed run goes on from there.
    """
    from curation.engines.barriers import score_chunks, table_of
    from curation.engines.batch import check_scores
    from curation.frame import SCORES, to_frame

    frame = to_frame(conversations, Conversation)
    if not len(frame):
        return []
    if not scorer.chunked:
        scorer.prepare()
        return [float(x) for x in check_scores(scorer, scorer.score_frame(frame), frame)]
    work.mkdir(parents=True, exist_ok=True)

    def score(scorer: Scorer, chunks: Sequence[pl.DataFrame]) -> Iterator[pl.Series]:
        scorer.prepare()
        yield from map(scorer.score_frame, chunks)

    table = table_of(frame, scorer)
    made = score_chunks(scorer, table, lambda places: frame[places], work, cache, progress, score)
    return [float(x) for x in made.columns[SCORES + scorer.column]]


def compare(judge: PairScorer, pairs: Sequence[tuple[Conversation, Conversation]]) -> list[TwoOrders]:
    """The verdicts of a judge that looks at two answers side by side; equal answers are a tie that nobody is asked."""
    asked = [i for i, (a, b) in enumerate(pairs) if a.reply.strip() != b.reply.strip()]
    judge.prepare()
    found = dict(zip(asked, judge.compare([pairs[i] for i in asked]), strict=True)) if asked else {}
    return [found.get(i, TwoOrders(0.5, 0.5)) for i in range(len(pairs))]
