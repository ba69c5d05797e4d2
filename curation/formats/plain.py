r"""Plain chats, a block of lines at a time: JSON that holds who speaks, what is said, an id, and nothing else.

Most lines of most files are such. A pattern says of each line whether it is; those that are go from JSON into columns
without an object for any turn, which takes a fraction of the time, and all others go the way of single records. The
pattern is strict where readers of JSON differ or something must be decided: numbers, keys that stand twice or that
nobody expects, roles in other spellings, halves of surrogate pairs, ids of pieces of a chat (`curation.formats.parts`).
So both ways come to the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from curation.formats.fields import SPEAKERS
from curation.formats.format import Spelling

if TYPE_CHECKING:
    import polars as pl

_MOST_CUTS = 32
"""A block that would fall into more runs than this is read record by record: many small frames are slow too."""
_LOOKS_AT = 16
"""Lines at the beginning of a block by which its spelling is told."""

_HEX = "[0-9a-fA-F]"
_PAIR = rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_ESCAPE = rf'\\["\\/bfnrt]|\\u(?:[0-9a-ceA-CEfF]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}})|{_PAIR}'
_TEXT = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
_COLON, _COMMA = " ?: ?", " ?, ?"
_ID = rf'"id"{_COLON}"[^"\\\x00-\x1f]*"'
_PIECE = r"_\d{1,9}$"


class Plain:
    """Reads blocks of lines.

    Args:
        spellings: What counts as plain; a file is taken to keep to one of them.
    """

    def __init__(self, spellings: Sequence[Spelling]) -> None:
        self.spellings = list(spellings)

    def runs(self, block: bytes) -> Iterator[pl.DataFrame | bytes]:
        """The lines of a block in order: runs of plain ones as `messages` and `meta`, the others as they are."""
        lines, ends = _lines(block)
        spelling = None if lines is None else self._spelling(lines.head(_LOOKS_AT))
        if lines is None or spelling is None:
            yield block
            return
        read = _read(lines, spelling)
        plain = read["messages"].is_not_null()
        changes = (plain != plain.shift(1, fill_value=~plain.head(1).any())).arg_true().to_list()
        if len(changes) > _MOST_CUTS:
            yield block
            return
        for first, last in zip(changes, [*changes[1:], len(plain)], strict=True):
            if plain[first]:
                yield read.slice(first, last - first)
            else:
                yield block[ends[first - 1] if first else 0 : ends[last - 1]]

    def _spelling(self, lines: pl.Series) -> Spelling | None:
        """The first that any of the lines keeps to; tried first from then on."""
        for spelling in self.spellings:
            if lines.str.contains(_pattern(spelling)).any():
                self.spellings.remove(spelling)
                self.spellings.insert(0, spelling)
                return spelling
        return None


def _lines(block: bytes) -> tuple[pl.Series | None, list[int]]:
    """(the lines, each with its line feed; where each ends), without copying them; None when they are no UTF-8."""
    import numpy as np
    import polars as pl
    import pyarrow as pa

    try:
        pl.Series([block], dtype=pl.Binary).cast(pl.String)  # the quickest way to ask whether it is UTF-8
    except pl.exceptions.PolarsError:
        return None, []
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 0x0A) + 1
    if not len(ends) or ends[-1] < len(block):
        ends = np.append(ends, len(block))
    edges = np.concatenate([[0], ends]).astype(np.int64)
    found = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(edges), pa.py_buffer(block))
    return pl.Series(pl.from_arrow(found)), ends.tolist()


def _read(lines: pl.Series, spelling: Spelling) -> pl.DataFrame:
    """`messages` and `meta` of each line; both are null where it is not plain."""
    import polars as pl

    from curation.frame import MESSAGES

    record = pl.Struct(
        {"id": pl.String, spelling.turns: pl.List(pl.Struct({spelling.who: pl.String, spelling.says: pl.String}))}
    )
    line, turn, own = pl.col("line"), pl.element().struct, pl.col("id")
    fits = line.str.contains(_pattern(spelling))
    fields = lines.alias("line").to_frame().select(pl.when(fits).then(line).str.json_decode(record).alias("record"))
    message = pl.struct(
        turn.field(spelling.who).replace_strict(SPEAKERS, return_dtype=pl.String).alias("role"),
        turn.field(spelling.says).alias("content"),
        pl.lit(None, dtype=pl.String).alias("extra"),
    )
    alone = own.str.contains(_PIECE).not_().fill_null(True)
    return fields.unnest("record").select(
        pl.when(alone).then(pl.col(spelling.turns).list.eval(message)).alias("messages").cast(MESSAGES),
        pl.when(alone).then(pl.concat_str(pl.lit('{"id":"'), own, pl.lit('"}'))).alias("meta"),
    )


def _pattern(spelling: Spelling) -> str:
    """A line that holds one plain chat, in the syntax of Rust's regex crate."""
    roles = "|".join(map(re.escape, SPEAKERS))
    who = rf'"{re.escape(spelling.who)}"{_COLON}"(?:{roles})"'
    says = rf'"{re.escape(spelling.says)}"{_COLON}{_TEXT}'
    turn = rf"\{{(?:{who}{_COMMA}{says}|{says}{_COMMA}{who})\}}"
    turns = rf'"{re.escape(spelling.turns)}"{_COLON}\[{turn}(?:{_COMMA}{turn})*\]'
    return rf"^\{{(?:{_ID}{_COMMA}{turns}|{turns}(?:{_COMMA}{_ID})?)\}}[ \t\r]*\n?$"
