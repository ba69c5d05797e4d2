"""One batch in one stage: from the rows that come in to the files that it leaves, wherever it is worked on.

Each batch of a stage leaves, beside one another:

    00000.arrow          rows that stay, after the operators of the stage; where these edited no text, a selection of
                         the rows that an earlier stage left (`curation.spilled`)
    00000.dropped.arrow  rows that went, if any
    00000.table.arrow    the batch's part of the global table, where a barrier follows
    00000.json           the batch's lines of the ledger; written last, so its presence means done

A file is there when all of it is: a process that was forgotten on some machine and ends late can put the same file in
the place of the same file, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curation.engines.barriers import table_of
from curation.engines.batch import Batch, decided, through
from curation.engines.files import note, select, spill
from curation.engines.stages import Stage
from curation.frame import SCORES
from curation.ledger import Entry
from curation.operator import Decision, Operator, Scorer, Selector
from curation.table import concat, read_slice

Place = tuple[Path, int, int, str | None]
"""A batch of the input: file, offset, length, and the part of the data set that is meant (None: all)."""


@dataclass(frozen=True)
class Before:
    """What the barrier before the stage decided for the rows of one batch."""

    barrier: Selector | Scorer
    decision: Decision
    seconds: float = 0.0
    """What the decision took; counted with one of the batches."""


@dataclass
class Shard:
    """What a batch came to in one stage."""

    given: int
    frame: pl.DataFrame
    places: pl.Series | None
    """Which of the given rows these are; None where a text was edited."""
    entries: list[Entry]
    dropped: pl.DataFrame | None = None
    table: pl.DataFrame | None = None

    def mark(self) -> dict[str, Any]:
        """What is noted of it."""
        return {
            "given": self.given,
            "rows": len(self.frame),
            "dropped": 0 if self.dropped is None else len(self.dropped),
            "entries": [entry.model_dump() for entry in self.entries],
        }

    def leave(self, folder: Path, n: int, given: Path | None) -> dict[str, Any]:
        """Writes it as the batch `n` of its stage; returns the mark.

        Args:
            given: Where the rows that it was given are spilled; None: nowhere.
        """
        if given is None or self.places is None:
            spill(self.frame, folder / f"{n:05d}.arrow")
        else:
            select(self.frame, self.places, given, folder / f"{n:05d}.arrow")
        if self.dropped is not None:
            spill(self.dropped, folder / f"{n:05d}.dropped.arrow")
        if self.table is not None:
            spill(self.table, folder / f"{n:05d}.table.arrow")
        mark = self.mark()
        note(json.dumps(mark), folder / f"{n:05d}.json")
        return mark


@dataclass
class Prepared:
    """The operators that were prepared in this process."""

    operators: list[Operator] = field(default_factory=list)

    def __call__(self, operator: Operator) -> None:
        """Prepares an operator the first time that it is needed."""
        if not any(operator is p for p in self.operators):
            operator.prepare()
            self.operators.append(operator)


def worked(stage: Stage, frame: pl.DataFrame, before: Before | None, prepare: Prepared) -> Shard:
    """The rows of a batch after the decision that opens a stage and all operators of it."""
    batch = Batch(frame)
    if before:
        batch = decided(batch, before.barrier, before.decision)
        batch.entries[0].seconds = before.seconds
    for operator in stage.operators:
        prepare(operator)
    batch = through(batch, stage.operators)
    table = None
    if stage.barrier:
        if not getattr(stage.barrier, "chunked", False):  # what scores in chunks is not needed before the barrier
            prepare(stage.barrier)
        table = table_of(batch.frame, stage.barrier)
    dropped = concat(batch.dropped).sort("id", maintain_order=True) if batch.dropped else None
    return Shard(len(frame), batch.frame, batch.places, batch.entries, dropped, table)


def read_batch(place: Place, score_names: list[str]) -> pl.DataFrame:
    """A batch of the input, with a column for every score that any input has."""
    path, offset, length, part = place
    frame = read_slice(path, offset, length)
    frame = frame if part is None else frame.filter(pl.col("split") == part)
    missing = [c for c in score_names if c not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(c) for c in missing)
    return frame.select([c for c in frame.columns if not c.startswith(SCORES)] + score_names)


def counted(mark: Mapping[str, Any]) -> list[Entry]:
    """The lines of the ledger in a mark."""
    return [Entry.model_validate(entry) for entry in mark["entries"]]
