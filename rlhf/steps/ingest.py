"""Reads data sets into rows: conversations to imitate, or preferences between answers.

The work is done in `curation.sources`. A run that is cut off starts this step again: reading is fast, and nothing in it
is paid for.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import KINDS, Kind
from curation.formats import Makes
from curation.ledger import Entry
from curation.settings import ONE_OR_MORE
from curation.sources import mixture
from curation.sources.dataset import Dataset
from curation.sources.intake import Intake
from rlhf.recipe.step import Done, Room, Step

if TYPE_CHECKING:
    import polars as pl


class Ingest(Step):
    """Reads data sets from files, folders, packages or the Hub."""

    step: Literal["ingest"] = "ingest"
    rows: Makes = Field(alias="makes")
    """What the records become: `conversations`, or where the format has them `preferences` (pairs) or `candidates`
    (several answers to one prompt)."""
    datasets: Annotated[list[Dataset], ONE_OR_MORE] = Field(min_length=1)
    """The data sets, read into one. A file that is given twice is an error."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        mixture.check([entry.fraction for entry in self.datasets])
        for number, entry in enumerate(self.datasets):
            if self.rows not in entry.format.makes:
                makes = " or ".join(sorted(entry.format.makes))
                raise ValueError(f"datasets.{number}: the format {entry.format.op} makes {makes}, not {self.rows}")
        return self

    def makes(self) -> type[Kind]:
        return KINDS[self.rows]

    def scores(self, steps: Mapping[str, Step]) -> set[str]:
        return {name for entry in self.datasets for name in entry.format.scores(self.rows)}

    def advice(self) -> list[str]:
        return [f"the licence of {entry.title} is not stated" for entry in self.datasets if not entry.license]

    def run(self, room: Room) -> Done:
        from curation import table
        from rlhf.report.samples import malformed_samples

        malformed = room.work / "malformed"
        shutil.rmtree(malformed, ignore_errors=True)
        intake = Intake(self.datasets, self.rows, malformed=malformed, progress=room.progress, warn=room.warn)
        for entry in self.datasets:
            if not entry.pinned():
                room.warn(f"{entry.title} was read as it is now: write `revision: {entry.path.commit}` to keep it so")
        fractions = [entry.fraction for entry in self.datasets if entry.fraction is not None]
        if fractions:
            intake.ledger.entries.append(self._mixed(intake, fractions, room))
        else:
            table.write(room.out, (frame for _, frame in intake.frames()))
        return Done(
            ledger=intake.ledger,
            metrics={"left_out": dict(sorted(intake.left_out.items()))} if intake.left_out else {},
            examples=[dict(sample) for sample in malformed_samples(malformed)],
            side={"malformed": malformed} if malformed.exists() else {},
            decided_by=", ".join(sorted(intake.decided_by)) or None,
        )

    def _mixed(self, intake: Intake, fractions: list[float], room: Room) -> Entry:
        """Writes the rows that the fractions ask for. How many that is, is known once all rows have been read."""
        import polars as pl

        from curation import table

        spool = room.work / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir()
        files: list[tuple[int, Path]] = []
        marks: list[list[mixture.Mark]] = [[] for _ in self.datasets]
        for number, frame in intake.frames():
            files.append((number, spool / f"{len(files):06}.parquet"))
            frame.write_parquet(files[-1][1], compression="lz4")
            marks[number] += _marks(frame)
        counts = [len(m) for m in marks]
        shares = mixture.shares(counts, fractions)
        taken = [iter(mixture.taken(m, share)) for m, share in zip(marks, shares, strict=True)]

        def chosen() -> Iterator[pl.DataFrame]:
            for number, path in files:
                frame = pl.read_parquet(path)
                yield frame.filter(pl.Series([next(taken[number]) for _ in range(len(frame))], dtype=pl.Boolean))

        kept = table.write(room.out, chosen())
        shutil.rmtree(spool)
        outside = sum(counts) - kept
        dropped = {"outside_fraction": outside} if outside else {}
        return Entry(operator="fraction", made=sum(counts), kept=kept, dropped=dropped)


def _marks(frame: Any) -> list[mixture.Mark]:
    source = frame["source"].struct
    return list(zip(frame["id"], source.field("digest"), source.field("index"), strict=True))
