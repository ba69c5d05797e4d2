"""The nearest of many vectors, exactly, a block at a time: matrix products of bounded size, no table of all pairs.

Vectors have length 1, so a product is a cosine similarity. Similarities are rounded to six digits before anything is
decided on them: a product of float32 vectors is no more exact than that, and of a vector with itself it may come to
1.0000001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

_ROWS = 512
_OTHERS = 8192
_DIGITS = 6


def array(column: pl.Series) -> Any:
    """A column of vectors (Array of Float32) as one matrix."""
    width: int = column.dtype.shape[0]  # type: ignore[attr-defined]  # of an Array
    return column.reshape((-1,)).to_numpy().reshape(len(column), width)


def nearest(vectors: Any, others: Any) -> tuple[Any, Any]:
    """For each vector the place of the nearest of the others (-1 if there is none) and the similarity to it."""
    import numpy as np

    places = np.full(len(vectors), -1, dtype=np.int64)
    likeness = np.full(len(vectors), -np.inf, dtype=np.float32)
    for start in range(0, len(vectors), _ROWS):
        block = slice(start, start + _ROWS)
        _nearer(vectors[block], others, 0, places[block], likeness[block])
    return places, np.round(likeness.astype(np.float64), _DIGITS)


def _nearer(block: Any, others: Any, first: int, places: Any, likeness: Any) -> None:
    """Updates, in place, what is nearest to each row of a block, by those of the others that are nearer still."""
    import numpy as np

    for start in range(0, len(others), _OTHERS):
        product = block @ others[start : start + _OTHERS].T
        best = product.argmax(axis=1)
        found = product[np.arange(len(block)), best]
        better = found > likeness
        places[better], likeness[better] = first + start + best[better], found[better]


@dataclass(frozen=True)
class Chosen:
    """What `one_by_one` came to, by place in the order that it was given."""

    stays: Any
    """True for rows that were chosen."""
    seen: int
    """Rows that were looked at before the budget was reached; the rest was not compared."""
    nearest: Any
    """Place of the row chosen before that is nearest, -1 where none was."""
    likeness: Any
    """The similarity to it."""


def one_by_one(vectors: Any, limit: float, *, at_limit: bool, budget: int | None = None) -> Chosen:
    """Goes through rows in their order and chooses each that is not too similar to one that was chosen before.

    Args:
        limit: The similarity from which on a row is too similar.
        at_limit: Whether a row at exactly the limit is.
        budget: Rows after which it stops.
    """
    import numpy as np

    n = len(vectors)
    most = n if budget is None else min(budget, n)
    stays = np.zeros(n, dtype=bool)
    near, likeness = np.full(n, -1, dtype=np.int64), np.full(n, -np.inf, dtype=np.float32)
    chosen = np.empty((most, vectors.shape[1]), dtype=np.float32)
    place_of = np.empty(most, dtype=np.int64)
    count = 0
    for start in range(0, n, _ROWS):
        if count == most:
            return Chosen(stays, start, near, np.round(likeness.astype(np.float64), _DIGITS))
        block = vectors[start : start + _ROWS]
        its_near, its_likeness = near[start : start + _ROWS], likeness[start : start + _ROWS]
        _nearer(block, chosen[:count], 0, its_near, its_likeness)
        found = its_near >= 0
        its_near[found] = place_of[its_near[found]]
        inside = block @ block.T
        for row in range(len(block)):
            if count == most:
                return Chosen(stays, start + row, near, np.round(likeness.astype(np.float64), _DIGITS))
            similar = round(float(its_likeness[row]), _DIGITS) if its_near[row] >= 0 else -np.inf
            if similar > limit or (at_limit and similar == limit):
                continue
            stays[start + row] = True
            chosen[count], place_of[count] = block[row], start + row
            count += 1
            after = slice(row + 1, None)
            nearer = inside[row, after] > its_likeness[after]
            its_near[after][nearer] = start + row
            its_likeness[after][nearer] = inside[row, after][nearer]
    return Chosen(stays, n, near, np.round(likeness.astype(np.float64), _DIGITS))


def nearest_before(vectors: Any) -> tuple[Any, Any]:
    """Like `nearest`, for each vector among those that stand before it."""
    import numpy as np

    places = np.full(len(vectors), -1, dtype=np.int64)
    likeness = np.full(len(vectors), -np.inf, dtype=np.float32)
    for start in range(0, len(vectors), _ROWS):
        block = vectors[start : start + _ROWS]
        found, like = places[start : start + _ROWS], likeness[start : start + _ROWS]
        _nearer(block, vectors[:start], 0, found, like)
        inside = np.tril(block @ block.T, -1) + np.triu(np.full((len(block), len(block)), -np.inf, dtype=np.float32))
        best = inside.argmax(axis=1)
        value = inside[np.arange(len(block)), best]
        better = value > like
        found[better], like[better] = start + best[better], value[better]
    return places, np.round(likeness.astype(np.float64), _DIGITS)
