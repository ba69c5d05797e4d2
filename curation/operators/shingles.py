"""Texts as sets of short runs of words, each run one number: what near duplicates and leaks are found by.

A **token** is a word: letters, marks and digits between white space and punctuation, whatever its case. Scripts that
put no spaces between words (Chinese characters, kana, Thai, Lao, Khmer, Burmese) give one token a letter, wherever
they stand in a text, so that one edit changes as few runs there as elsewhere. A **shingle** is `size` tokens in a row;
a text that is shorter is one shingle by itself.

All this is arithmetic on the bytes of a whole batch at once, without an object a word: a pass over the bytes finds
where tokens begin and end, eight bytes of a token at a time are mixed into its 64-bit number, and the numbers of
neighbours into that of a shingle. The numbers depend on the text alone: on no machine, version or batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.operators.characters import CAPITAL, COMPOSES, LETTER, SEPARATOR, UNCLEAR, ascii_folded, tables

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    U64 = np.ndarray[Any, np.dtype[np.uint64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

_BATCH_BYTES = 1 << 19
"""Bytes worked on at once: what fits in a processor's cache goes through it several times."""
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Odd constants of splitmix64 (Steele, Lea, Flood 2014)."""


def shingles(texts: pl.Series, size: int = 5) -> tuple[U64, Ints]:
    """The shingles of each text, in order and with repetitions.

    Args:
        texts: Texts (String) or, for texts of several pieces that no shingle shall cross, lists of texts. A null has
            no shingles.
        size: Tokens of one shingle.

    Returns:
        (numbers of all shingles, one text after the other; where each text begins among them, and where all end).
    """
    import numpy as np
    import polars as pl

    pieces, per_text = texts, np.ones(len(texts), dtype=np.int64)
    if isinstance(texts.dtype, pl.List):
        per_text = texts.list.len().fill_null(0).to_numpy().astype(np.int64)
        pieces = texts.drop_nulls().explode(empty_as_null=False)
    numbers, counts = _of_pieces(pieces.fill_null(""), size)
    ends = np.concatenate([[0], np.cumsum(counts)])
    return numbers, ends[np.concatenate([[0], np.cumsum(per_text)])]


def _of_pieces(pieces: pl.Series, size: int) -> tuple[U64, Ints]:
    """(shingles of all texts, number of each text's)."""
    import numpy as np

    found, counts = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    for some in tokens(pieces):
        numbers, each = runs(some.numbers, some.edges, size)
        found.append(numbers)
        counts.append(each)
    return np.concatenate(found), np.concatenate(counts)


@dataclass(frozen=True)
class Tokens:
    """The tokens of some texts, one text after the other."""

    numbers: U64
    """One for each token."""
    edges: Ints
    """Where each text begins among the tokens, and where all end."""
    starts: Ints
    """Where each token begins in the UTF-8 of the texts (in NFC), put together."""
    lengths: Ints
    """Bytes of each token."""


def tokens(pieces: pl.Series) -> Iterator[Tokens]:
    """The tokens of texts without nulls, as many texts at a time as fit a processor's cache."""
    import numpy as np

    from curation.operators.text import composed

    content, offsets = _bytes(pieces)
    first = 0
    while first < len(pieces):
        last = int(np.searchsorted(offsets, offsets[first] + _BATCH_BYTES, side="right")) - 1
        last = max(last, first + 1)
        edges = offsets[first : last + 1]
        made = _of_bytes(bytes(content[edges[0] : edges[-1]]), edges - edges[0], look=True)
        if made is None:  # something in it may have to be composed first
            some, edges = _bytes(composed(pieces[first:last]))
            made = _of_bytes(bytes(some[edges[0] : edges[-1]]), edges - edges[0], look=False)
        if made is None:
            raise RuntimeError("composed text was not taken as it is")
        yield made
        first = last


def _bytes(pieces: pl.Series) -> tuple[memoryview, Ints]:
    """(UTF-8 of all texts, where each begins in it, and where all end)."""
    import numpy as np
    import polars as pl

    whole = pieces.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = whole.buffers()
    if not len(whole):
        return memoryview(b""), np.zeros(1, dtype=np.int64)
    edges = np.frombuffer(offsets, dtype=np.int64)[whole.offset : whole.offset + len(whole) + 1]
    return memoryview(content or b""), edges


def _of_bytes(text: bytes, edges: Ints, look: bool) -> Tokens | None:
    """The tokens of the pieces of a text between the edges.

    Args:
        look: Give None instead where a character may have to be composed with the one before it.
    """
    import numpy as np

    folded = bytearray(text.translate(ascii_folded()) + bytes(8))
    codes = np.frombuffer(folded, dtype=np.uint8)[: len(text)]
    inside = codes != 0x20
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    own = edges[:-1][edges[:-1] < len(text)]
    begins[own] = inside[own]
    if not text.isascii() and not _beyond_ascii(folded, inside, begins) and look:
        return None
    starts = np.flatnonzero(begins)
    closes = inside.copy()
    closes[:-1] &= ~inside[1:] | begins[1:]
    lengths = np.flatnonzero(closes) + 1 - starts
    return Tokens(_token_numbers(folded, starts, lengths), np.searchsorted(starts, edges), starts, lengths)


def _beyond_ascii(folded: bytearray, inside: Any, begins: Any) -> bool:
    """Folds case, and marks separators and letters that are tokens by themselves, among characters of several bytes.

    Returns:
        False where there is a character that may have to be composed.
    """
    import numpy as np

    size = len(inside)
    codes = np.frombuffer(folded, dtype=np.uint8)[:size]
    leads = np.flatnonzero(codes >= 0xC2)
    two = np.ndarray((size,), "<u2", folded, 0, (1,))[leads]
    kind = tables().kinds[two]
    special = np.flatnonzero(kind)  # most are letters of words, and small ones
    leads, two, kind = leads[special], two[special], kind[special]
    capital = np.flatnonzero(kind == CAPITAL)
    lower = tables().lower[two[capital]]
    codes[leads[capital]], codes[leads[capital] + 1] = lower & 0xFF, lower >> 8
    unclear = np.flatnonzero(kind == UNCLEAR)
    kind[unclear] = _by_point(folded, codes, leads[unclear])
    composes = bool((kind == COMPOSES).any())
    special = np.flatnonzero((kind == SEPARATOR) | (kind == LETTER))
    leads, kind = leads[special], kind[special]
    length = 2 + (codes[leads] >= 0xE0).astype(np.int64) + (codes[leads] >= 0xF0)
    for i in range(4):
        at = leads[(kind == SEPARATOR) & (length > i)] + i
        inside[at], begins[at] = False, False
    behind = leads + length
    behind = behind[behind < size]
    begins[behind] = inside[behind]
    begins[leads[kind == LETTER]] = True
    return not composes


def _by_point(folded: bytearray, codes: Any, leads: Ints) -> Any:
    """What characters of three and four bytes are; folds their case."""
    import numpy as np

    known = tables()
    four = np.ndarray((len(codes),), "<u4", folded, 0, (1,))[leads]
    # The bits of a character of three bytes; of one of four, all but the last six.
    points = ((four & 0x0F) << 12 | (four >> 2) & 0x0FC0 | (four >> 16) & 0x3F).astype(np.int64)
    long = np.flatnonzero((four & 0xF0) == 0xF0)
    if len(long):
        more = (points[long] & 0x7FFF) << 6 | ((four[long] >> 24) & 0x3F).astype(np.int64)
        points[long] = np.minimum(more, len(known.points) - 1)
    kinds = known.points.take(points)
    capital = np.flatnonzero((kinds == CAPITAL) | ((kinds == COMPOSES) & (points < len(known.small))))
    if len(capital):
        small, at = known.small[points[capital]].astype(np.int64), leads[capital]
        codes[at], codes[at + 1], codes[at + 2] = 0xE0 | small >> 12, 0x80 | (small >> 6) & 0x3F, 0x80 | small & 0x3F
    return kinds


def _token_numbers(folded: bytearray, starts: Ints, lengths: Ints) -> U64:
    """The number of each token: its bytes, eight at a time, and its length."""
    import numpy as np

    size = len(folded) - 7
    eights = np.ndarray((size,), "<u8", folded, 0, (1,))
    masks = np.array([(1 << 8 * i) - 1 for i in range(9)], dtype=np.uint64)
    first, second, _ = (np.uint64(m) for m in _MIX)
    numbers: U64 = eights[starts]
    numbers &= masks.take(np.minimum(lengths, 8))
    numbers ^= lengths.view(np.uint64) << np.uint64(56)  # a token of eight bytes or more is mixed again below
    numbers *= first
    numbers ^= numbers >> np.uint64(32)
    at, long = 8, np.flatnonzero(lengths > 8)
    while len(long):
        left = lengths.take(long) - at
        mixed = eights[starts.take(long) + at]  # eight bytes more than the text has stand behind it
        mixed &= masks.take(np.minimum(left, 8))
        mixed ^= numbers.take(long)
        mixed *= second
        mixed ^= mixed >> np.uint64(29)
        numbers[long] = mixed
        at += 8
        long = long.take(np.flatnonzero(left > 8))
    return numbers


def runs(tokens: U64, edges: Ints, size: int) -> tuple[U64, Ints]:
    """(numbers of `size` tokens in a row, number of each piece's); a shorter piece is one run."""
    import numpy as np

    first, second, third = (np.uint64(m) for m in _MIX)
    counts = np.diff(edges)
    numbers: U64 = tokens.copy()
    for j in range(1, min(size, len(tokens))):
        numbers[: len(tokens) - j] *= first
        numbers[: len(tokens) - j] += tokens[j:]
    for n in range(1, size):
        starts = edges[:-1][counts == n]
        short = np.full(len(starts), n, dtype=np.uint64)  # its length sets it apart from whole shingles
        for j in range(n):
            short = short * first + tokens[starts + j]
        numbers[starts] = short
    keeps = np.ones(len(tokens), dtype=bool)
    for j in range(1, size):
        ends = edges[1:][counts > j]
        keeps[ends - j] = False
    numbers = numbers[keeps]
    numbers ^= numbers >> np.uint64(30)
    numbers *= second
    numbers ^= numbers >> np.uint64(27)
    numbers *= third
    numbers ^= numbers >> np.uint64(31)
    return numbers, np.where(counts > 0, np.maximum(counts - size + 1, 1), 0)
