"""How a score is spread over the rows that stayed and those that went: counts in equal bins.

Rows that were dropped before a score was made do not have it, and are counted as such. Where a score spans orders of
magnitude the bins are equal on a logarithmic axis. The outermost values lie in the first and last bins, so that one odd
row does not squeeze all others into one bar.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

BINS = 40
_SPAN = 12.0
"""A score whose largest values are so many times its median gets a logarithmic axis, if it is positive."""


def histograms(kept: Path, dropped: Path | None) -> list[dict[str, Any]]:
    """One a score, by name: `score`, `low`, `high` (ends of the axis), `log`, `kept` and `dropped` (counts a bin),
    `without` (dropped rows that do not have it).
    """
    from curation import table
    from curation.frame import SCORES

    folders = [table.scan(kept), *([table.scan(dropped)] if dropped else [])]
    columns = sorted({c for lazy in folders for c in lazy.collect_schema().names() if c.startswith(SCORES)})
    made = (_one(column, column.removeprefix(SCORES), folders) for column in columns)
    return [histogram for histogram in made if histogram]


def _one(column: str, name: str, folders: list[pl.LazyFrame]) -> dict[str, Any] | None:
    import polars as pl

    have = [column in lazy.collect_schema().names() for lazy in folders]
    values = [
        lazy.select(pl.col(column)).collect()[column] if there else None
        for lazy, there in zip(folders, have, strict=True)
    ]
    present = [v.drop_nulls() for v in values if v is not None]
    finite = pl.concat([v.filter(v.is_finite()) for v in present])
    if not len(finite):
        return None
    low, high, median = (float(finite.quantile(q, "nearest") or 0.0) for q in (0.002, 0.998, 0.5))
    log = low > 0 and high > _SPAN * median
    if low == high:
        low, high = low - 0.5, high + 0.5
    axis = [math.log(x) if log else x for x in (low, high)]
    gone = folders[1].select(pl.len()).collect().item() if len(folders) > 1 else 0
    return {
        "score": name,
        "low": low,
        "high": high,
        "log": log,
        "kept": _counts(values[0], axis, log),
        "dropped": _counts(values[1] if len(values) > 1 else None, axis, log),
        "without": gone - (values[1].count() if len(values) > 1 and values[1] is not None else 0),
    }


def _counts(values: pl.Series | None, axis: list[float], log: bool) -> list[int]:
    import numpy as np

    if values is None:
        return [0] * BINS
    numbers = values.drop_nulls().to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        places = np.log(numbers) if log else numbers
        bins = (places - axis[0]) / (axis[1] - axis[0]) * BINS
    whole = np.clip(np.nan_to_num(bins, nan=0.0, posinf=BINS, neginf=0.0), 0, BINS - 1).astype(int)
    return [int(n) for n in np.bincount(whole, minlength=BINS)]
