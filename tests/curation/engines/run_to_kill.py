"""One run that a test kills: imports everything, says `ready`, and begins when a line comes in.

    python run_to_kill.py GIVEN WORK OUT

So whatever moment after that it is killed at, it is at work and not at imports. (A fork of a process that has imported
everything would begin sooner; but Polars keeps threads from its import on, which a fork does not have.)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars_hash  # noqa: F401
import pyarrow.ipc  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401
from small_rows import Halves, Model

from curation import table
from curation.engines.local import Local
from curation.operator import OPERATOR_FIELD, Operator
from curation.pipeline import curate
from rlhf.recipe.caches import Scores


def operators() -> list[Operator]:
    """All kinds: an edit, a split, a filter, scores by row and by model, decisions over the table, columns written."""
    written: list[Any] = [
        "normalize",
        Halves(),
        "words",
        "exact_dedup",
        {"near_dedup": {"threshold": 0.9}},
        Model(),
        {"keep": "words >= 2 and model > 5"},
        {"random": {"fraction": 0.8}},
        {"split": {"test": 0.3}},
    ]
    return [OPERATOR_FIELD.parse(o) for o in written]


def said(given: Path, work: Path, out: Path) -> list[Any]:
    """What comes of the rows: digests and counts of what is kept and dropped, and the ledger's lines."""
    curated = curate(given, operators(), engine=Local(16), work=work, scores=Scores(work / "scores"))
    counts = [curated.kept.write(out / "kept"), curated.dropped.write(out / "dropped")]
    digests = [table.digest(out / name) for name in ("kept", "dropped")]
    return [digests, counts, [entry.model_dump(exclude={"seconds"}) for entry in curated.ledger.entries]]


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    said(*map(Path, sys.argv[1:]))
