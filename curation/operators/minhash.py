"""Sketches: 104 bytes that stand for a set of shingles, from which the likeness of two sets is read.

**One hash a shingle.** A shingle's number says which of 208 bins it falls into and what it is worth there; each bin
keeps its smallest (one-permutation hashing: Li, Owen, Zhang 2012). A bin that no shingle fell into borrows from the
first bin in an order of its own that has something (optimal densification: Shrivastava 2017), so that for sets of any
size two bins of the same number agree with a chance that is the sets' Jaccard similarity. Of each bin four bits are
kept (b-bit minwise hashing: Li, König 2010): sets that share nothing still agree in one bin of sixteen, which
`likeness` takes off.

**Candidates.** Sets that agree in eight bins of some band are looked at; `alike` finds them by sorting the bands. At a
Jaccard similarity of 0.75 a pair is found with a chance of 0.998, at 0.4 with 0.07. Whether they are alike is decided
by all 208 bins, with a standard error of 0.03. Nothing depends on the order of the sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from curation.operators.shingles import U64, Ints

    Sketch = np.ndarray[Any, np.dtype[np.uint64]]
    """(sets, WORDS)"""

BINS = 208
WORDS = BINS // 16
"""64-bit words of a sketch, sixteen bins each."""
_FEW = 48
"""Up to so many filled bins, all of them are tried for every empty one at once; beyond, one after the other."""
_SHINGLES = 1 << 18
"""Shingles worked on at once."""
_PAIRS = 1 << 18
"""Pairs compared at once."""
_CROWD = 24
"""Sets with one band in common that are all compared with one another; in a larger crowd each with so many others."""


def sketches(numbers: U64, edges: Ints) -> Sketch:
    """One sketch a set; a set of nothing has a sketch of zeros.

    Args:
        numbers: Numbers of the shingles of all sets, one set after the other; repetitions do not count.
        edges: Where each set begins among them, and where all end.
    """
    import numpy as np

    made = np.zeros((len(edges) - 1, WORDS), dtype=np.uint64)
    first = 0
    while first < len(made):
        last = int(np.searchsorted(edges, edges[first] + _SHINGLES, side="right")) - 1
        last = min(max(last, first + 1), first + 4096)
        own = edges[first : last + 1]
        made[first:last] = _packed(_bins(numbers[own[0] : own[-1]], own - own[0]))
        first = last
    return made


def _bins(numbers: U64, edges: Ints) -> Any:
    """(sets, BINS) of four-bit values."""
    import numpy as np

    sets = len(edges) - 1
    empty = np.uint32(0xFFFFFFFF)
    values = np.full((sets, BINS), empty, dtype=np.uint32)
    rows = np.repeat(np.arange(sets, dtype=np.int64) * BINS, np.diff(edges))
    places = rows + (((numbers >> np.uint64(32)) * np.uint64(BINS)) >> np.uint64(32)).astype(np.int64)
    np.minimum.at(values.reshape(-1), places, (numbers & np.uint64(0xFFFFFFFE)).astype(np.uint32))
    filled = values != empty
    count = filled.sum(axis=1)
    _borrow_few(values, filled, np.flatnonzero((count > 0) & (count <= _FEW)))
    _borrow(values, filled, np.flatnonzero((count > _FEW) & (count < BINS)))
    # Mixed with the number of the bin: sets whose bins all borrow from one another agree by chance in each bin anew.
    values ^= _salts()
    values *= np.uint32(0x9E3779B1)
    values ^= values >> np.uint32(15)
    values *= np.uint32(0x85EBCA77)
    values >>= np.uint32(28)
    values[count == 0] = 0
    return values.astype(np.uint8)


def _borrow_few(values: Any, filled: Any, sets: Ints) -> None:
    """Fills the empty bins of sets with few filled ones: the filled bin of lowest rank, for all bins at once."""
    import numpy as np

    for some in np.array_split(sets, len(sets) // 512 + 1):
        if not len(some):
            continue
        row, have = np.nonzero(filled[some])
        starts = np.searchsorted(row, np.arange(len(some)))
        lender = np.minimum.reduceat(_ranks()[have], starts, axis=0) & 0xFF
        values[some] = np.take_along_axis(values[some], lender.astype(np.int64), axis=1)


def _borrow(values: Any, filled: Any, sets: Ints) -> None:
    """Fills the empty bins of sets: one place of every bin's order after the other, until all have found something."""
    import numpy as np

    row, bins = np.nonzero(~filled[sets])
    first = sets[row] * BINS
    flat, has = values.reshape(-1), filled.reshape(-1)
    for lenders in _orders().T[1:]:
        if not len(bins):
            return
        lender = first + lenders.take(bins)
        found = has.take(lender)
        some, others = np.flatnonzero(found), np.flatnonzero(~found)
        flat[first.take(some) + bins.take(some)] = flat.take(lender.take(some))
        first, bins = first.take(others), bins.take(others)


@cache
def _orders() -> Any:
    """(BINS, BINS): from which bins each one borrows, itself first."""
    import numpy as np

    bins = np.arange(BINS, dtype=np.uint64)
    # A random-looking number for each pair, sorted: no generator whose stream may change with its version.
    mixed = (bins[:, None] * np.uint64(BINS) + bins[None, :] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed[bins, bins] = 0
    return np.argsort(mixed, axis=1, kind="stable")


@cache
def _ranks() -> Any:
    """(BINS, BINS): for a lender, where it stands in each bin's order, with its own number in the low byte."""
    import numpy as np

    ranks = np.empty((BINS, BINS), dtype=np.uint16)
    bins = np.arange(BINS)
    ranks[_orders(), bins[:, None]] = bins[None, :]
    return (ranks << 8) | bins[:, None].astype(np.uint16)


@cache
def _salts() -> Any:
    import numpy as np

    return (np.arange(1, BINS + 1, dtype=np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F) >> np.uint64(32)).astype(np.uint32)


def _packed(bins: Any) -> Sketch:
    """Sixteen bins a word, the first in the lowest bits."""
    import numpy as np

    pairs = bins[:, 0::2] | (bins[:, 1::2] << 4)
    return np.ascontiguousarray(pairs).view("<u8").astype(np.uint64, copy=False)


def likeness(some: Sketch, others: Sketch) -> Any:
    """The Jaccard similarity of each pair of sets, as their sketches tell it (below 0 by chance, at most 1).

    Parts of sketches will do, the same words of each: with less of them the error grows.
    """
    import numpy as np

    differ = some ^ others
    differ |= differ >> np.uint64(1)
    differ |= differ >> np.uint64(2)
    differ &= np.uint64(0x1111111111111111)
    equal = 1 - np.bitwise_count(differ).sum(axis=-1, dtype=np.int64) / (16 * differ.shape[-1])
    return (equal - 1 / 16) / (15 / 16)


class Sketches:
    """Many sketches in pieces that stay where they are (mapped files, say).

    Args:
        pieces: Each (sets, WORDS).
    """

    def __init__(self, pieces: Sequence[Sketch]) -> None:
        import numpy as np

        self.pieces = [piece for piece in pieces if len(piece)]
        self.ends = np.cumsum([len(piece) for piece in self.pieces], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.ends[-1]) if self.pieces else 0

    def halves(self, number: int) -> Any:
        """Eight bins of every set, as one number (uint32)."""
        import numpy as np

        word, shift = divmod(number, 2)
        made = np.empty(len(self), dtype=np.uint32)
        for piece, end in zip(self.pieces, self.ends, strict=True):
            made[end - len(piece) : end] = piece[:, word] >> np.uint64(32 * shift)
        return made

    def digests(self) -> U64:
        """A number for each whole sketch; 0 for that of the empty set."""
        import numpy as np

        made = np.zeros(len(self), dtype=np.uint64)
        for piece, end in zip(self.pieces, self.ends, strict=True):
            own = made[end - len(piece) : end]
            for word in range(WORDS):
                own ^= piece[:, word]
                own *= np.uint64(0x9E3779B97F4A7C15)
                own ^= own >> np.uint64(32)
        return made

    def at(self, places: Ints) -> Sketch:
        """The sketches at these places, in this order."""
        import numpy as np

        made = np.empty((len(places), WORDS), dtype=np.uint64)
        order = np.argsort(places, kind="stable")
        cuts = np.searchsorted(places[order], self.ends)
        first = 0
        for piece, end, last in zip(self.pieces, self.ends, cuts, strict=True):
            own = order[first:last]
            made[own] = piece[places[own] - (end - len(piece))]
            first = last
        return made


def stand_ins(sets: Sketches) -> tuple[Ints, Ints]:
    """Sets with equal sketches are one: (the different ones, for each set the place among them of its own).

    The different ones are in an order that depends on their content alone. The empty set has the place -1.
    """
    import numpy as np

    digests = sets.digests()
    different, first, place = np.unique(digests, return_index=True, return_inverse=True)
    if len(different) and different[0] == 0:
        return first[1:], place.astype(np.int64) - 1
    return first, place.astype(np.int64)


def alike(sets: Sketches, places: Ints, threshold: float, uninteresting: Any = None) -> Any:
    """Pairs of sets that are at least as alike as the threshold: (pairs, 2), each pair once, as indices into `places`.

    Args:
        places: Which sets are compared; no two with the same sketch.
        uninteresting: For each of them, whether it need not be compared with others of that kind. None: all count.
    """
    import numpy as np

    found: U64 = np.zeros(0, dtype=np.uint64)
    for keys in _bands(sets, places, threshold):
        for left, right in _together(keys):
            if uninteresting is not None:
                both = uninteresting[left] & uninteresting[right]
                left, right = left[~both], right[~both]
            pairs = (left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)
            pairs = pairs[~_among(pairs, found)]
            for at in range(0, len(pairs), _PAIRS):
                some = pairs[at : at + _PAIRS]
                a, b = _split(some)
                same = likeness(sets.at(places[a]), sets.at(places[b])) >= threshold
                found = np.union1d(found, some[same])
    return np.stack(_split(found), axis=1)


def _split(pairs: U64) -> tuple[Ints, Ints]:
    import numpy as np

    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _among(values: U64, known: U64) -> Any:
    """Whether each value is in a sorted array."""
    import numpy as np

    if not len(known):
        return np.zeros(len(values), dtype=bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


# A band is eight bins. The first 26 bands are the halves of the words; more of them take some bins of one half and the
# others of another. Where less alike sets must meet, six bins make a band.
_STRICT = [(0, 0xFFFFFFFF), (1, 0xFFFF0000)]
_LOOSE = [(0, 0xFFFFFFFF), (1, 0xFFFF0000), (5, 0xFF00FF00), (9, 0xF0F0F0F0)]


def _bands(sets: Sketches, places: Ints, threshold: float) -> Iterator[Any]:
    """The keys of one band after the other."""
    import numpy as np

    strict = threshold >= 0.65
    counts, mixes = (0xFFFFFFFF, _STRICT) if strict else (0x0FFFFFF0, _LOOSE)
    halves = 2 * WORDS
    for step, mask in mixes:
        for number in range(halves):
            keys = sets.halves(number)[places] & np.uint32(mask & counts)
            if step:
                keys |= sets.halves((number + step) % halves)[places] & np.uint32(~mask & counts)
            yield keys


def _together(keys: Any) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of places with equal keys, the smaller first; of a crowd, each with the next ones."""
    import numpy as np

    ordered = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    ordered.sort()
    low = np.uint64(0xFFFFFFFF)
    for step in range(1, _CROWD):
        # Equal in the upper half: nothing is left there when one is put on the other.
        left = np.flatnonzero((ordered[step:] ^ ordered[:-step]) <= low)
        if not len(left):
            return
        yield (ordered[left] & low).astype(np.int64), (ordered[left + step] & low).astype(np.int64)
