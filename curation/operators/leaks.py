"""Finds runs of words of many benchmarks in texts: an index of their numbers, and the search.

An index holds tables, one for each kind and length of run: for each number the probes (texts of a benchmark's items,
`curation.operators.probes`) that have the run. A table of marks, eight bits a run, answers for nearly all runs of a
text that they are in none; the rest is looked up among sorted numbers. Some 40 bytes for each word of the benchmarks
are held, however many rows are searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from curation.operators.shingles import tokens
from curation.operators.windows import Windows, plain

if TYPE_CHECKING:
    import polars as pl

    from curation.operators.shingles import U64, Ints

How = Literal["run", "whole", "most", "near"]
"""`run`: one of these runs anywhere is a leak. `whole`: a message that is this run. `most`: enough of them in one
message. `near`: the same, but it is called a near leak."""


class Table:
    """Numbers of runs, and who has each.

    Args:
        numbers: Of the runs.
        probes: The probe of each.
    """

    def __init__(self, numbers: U64, probes: Ints) -> None:
        import numpy as np

        order = np.lexsort((probes, numbers))
        self._numbers, self._probes = numbers[order], probes[order].astype(np.int32)
        self._shift = np.uint64(64 - max(16, len(order).bit_length() + 3))
        self._marks = np.zeros(1 << (64 - int(self._shift)), dtype=bool)
        self._marks[self._numbers >> self._shift] = True

    def places(self, numbers: U64, allowed: Any) -> Ints:
        """Which of the allowed runs are in the table."""
        import numpy as np

        maybe: Ints = np.flatnonzero(self._marks[numbers >> self._shift] & allowed)
        at = np.minimum(np.searchsorted(self._numbers, numbers[maybe]), len(self._numbers) - 1)
        found: Ints = maybe[self._numbers[at] == numbers[maybe]]
        return found

    def holders(self, numbers: U64) -> tuple[Ints, Ints]:
        """(index into `numbers`, probe) for every probe that has the run."""
        import numpy as np

        first = np.searchsorted(self._numbers, numbers, side="left")
        count = np.searchsorted(self._numbers, numbers, side="right") - first
        which = np.repeat(np.arange(len(numbers)), count)
        within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return which, self._probes[first[which] + within].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a probe was found in a text."""

    probe: int
    how: How
    runs: int
    """How many of its runs are there."""
    start: int
    end: int
    """From where to where, in bytes of the plain text."""


@dataclass(frozen=True)
class Index:
    """What is looked for."""

    tables: Mapping[tuple[How, int], Table]
    """How, and the length of the runs in tokens -> the runs."""
    needs: Mapping[How, Ints]
    """For `most` and `near`: for each probe, how many of its runs are enough."""
    owners: Ints
    """For each probe, the item that it belongs to."""
    names: list[tuple[str, str]]
    """For each item, its benchmark and its index there."""

    def search(self, pieces: pl.Series) -> Any:
        """For each text 2 where it holds a run of a probe, 1 where it nearly holds one, else 0."""
        import numpy as np

        found = [np.zeros(0, dtype=np.uint8)]
        for some in tokens(plain(pieces)):
            made = np.zeros(len(some.edges) - 1, dtype=np.uint8)
            windows = Windows(some)
            for (how, size), table in self.tables.items():
                places, numbers = _places(how, size, table, windows)
                piece = np.searchsorted(some.edges, places, side="right") - 1
                if how in self.needs:
                    piece, numbers = different(piece, numbers)
                    which, probes = table.holders(numbers)
                    both, counts = np.unique((piece[which] << 32) | probes, return_counts=True)
                    piece = both[counts >= self.needs[how][both & 0xFFFFFFFF]] >> 32
                made[piece] = np.maximum(made[piece], 1 if how == "near" else 2)
            found.append(made)
        return np.concatenate(found)

    def hits(self, text: str) -> list[Hit]:
        """Every probe that is found in a plain text."""
        import numpy as np
        import polars as pl

        (some,) = tokens(pl.Series([text], dtype=pl.String))
        windows, made = Windows(some), []
        for (how, size), table in self.tables.items():
            places, numbers = _places(how, size, table, windows)
            which, probes = table.holders(numbers)
            for probe in np.unique(probes).tolist():
                own = which[probes == probe]
                runs = len(np.unique(numbers[own]))
                if how in self.needs and runs < self.needs[how][probe]:
                    continue
                first, last = _longest(places[own], size if how == "near" else 1)
                end = last + size - 1
                made.append(Hit(probe, how, runs, int(some.starts[first]), int(some.starts[end] + some.lengths[end])))
        return made


def _places(how: How, size: int, table: Table, windows: Windows) -> tuple[Ints, U64]:
    """(first tokens of the runs that the table has, their numbers)."""
    import numpy as np

    numbers, allowed = windows.of(size)
    if how == "whole":
        starts = windows.edges[:-1][np.diff(windows.edges) == size]
        whole = np.zeros(len(allowed), dtype=bool)
        whole[starts] = True
        allowed &= whole
    places = table.places(numbers, allowed)
    return places, numbers[places]


def _longest(places: Ints, gap: int) -> tuple[int, int]:
    """(first, last) of the longest stretch of places that are no further apart than the gap; of equals the first."""
    import numpy as np

    cuts = np.flatnonzero(np.diff(places) > gap) + 1
    stretches = np.split(places, cuts)
    longest = max(stretches, key=lambda s: int(s[-1] - s[0]))
    return int(longest[0]), int(longest[-1])


def different(some: Any, others: Any) -> tuple[Any, Any]:
    """The different pairs of two columns, sorted."""
    import numpy as np

    order = np.lexsort((others, some))
    some, others = some[order], others[order]
    new = np.ones(len(some), dtype=bool)
    new[1:] = (some[1:] != some[:-1]) | (others[1:] != others[:-1])
    return some[new], others[new]
