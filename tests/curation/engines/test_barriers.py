"""What a model scored is kept chunk by chunk: whatever stops a run, no chunk that was finished is scored again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from curation.conversation import Conversation, Message, Source
from curation.operator import Scorer
from curation.pipeline import curate


class Cache:
    """Scores in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, float] = {}

    def get(self, scorer_key: str, ids: Sequence[str]) -> dict[str, float]:
        return {i: self.kept[i] for i in ids if i in self.kept}

    def put(self, scorer_key: str, scores: Mapping[str, float]) -> None:
        self.kept.update(scores)


class Slow(Scorer):
    """Stops in the middle, as often as it is told to."""

    chunked = True
    chunk_size = 4
    op: Literal["slow"] = "slow"

    def score(self, conversations: list[Conversation]) -> list[float]:
        CALLS.append(len(conversations))
        if len(CALLS) == STOP[0]:
            raise KeyboardInterrupt
        return [float(len(c.reply)) for c in conversations]


CALLS: list[int] = []
STOP = [3]


@pytest.mark.parametrize("work", [True, False])
def test_a_run_that_is_cut_off_scores_no_finished_chunk_again(work: bool, tmp_path: Path) -> None:
    rows = [
        Conversation(messages=(Message("user", f"{i}"), Message("assistant", "x" * i)), source=Source(index=i))
        for i in range(20)
    ]
    cache = Cache()
    how: dict[str, Any] = {"scores": cache, "work": tmp_path / "work" if work else None}
    CALLS.clear()
    with pytest.raises(KeyboardInterrupt):
        curate(rows, [Slow()], **how)
    assert len(cache.kept) == 8
    STOP[0] = 0
    made = curate(rows, [Slow()], **how)
    STOP[0] = 3
    assert CALLS == [4, 4, 4, 4, 4, 4]  # the third chunk twice
    assert {r.scores["slow"] for r in made.kept.rows()} == set(map(float, range(20)))
