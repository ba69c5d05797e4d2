"""How many rows each entry gives to a mixture, and which.

How many is TRL's rule (`trl.scripts.utils.get_dataset`): fractions count relative to each other, and the mixture is the
largest in which no entry would have to repeat a row. Which rows is our own: TRL takes the first ones of the file; here
those whose salted hash comes first, so that an order in the file (by topic, by date) does not decide. The salt keeps
the choice apart from splits, which hash the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from curation.errors import RecipeError

_SALT = "fraction:"

Mark = tuple[str, str, int]
"""(id, digest of its file, index in it) of a row."""


def check(fractions: Sequence[float | None]) -> None:
    """Raises where some entries have a fraction and others none.

    Raises:
        RecipeError: with what to write.
    """
    if any(f is None for f in fractions) and any(f is not None for f in fractions):
        raise RecipeError("some data sets have a `fraction`, others none", hint="give it to all of them or to none")
    if len(fractions) == 1 and fractions[0] is not None and fractions[0] > 1:
        raise RecipeError("`fraction` is more than the whole", hint="a single data set gives at most 1.0 of itself")


def shares(counts: Sequence[int], fractions: Sequence[float]) -> list[int]:
    """How many rows each entry gives."""
    if len(counts) == 1:
        return [round(fractions[0] * counts[0])]
    weights = [f / sum(fractions) for f in fractions]
    total = min(count / weight for count, weight in zip(counts, weights, strict=True))
    return [round(weight * total) for weight in weights]


def taken(marks: Iterable[Mark], number: int) -> list[bool]:
    """Which of the rows are the first `number` by hash."""
    marks = list(marks)
    keys = [(hashlib.sha256((_SALT + row).encode()).digest(), digest, index) for row, digest, index in marks]
    first = sorted(range(len(marks)), key=lambda i: keys[i])[:number]
    kept = [False] * len(marks)
    for i in first:
        kept[i] = True
    return kept
