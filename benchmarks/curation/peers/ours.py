"""This project: ingest and curate as a recipe does them, with ledger, dropped rows and digests.

python ours.py chats.jsonl FOLDER THREADS [ray]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

OPERATORS = [
    {"turns": {"min": 2}},
    "roles",
    {"length": {"min_chars": 100, "max_chars": 100_000}},
    "boilerplate",
    "exact_dedup",
    {"near_dedup": {"threshold": 0.7}},
]


def main(given: str, folder: str, threads: str, engine: str = "local") -> None:
    from curation.engines import ALLOCATOR

    os.environ |= {"POLARS_MAX_THREADS": threads, **ALLOCATOR}  # as for every step of a recipe
    from curation import table
    from curation.artifact import Surroundings, hash_file
    from curation.operator import OPERATOR_FIELD
    from curation.pipeline import curate
    from curation.sources.dataset import Dataset
    from curation.sources.intake import Intake

    entry = Dataset.model_validate({"path": given, "format": "sharegpt"})
    around = Surroundings(Path.cwd(), hash_file)
    entry = entry.model_copy(update={"path": entry.bind_pointer("path", entry.path, around)})
    out = Path(folder)
    intake = Intake([entry], "conversations", malformed=out / "malformed")
    table.write(out / "read", (frame for _, frame in intake.frames()))
    table.digest(out / "read")
    operators = [OPERATOR_FIELD.parse(o) for o in OPERATORS]
    curated = curate(out / "read", operators, engine=_engine(engine, int(threads)), work=out / "work")
    curated.kept.write(out / "kept")
    curated.dropped.write(out / "dropped")
    table.digest(out / "kept")
    table.digest(out / "dropped")
    (out / "figures.json").write_text(
        json.dumps({"state_bytes_per_row": _state(out / "kept", operators)}), encoding="utf-8"
    )
    _name_kept(out / "kept", out / "ids.txt")
    print("\n".join(curated.ledger.waterfall()))


def _engine(name: str, threads: int) -> Any:
    if name == "local":
        return None
    from curation.engines.ray import Ray

    return Ray(None, workers=threads)


def _state(rows: Path, operators: list[Any]) -> float:
    """Bytes a row of the largest table that a decision over all rows is made from."""
    from curation import table
    from curation.engines.barriers import table_of
    from curation.operator import Selector

    frame = next(table.batches(rows, size=1000))
    tables = [table_of(frame, operator) for operator in operators if isinstance(operator, Selector)]
    return max(made.estimated_size() / len(made) for made in tables)


def _name_kept(kept: Path, to: Path) -> None:
    """Writes the records' own ids of the rows that stayed."""
    import polars as pl

    from curation import table

    own = table.scan(kept).select(pl.col("meta").str.json_path_match("$.id")).collect().to_series()
    to.write_text("\n".join(own), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
