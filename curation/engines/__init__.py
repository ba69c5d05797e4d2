"""Engines run the same operators over rows in different places: here in batches, later on a cluster.

What every engine shares lies beside them: `batch` (one operator on one batch),
`barriers` (the decisions that need the whole table, over ids, keys and scores alone) and `stages` (where a list of
operators must be cut). An engine only moves batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

ALLOCATOR = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:20000"}
"""For the environment of a process that curates, from before it imports Polars.

Memory of one batch is kept some seconds for the next one (jemalloc, https://jemalloc.net/jemalloc.3.html). Otherwise
it goes back to the kernel, which clears each page when it is asked for again: a tenth of the time.
"""


class ScoreCache(Protocol):
    """Scores that outlive a run, by scorer key (`curation.operator.scorer_key`) and id of the chat that was scored."""

    def get(self, scorer_key: str, ids: Sequence[str]) -> dict[str, float]:
        """The known ones among `ids`."""
        ...

    def put(self, scorer_key: str, scores: Mapping[str, float]) -> None:
        """Keeps them; on the disk when it returns."""
        ...
