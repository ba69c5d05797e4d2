"""The engine of one machine: batches run through Polars, one after the other, each on all its threads.

Each stage (`curation.engines.stages`) reads the batches that the stage before left on the disk, and leaves its own:

    stage-0/00000.arrow          rows that stay, after the operators of the stage
    stage-0/00000.dropped.arrow  rows that went, if any
    stage-0/00000.table.arrow    the batch's part of the global table, where a barrier follows
    stage-0/00000.json           the batch's lines of the ledger; written last, so its presence means done
    stage-0/decision.arrow       what the barrier decided, for all rows; `seconds` says how long it took

A run that was killed goes on at the first batch without its mark. Memory holds one batch and, at a barrier, the
global table. The rows of a stage are deleted when the next one is done.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import polars as pl

from curation.engines import ScoreCache
from curation.engines.barriers import choose, load, save, score_chunks, table_of
from curation.engines.batch import Batch, decided, joined, through
from curation.engines.stages import stages
from curation.frame import SCORES
from curation.ledger import Entry
from curation.operator import Decision, Operator, Selector
from curation.progress import SILENT, Progress
from curation.table import concat, mapped, read_slice, scan, slices, spill_frame

Input = tuple[Path, str | None]
"""A data set's folder, and the part of it that is meant (None: all)."""


@dataclass(frozen=True)
class Outcome:
    """What came of the rows."""

    kept: list[Path]
    """Spilled batches, in the order of the input; `curation.table.mapped` reads them."""
    dropped: list[Path]
    """Spilled batches of rows with `dropped_by` and `reason`."""
    entries: list[Entry]
    """One an operator."""


@dataclass(frozen=True)
class Local:
    """Runs operators over data sets on this machine."""

    batch_rows: int = 10_000
    """Rows of one batch: more need more memory and save little time. No result depends on it."""

    def run(
        self,
        inputs: Sequence[Input],
        operators: Sequence[Operator],
        work: Path,
        scores: ScoreCache | None = None,
        progress: Progress = SILENT,
    ) -> Outcome:
        """All rows of the inputs through all operators.

        Args:
            work: Folder for the stages. What an earlier run with the same arguments left there is used.
        """
        return _Run(inputs, operators, self.batch_rows, work, scores, progress).go()


class _Run:
    def __init__(
        self,
        inputs: Sequence[Input],
        operators: Sequence[Operator],
        batch_rows: int,
        work: Path,
        scores: ScoreCache | None,
        progress: Progress,
    ) -> None:
        self.batches = [(*place, part) for folder, part in inputs for place in slices(folder, batch_rows)]
        self.count = len(self.batches)
        self.stages = stages(operators)
        self.folders = [work / f"stage-{i}" for i in range(len(self.stages))]
        self.scores, self.progress = scores, progress
        self.score_names = _score_names(inputs)
        self.prepared: list[Operator] = []

    def go(self) -> Outcome:
        entries: list[Entry] = []
        for i, folder in enumerate(self.folders):
            folder.mkdir(parents=True, exist_ok=True)
            if not all(self.mark(i, n).exists() for n in range(self.count)):
                self.stage(i)
            marks = [json.loads(self.mark(i, n).read_text(encoding="utf-8")) for n in range(self.count)]
            entries += joined([[Entry.model_validate(e) for e in mark["entries"]] for mark in marks])
            if i:
                for path in self.folders[i - 1].glob("*.arrow"):
                    if not path.name.endswith(".dropped.arrow"):
                        path.unlink()
        last = len(self.stages) - 1
        dropped = [path for folder in self.folders for path in sorted(folder.glob("*.dropped.arrow"))]
        return Outcome([self.kept(last, n) for n in range(self.count)], dropped, entries)

    def stage(self, i: int) -> None:
        """All batches of a stage that are not done yet."""
        stage = self.stages[i]
        barrier = self.stages[i - 1].barrier if i else None
        ends = self.ends(i - 1) if i else [0]
        decision = self.decision(i - 1, ends) if i else None
        titles = [o.title for o in (barrier, *stage.operators) if o]
        with self.progress.bar(", ".join(titles) or "rows") as bar:
            bar.total(ends[-1] if i else sum(length for _, _, length, _ in self.batches))
            for n in range(self.count):
                if self.mark(i, n).exists():
                    bar.advance(json.loads(self.mark(i, n).read_text(encoding="utf-8"))["given"])
                    continue
                batch = Batch(mapped(self.kept(i - 1, n)) if i else self.read(n))
                given = len(batch.frame)
                if barrier and decision:
                    at = ends[n] - given
                    batch = decided(batch, barrier, decision.part(at, given))
                    batch.entries[0].seconds = 0.0 if n else float((self.folders[i - 1] / "seconds").read_text())
                for operator in stage.operators:
                    self.prepare(operator)
                self.leave(i, n, through(batch, stage.operators), given)
                bar.advance(given)

    def leave(self, i: int, n: int, batch: Batch, given: int) -> None:
        """Writes what a batch came to, its mark last."""
        spill_frame(batch.frame, self.kept(i, n))
        if batch.dropped:
            spill_frame(concat(batch.dropped), self.folders[i] / f"{n:05d}.dropped.arrow")
        if barrier := self.stages[i].barrier:
            self.prepare(barrier, unless_chunked=True)
            spill_frame(table_of(batch.frame, barrier), self.folders[i] / f"{n:05d}.table.arrow")
        entries = [entry.model_dump() for entry in batch.entries]
        mark = self.mark(i, n)
        part = mark.with_suffix(".part")
        part.write_text(json.dumps({"given": given, "rows": len(batch.frame), "entries": entries}), encoding="utf-8")
        part.rename(mark)

    def decision(self, i: int, ends: list[int]) -> Decision:
        """What the barrier at the end of a stage decides for its rows."""
        barrier, folder = self.stages[i].barrier, self.folders[i]
        if barrier is None:
            raise RuntimeError(f"stage {i} has no barrier")
        path = folder / "decision.arrow"
        if not path.exists():
            started = time.perf_counter()
            parts = [mapped(folder / f"{n:05d}.table.arrow") for n in range(self.count)]
            table = pl.concat(parts, how="vertical_relaxed")
            if isinstance(barrier, Selector):
                self.prepare(barrier)
                decision = choose(barrier, table)
            else:
                rows = _Rows([mapped(self.kept(i, n)) for n in range(self.count)], ends)
                decision = score_chunks(barrier, table, rows, folder, self.scores, self.progress, self.prepare)
            (folder / "seconds").write_text(f"{time.perf_counter() - started}", encoding="utf-8")
            save(decision, path)
        return load(path)

    def read(self, n: int) -> pl.DataFrame:
        """A batch of the input, with a column for every score that any input has."""
        path, offset, length, part = self.batches[n]
        frame = read_slice(path, offset, length)
        frame = frame if part is None else frame.filter(pl.col("split") == part)
        missing = [c for c in self.score_names if c not in frame.columns]
        return frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(c) for c in missing)

    def prepare(self, operator: Operator, unless_chunked: bool = False) -> None:
        """Prepares an operator the first time that it is needed."""
        if unless_chunked and getattr(operator, "chunked", False):
            return
        if not any(operator is p for p in self.prepared):
            operator.prepare()
            self.prepared.append(operator)

    def ends(self, i: int) -> list[int]:
        """How many rows of a stage lie in its batches up to and with each."""
        marks = (json.loads(self.mark(i, n).read_text(encoding="utf-8")) for n in range(self.count))
        return list(accumulate(mark["rows"] for mark in marks))

    def kept(self, i: int, n: int) -> Path:
        return self.folders[i] / f"{n:05d}.arrow"

    def mark(self, i: int, n: int) -> Path:
        return self.folders[i] / f"{n:05d}.json"


class _Rows:
    """Rows at any places of the spilled batches of a stage, in the order that is asked for."""

    def __init__(self, frames: list[pl.DataFrame], ends: list[int]) -> None:
        self.frames, self.ends = frames, ends

    def __call__(self, places: pl.Series) -> pl.DataFrame:
        by_batch: dict[int, list[tuple[int, int]]] = {}
        for order, place in enumerate(places):
            n = bisect_right(self.ends, place)
            by_batch.setdefault(n, []).append((place - (self.ends[n - 1] if n else 0), order))
        pieces = [self.frames[n][[at for at, _ in found]] for n, found in by_batch.items()]
        orders = [order for found in by_batch.values() for _, order in found]
        return concat(pieces).with_columns(pl.Series("order", orders)).sort("order").drop("order")


def _score_names(inputs: Sequence[Input]) -> list[str]:
    names = {c for folder, _ in inputs for c in scan(folder).collect_schema().names()}
    return sorted(c for c in names if c.startswith(SCORES))
