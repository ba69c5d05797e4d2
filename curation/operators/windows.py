"""All runs of any number of tokens in some texts, each known by one number, at the price of one pass.

The number of a run is a polynomial in its tokens' numbers, modulo 2^64. Sums over the whole text give it for runs of
every length by one subtraction, so that looking for many lengths costs little more than looking for one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from curation.operators.shingles import U64, Tokens

_BASE = 0x9E3779B97F4A7C15
_SPECIAL = r"[\u{A0}ßſ\u{130}\u{3C2}\u{2460}-\u{24FF}\u{FB00}-\u{FB06}\u{FF00}-\u{FFEF}\u{1D400}-\u{1D7FF}]"
"""Characters that have another way to be written: wide and narrow forms, ligatures, letters in circles, `ß`."""


class Windows:
    """The runs of some texts.

    Attributes:
        edges: Where each text begins among the tokens, and where all end.
    """

    def __init__(self, some: Tokens) -> None:
        import numpy as np

        count = len(some.numbers)
        room = 1 << max(count, 1 << 16).bit_length()  # few different sizes, so that the powers are kept
        self.edges = some.edges
        self._sums = np.zeros(count + 1, dtype=np.uint64)
        np.cumsum(some.numbers * _powers(room, inverse=True)[:count], out=self._sums[1:])
        self._powers = _powers(room, inverse=False)
        self._ends = np.repeat(some.edges[1:], np.diff(some.edges))

    def of(self, size: int) -> tuple[U64, Any]:
        """(number of the run of this size from each token on, whether it ends in the same text)."""
        import numpy as np

        count = max(len(self._ends) - size + 1, 0)
        starts = np.arange(count)
        return self._between(starts, starts + size), self._ends[:count] - starts >= size

    def whole(self) -> U64:
        """The number of each text as one run."""
        return self._between(self.edges[:-1], self.edges[1:])

    def _between(self, starts: Any, ends: Any) -> U64:
        import numpy as np

        numbers: U64 = (self._sums[ends] - self._sums[starts]) * self._powers[starts]
        numbers ^= numbers >> np.uint64(32)
        return numbers


@cache
def _powers(count: int, inverse: bool) -> Any:
    """Powers of the base modulo 2^64, or of its inverse."""
    import numpy as np

    steps = np.full(count, pow(_BASE, -1, 1 << 64) if inverse else _BASE, dtype=np.uint64)
    steps[0] = 1
    return np.cumprod(steps)


def plain(texts: pl.Series) -> pl.Series:
    """The texts as they are compared: composed, in plain letters, Vietnamese tone marks in one place."""
    import unicodedata

    from curation.operators.text import composed
    from curation.operators.vietnamese import placed

    texts = texts.fill_null("")
    places = texts.str.contains(_SPECIAL).arg_true()
    if len(places):
        changed = [unicodedata.normalize("NFKC", text).casefold() for text in texts.gather(places)]
        texts = texts.clone().scatter(places, changed)
    return placed(composed(texts), "new")
