"""Rows through stages, a batch at a time, resumed where it stopped: what all engines share.

Each stage (`curation.engines.stages`) reads the batches that the stage before left on the disk, and leaves its own
(`curation.engines.shard`) in a folder `stage-0`, `stage-1` ..., besides

    decision.arrow       what the barrier decided, for all rows; `seconds` says how long it took

A run that was killed goes on at the first batch without its mark. Memory holds the batches under way and, at a barrier,
the global table. The rows of a stage are deleted when the next one is done, unless that left no more than a selection
of them. An engine says where batches are worked on
(`work`) and where models score (`score`); here both happen in this process, one after the other.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from curation.engines import ScoreCache
from curation.engines.barriers import CHUNKS_AT_ONCE, choose, load, save, score_chunks
from curation.engines.batch import joined
from curation.engines.files import note, tidy
from curation.engines.shard import Before, Place, Prepared, counted, read_batch, worked
from curation.engines.stages import stages
from curation.frame import SCORES
from curation.ledger import Entry
from curation.operator import Operator, Scorer, Selector
from curation.progress import Progress
from curation.spilled import Spilled, base_of, mapped
from curation.table import concat, scan, slices

Input = tuple[Path, str | None]
"""A data set's folder, and the part of it that is meant (None: all)."""


@dataclass(frozen=True)
class Outcome:
    """What came of the rows."""

    kept: list[Path]
    """Spilled batches, in the order of the input; `curation.spilled.mapped` reads them."""
    dropped: list[Path]
    """Spilled batches of rows with `dropped_by` and `reason`."""
    entries: list[Entry]
    """One an operator."""


class Staged:
    """One run over data sets, in this process. Subclasses send batches and chunks elsewhere.

    Args:
        inputs: The data sets, of one kind.
        operators: What is done to them, in order.
        batch_rows: Rows of one batch. No result depends on it.
        folder: For the stages. What an earlier run with the same arguments left there is used.
        scores: Cache of model scores that outlives the run.
        progress: Hears how it goes on.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        operators: Sequence[Operator],
        batch_rows: int,
        folder: Path,
        scores: ScoreCache | None,
        progress: Progress,
    ) -> None:
        self.places: list[Place] = [(*place, part) for at, part in inputs for place in slices(at, batch_rows)]
        self.count = len(self.places)
        self.stages = stages(operators)
        self.folders = [folder / f"stage-{i}" for i in range(len(self.stages))]
        self.scores, self.progress = scores, progress
        self.score_names = _score_names(inputs)
        self.prepare = Prepared()
        self.dropped = 0
        """Rows dropped so far, for the bar."""

    def go(self) -> Outcome:
        """All rows through all operators."""
        entries: list[Entry] = []
        for i, folder in enumerate(self.folders):
            folder.mkdir(parents=True, exist_ok=True)
            if not self.done(i):
                tidy(folder)
                self.stage(i)
            marks = [self.mark(i, n) for n in range(self.count)]
            entries += joined([counted(mark) for mark in marks])
            self.dropped = sum(sum(entry.dropped.values()) for entry in entries)
            if i + 1 == len(self.stages) or not self.done(i + 1):
                self.forget(i)
        last = len(self.stages) - 1
        dropped = [path for folder in self.folders for path in sorted(folder.glob("*.dropped.arrow"))]
        return Outcome([self.kept(last, n) for n in range(self.count)], dropped, entries)

    # Where the work is done

    def work(self, i: int, todo: Sequence[int], ends: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Works on these batches of a stage and writes what they come to; the mark of each as it is done.

        Args:
            ends: How many rows lie in the batches of the stage before, up to and with each; empty for the first stage.
        """
        for n in todo:
            shard = worked(self.stages[i], self.given(i, n), self.before(i, n, ends), self.prepare)
            yield shard.leave(self.folders[i], n, self.texts(i, n))

    def score(self, scorer: Scorer, chunks: Sequence[pl.DataFrame]) -> Iterator[pl.Series]:
        """What a model scorer makes of each chunk of chats, in order."""
        for chats in chunks:
            self.prepare(scorer)
            yield scorer.score_frame(chats)

    def chunks_at_once(self) -> int:
        """Chunks whose text is in memory together."""
        return CHUNKS_AT_ONCE

    # What is common

    def stage(self, i: int) -> None:
        """All batches of a stage that are not done yet."""
        barrier = self.stages[i - 1].barrier if i else None
        ends = self.ends(i - 1) if i else []
        if i:
            self.decide(i - 1, ends)
        titles = [o.title for o in (barrier, *self.stages[i].operators) if o]
        kept, dropped = 0, self.dropped
        with self.progress.bar(", ".join(titles) or "rows") as bar:
            bar.total(ends[-1] if i else sum(length for _, _, length, _ in self.places))
            done = [self.mark(i, n) for n in range(self.count) if self.marked(i, n).exists()]
            todo = [n for n in range(self.count) if not self.marked(i, n).exists()]
            for marks in (done, self.work(i, todo, ends)):
                for mark in marks:
                    kept += mark["rows"]
                    dropped += mark["dropped"]
                    bar.advance(mark["given"], kept=kept, dropped=dropped)

    def done(self, i: int) -> bool:
        """Whether every batch of a stage is."""
        return all(self.marked(i, n).exists() for n in range(self.count))

    def forget(self, i: int) -> None:
        """Deletes the rows of earlier stages that nobody needs after this one, the last that is done.

        What a stage before it needed may be gone: a run may have been killed in here.
        """
        needed = {base_of(self.kept(i, n)).resolve() for n in range(self.count)}
        for path in (path for before in self.folders[:i] for path in before.glob("*.arrow")):
            if not path.name.endswith(".dropped.arrow") and path.resolve() not in needed:
                path.unlink()

    def given(self, i: int, n: int) -> pl.DataFrame:
        """The rows that a batch begins a stage with."""
        return mapped(self.kept(i - 1, n)) if i else read_batch(self.places[n], self.score_names)

    def texts(self, i: int, n: int) -> Path | None:
        """Where the rows that a batch begins a stage with are spilled; None: they come from the input."""
        return self.kept(i - 1, n) if i else None

    def before(self, i: int, n: int, ends: Sequence[int]) -> Before | None:
        """What the barrier before the stage decided for a batch."""
        barrier = self.stages[i - 1].barrier if i else None
        if barrier is None:
            return None
        folder = self.folders[i - 1]
        decision = load(folder / "decision.arrow")
        start = ends[n - 1] if n else 0
        length = ends[n] - start
        seconds = 0.0 if n else float((folder / "seconds").read_text(encoding="utf-8"))
        return Before(barrier, decision.part(start, length), seconds)

    def decide(self, i: int, ends: list[int]) -> None:
        """Makes sure that what the barrier at the end of a stage decides for its rows is on the disk."""
        barrier, folder = self.stages[i].barrier, self.folders[i]
        if barrier is None:
            raise RuntimeError(f"stage {i} has no barrier")
        path = folder / "decision.arrow"
        if path.exists():
            return
        started = time.perf_counter()
        table = pl.concat([mapped(folder / f"{n:05d}.table.arrow") for n in range(self.count)], how="vertical_relaxed")
        if isinstance(barrier, Selector):
            with self.progress.bar(barrier.title, len(table)) as bar:
                self.prepare(barrier)
                decision = choose(barrier, table)
                bar.advance(len(table))
        else:
            rows = _Rows([Spilled(self.kept(i, n)) for n in range(self.count)], ends)
            at_once = self.chunks_at_once()
            decision = score_chunks(barrier, table, rows, folder, self.scores, self.progress, self.score, at_once)
        note(f"{time.perf_counter() - started}", folder / "seconds")
        save(decision, path)

    def ends(self, i: int) -> list[int]:
        """How many rows of a stage lie in its batches up to and with each."""
        return list(accumulate(self.mark(i, n)["rows"] for n in range(self.count)))

    def kept(self, i: int, n: int) -> Path:
        return self.folders[i] / f"{n:05d}.arrow"

    def marked(self, i: int, n: int) -> Path:
        return self.folders[i] / f"{n:05d}.json"

    def mark(self, i: int, n: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.marked(i, n).read_text(encoding="utf-8"))
        return found


class _Rows:
    """Rows at any places of the spilled batches of a stage, in the order that is asked for."""

    def __init__(self, frames: list[Spilled], ends: list[int]) -> None:
        self.frames, self.ends = frames, ends

    def __call__(self, places: pl.Series) -> pl.DataFrame:
        by_batch: dict[int, list[tuple[int, int]]] = {}
        for order, place in enumerate(places):
            n = bisect_right(self.ends, place)
            by_batch.setdefault(n, []).append((place - (self.ends[n - 1] if n else 0), order))
        pieces = [self.frames[n].take([at for at, _ in found]) for n, found in by_batch.items()]
        orders = [order for found in by_batch.values() for _, order in found]
        return concat(pieces).with_columns(pl.Series("order", orders)).sort("order").drop("order")


def _score_names(inputs: Sequence[Input]) -> list[str]:
    names = {c for folder, _ in inputs for c in scan(folder).collect_schema().names()}
    return sorted(c for c in names if c.startswith(SCORES))
