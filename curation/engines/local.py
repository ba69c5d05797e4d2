"""The engine of one machine: batches run through Polars, one after the other, each on all its threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curation.engines import ScoreCache
from curation.engines.staged import Input, Outcome, Staged
from curation.operator import Operator
from curation.progress import SILENT, Progress

__all__ = ["Input", "Local", "Outcome"]


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
        return Staged(inputs, operators, self.batch_rows, work, scores, progress).go()
