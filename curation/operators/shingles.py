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

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    U64 = np.ndarray[Any, np.dtype[np.uint64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

_BATCH_BYTES = 1 << 19
"""Bytes worked on at once: what fits in a processor's cache goes through it several times."""
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Odd constants of splitmix64 (Steele, Lea, Flood 2014)."""

_WORD, _SEPARATOR, _LETTER, _COMPOSES, _CAPITAL, _UNCLEAR = range(6)
# Characters beyond ASCII that stand between words: first and last code point of each run.
_SEPARATORS = (
    (0x80, 0xA9), (0xAB, 0xB1), (0xB4, 0xB4), (0xB6, 0xB8), (0xBB, 0xBB), (0xBF, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7),
    (0x37E, 0x37E), (0x387, 0x387), (0x55A, 0x55F), (0x589, 0x58A), (0x5BE, 0x5BE), (0x5C0, 0x5C0), (0x5C3, 0x5C3),
    (0x5F3, 0x5F4), (0x609, 0x60D), (0x61B, 0x61B), (0x61D, 0x61F), (0x66A, 0x66D), (0x6D4, 0x6D4), (0x700, 0x70D),
    (0x964, 0x965), (0x970, 0x970), (0xE2F, 0xE2F), (0xE3F, 0xE3F), (0xE4F, 0xE4F), (0xE5A, 0xE5B), (0xF04, 0xF14),
    (0x104A, 0x104F), (0x10FB, 0x10FB), (0x1361, 0x1368), (0x166E, 0x166E), (0x1680, 0x1680), (0x17D4, 0x17DB),
    (0x1800, 0x180A), (0x1C7E, 0x1C7F), (0x2000, 0x200B), (0x200E, 0x206F), (0x20A0, 0x20CF), (0x2190, 0x245F),
    (0x2500, 0x2BFF), (0x2E00, 0x2E7F), (0x3000, 0x3004), (0x3008, 0x3020), (0x3030, 0x3030), (0x303D, 0x303F),
    (0x30A0, 0x30A0), (0x30FB, 0x30FB), (0xA4FE, 0xA4FF), (0xA60D, 0xA60F), (0xFD3E, 0xFD3F), (0xFE10, 0xFE1F),
    (0xFE30, 0xFE6B), (0xFEFF, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65), (0xFFE0, 0xFFFF),
    (0x1F000, 0x1FBFF),
)  # fmt: skip
# Scripts whose words are not set apart: each of their letters and marks is a token.
_LETTERS = (
    (0xE01, 0xE2E), (0xE30, 0xE3A), (0xE40, 0xE4E), (0xE81, 0xEDF), (0x1000, 0x1049), (0x1050, 0x109F),
    (0x1780, 0x17D3), (0x17DC, 0x17DD), (0x19E0, 0x19FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x302F),
    (0x3031, 0x303C), (0x3041, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA9E0, 0xA9FE), (0xAA60, 0xAA7F), (0xFF66, 0xFF9F), (0x1B000, 0x1B2FF), (0x20000, 0x2F7FF),
    (0x2FA20, 0x33479),
)  # fmt: skip
# Characters that composing (NFC) may change or join with the one before them: UCD's NFC_Quick_Check other than Yes.
_COMPOSING = (
    (0x300, 0x304), (0x306, 0x30C), (0x30F, 0x30F), (0x311, 0x314), (0x31B, 0x31B), (0x323, 0x328), (0x32D, 0x331),
    (0x338, 0x338), (0x340, 0x345), (0x374, 0x374), (0x653, 0x655), (0x93C, 0x93C), (0x958, 0x95F), (0x9BE, 0x9BE),
    (0x9D7, 0x9DF), (0xA33, 0xA36), (0xA59, 0xA5E), (0xB3E, 0xB3E), (0xB56, 0xB5D), (0xBBE, 0xBBE), (0xBD7, 0xBD7),
    (0xCC2, 0xCC2), (0xCD5, 0xCD6), (0xD3E, 0xD3E), (0xD57, 0xD57), (0xDCA, 0xDDF), (0xF43, 0xF93), (0x102E, 0x102E),
    (0x1100, 0x11C2), (0x1B35, 0x1B35), (0x1F71, 0x1FFD), (0x2126, 0x212B), (0x2ADC, 0x2ADC), (0x3099, 0x309A),
    (0xF900, 0xFAFF), (0xFB1D, 0xFB4E), (0x110BA, 0x110BA), (0x11127, 0x11127), (0x2F800, 0x2FA1F),
)  # fmt: skip


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

    from curation.operators.text import composed

    found, counts = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    content, offsets = _bytes(pieces)
    first = 0
    while first < len(pieces):
        last = int(np.searchsorted(offsets, offsets[first] + _BATCH_BYTES, side="right")) - 1
        last = max(last, first + 1)
        edges = offsets[first : last + 1]
        made = _of_bytes(bytes(content[edges[0] : edges[-1]]), edges - edges[0], size, look=True)
        if made is None:  # something in it may have to be composed first
            some, edges = _bytes(composed(pieces[first:last]))
            made = _of_bytes(bytes(some[edges[0] : edges[-1]]), edges - edges[0], size, look=False)
        if made is not None:
            found.append(made[0])
            counts.append(made[1])
        first = last
    return np.concatenate(found), np.concatenate(counts)


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


def _of_bytes(text: bytes, edges: Ints, size: int, look: bool) -> tuple[U64, Ints] | None:
    """(shingles, number of each piece's) of the pieces of a text between the edges.

    Args:
        look: Give None instead where a character may have to be composed with the one before it.
    """
    import numpy as np

    folded = bytearray(text.translate(_ascii()) + bytes(8))
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
    tokens = _token_numbers(folded, starts, np.flatnonzero(closes) + 1 - starts)
    return _runs(tokens, np.searchsorted(starts, edges), size)


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
    kind = _tables().kinds[two]
    special = np.flatnonzero(kind)  # most are letters of words, and small ones
    leads, two, kind = leads[special], two[special], kind[special]
    capital = np.flatnonzero(kind == _CAPITAL)
    lower = _tables().lower[two[capital]]
    codes[leads[capital]], codes[leads[capital] + 1] = lower & 0xFF, lower >> 8
    unclear = np.flatnonzero(kind == _UNCLEAR)
    kind[unclear] = _by_point(folded, codes, leads[unclear])
    composes = bool((kind == _COMPOSES).any())
    special = np.flatnonzero((kind == _SEPARATOR) | (kind == _LETTER))
    leads, kind = leads[special], kind[special]
    length = 2 + (codes[leads] >= 0xE0).astype(np.int64) + (codes[leads] >= 0xF0)
    for i in range(4):
        at = leads[(kind == _SEPARATOR) & (length > i)] + i
        inside[at], begins[at] = False, False
    behind = leads + length
    behind = behind[behind < size]
    begins[behind] = inside[behind]
    begins[leads[kind == _LETTER]] = True
    return not composes


def _by_point(folded: bytearray, codes: Any, leads: Ints) -> Any:
    """What characters of three and four bytes are; folds their case."""
    import numpy as np

    tables = _tables()
    four = np.ndarray((len(codes),), ">u4", folded, 0, (1,))[leads].astype(np.int64)
    points = ((four >> 12) & 0xF000) | ((four >> 10) & 0x0FC0) | ((four >> 8) & 0x3F)
    long = ((four >> 6) & 0x1C0000) | ((four >> 4) & 0x3F000) | ((four >> 2) & 0x0FC0) | (four & 0x3F)
    points = np.where(four >= 0xF0000000, long, points)
    points = np.minimum(points, len(tables.points) - 1)
    capital = np.flatnonzero((points < 0x10000) & (tables.small[np.minimum(points, 0xFFFF)] != points))
    small, at = tables.small[points[capital]].astype(np.int64), leads[capital]
    codes[at], codes[at + 1], codes[at + 2] = 0xE0 | small >> 12, 0x80 | (small >> 6) & 0x3F, 0x80 | small & 0x3F
    return tables.points[points]


def _token_numbers(folded: bytearray, starts: Ints, lengths: Ints) -> U64:
    """The number of each token: its bytes, eight at a time, and its length."""
    import numpy as np

    size = len(folded) - 7
    eights = np.ndarray((size,), "<u8", folded, 0, (1,))
    masks = np.array([(1 << 8 * i) - 1 for i in range(9)], dtype=np.uint64)
    first, second, _ = (np.uint64(m) for m in _MIX)
    numbers: U64 = eights[starts] & masks[np.minimum(lengths, 8)]
    numbers ^= lengths.astype(np.uint64) << np.uint64(56)  # a token of eight bytes or more is mixed again below
    numbers *= first
    numbers ^= numbers >> np.uint64(32)
    at = 8
    while len(long := np.flatnonzero(lengths > at)):
        more = eights[np.minimum(starts[long] + at, size - 1)] & masks[np.minimum(lengths[long] - at, 8)]
        mixed = (numbers[long] ^ more) * second
        numbers[long] = mixed ^ (mixed >> np.uint64(29))
        at += 8
    return numbers


def _runs(tokens: U64, edges: Ints, size: int) -> tuple[U64, Ints]:
    """(numbers of `size` tokens in a row, number of each piece's); a shorter piece is one run."""
    import numpy as np

    first, second, third = (np.uint64(m) for m in _MIX)
    counts = np.diff(edges)
    numbers: U64 = tokens.copy()
    for j in range(1, size):
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


@cache
def _ascii() -> bytes:
    """Byte -> its lower case, or a space for what stands between words."""
    table = bytearray(range(256))
    for byte in range(128):
        table[byte] = ord(chr(byte).lower()) if chr(byte).isalnum() else 0x20
    return bytes(table)


@dataclass(frozen=True)
class _Tables:
    """What characters beyond ASCII are, by code point and by their first two bytes."""

    points: Any
    """Code point -> kind; the last entry stands for all beyond."""
    small: Any
    """Code point below 0x10000 -> its lower case, where that takes as many bytes."""
    kinds: Any
    """First two bytes, as a little-endian number -> kind as far as they tell, else `_UNCLEAR`."""
    lower: Any
    """The two bytes of a character -> those of its lower case, both as little-endian numbers."""


@cache
def _tables() -> _Tables:
    import numpy as np

    points = np.zeros(0x33480, dtype=np.uint8)
    for runs, kind in ((_SEPARATORS, _SEPARATOR), (_LETTERS, _LETTER), (_COMPOSING, _COMPOSES)):
        for low, high in runs:
            points[low : high + 1] = kind
    small = np.arange(0x10000, dtype=np.uint16)
    for point in range(0x80, 0x10000):
        to = chr(point).lower()
        if len(to) == 1 and (ord(to) >= 0x800) == (point >= 0x800) and ord(to) >= 0x80:
            small[point] = ord(to)
    kinds, lower = np.zeros((0x100, 0x100), dtype=np.uint8), np.zeros((0x100, 0x100), dtype=np.uint16)
    for lead in range(0xC2, 0xF0):
        for second in range(0x80, 0xC0):
            if lead < 0xE0:
                point = (lead & 0x1F) << 6 | (second & 0x3F)
                folded = int(small[point])
                kinds[second, lead] = points[point] if folded == point else _CAPITAL
                lower[second, lead] = (0x80 | folded & 0x3F) << 8 | 0xC0 | folded >> 6
                continue
            start = (lead & 0x0F) << 12 | (second & 0x3F) << 6
            block, plain = points[start : start + 64], np.arange(start, start + 64)
            same = (block == block[0]).all() and (small[start : start + 64] == plain).all()
            kinds[second, lead] = block[0] if same else _UNCLEAR
    kinds[:, 0xF0:] = _UNCLEAR
    return _Tables(points, small, kinds.reshape(-1), lower.reshape(-1))
