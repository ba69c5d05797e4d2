r"""Plain chats, a block of lines at a time: JSON that holds who speaks, what is said, an id, and little else.

Most lines of most files are such. A pattern says of each line whether it is; those that are go from JSON into columns
without an object for any turn, which takes a fraction of the time, and all others go the way of single records. The
pattern is strict where readers of JSON differ or something must be decided: numbers, keys that stand twice or that
nobody expects, roles in other spellings, halves of surrogate pairs. What else a record holds (`model`, `lang` ...) must
stand in the same order in every line, and be a text, a number or a list of such. So both ways come to the same rows.

Ids may say that a chat is a piece of another (`curation.formats.parts`). Pieces whose neighbours are in the same run
of plain lines are told here; those at either end of a run go the way of single records, with what may follow there.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curation.formats.fields import SPEAKERS
from curation.formats.format import Format, Reader, Spelling

if TYPE_CHECKING:
    import polars as pl

_MOST_CUTS = 32
"""A block that would fall into more runs than this is read record by record: many small frames are slow too."""
_LOOKS_AT = 16
"""Lines at the beginning of a block by which its layout is told."""

_HEX = "[0-9a-fA-F]"
_PAIR = rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_ESCAPE = rf'\\["\\/bfnrt]|\\u(?:[0-9a-ceA-CEfF]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}})|{_PAIR}'
_TEXT = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
_COLON, _COMMA = " ?: ?", " ?, ?"
_WORD = r'"[^"\\\x00-\x1f]*"'
"""A text that stands there as it is."""
_SCALAR = rf"(?:{_TEXT}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)"
_OTHER = rf"(?:{_SCALAR}|\[(?:{_SCALAR}(?:{_COMMA}{_SCALAR})*)?\])"
_PIECE = r"(?s)^(.+)_([0-9]{1,9})$"
_LIKE_A_PIECE = r"_\d{1,9}$"


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are written."""

    spelling: Spelling
    """With the names that the data use."""
    keys: tuple[str, ...] = ()
    """All keys of a record, in order; none: the list of turns, and perhaps an id before or behind it."""


@dataclass
class Plain:
    """Reads blocks of lines of one file.

    Attributes:
        met: Takes the columns that were met.
    """

    reader: Reader
    """What counts as plain, its format says."""
    named: Mapping[str, str] | None = None
    """What the format calls a column -> what the data call it; None: all as they are."""
    met: set[str] = field(default_factory=set)
    layouts: list[Layout] = field(default_factory=list)
    """Those that were seen, the last one first."""

    def __post_init__(self) -> None:
        named = self.named
        self.format: Format = self.reader.format
        self.carried = {} if named is None else {k: v for k, v in named.items() if k not in self.format.reads}
        self.id = "id" if named is None else named.get("id")
        """What the data call the id; None where it is not read."""
        twice = named is not None and len(set(named.values())) < len(named)
        clashes = {"id", "tree", "pieces"} & set(self.carried)
        self.spellings = () if twice or clashes else self.reader.spellings

    def runs(self, block: bytes) -> Iterator[pl.DataFrame | bytes]:
        """The lines of a block in order: runs of plain ones as `messages` and `meta`, the others as they are."""
        lines, ends = _lines(block)
        layout = None if lines is None else self._layout(lines.head(_LOOKS_AT))
        if lines is None or layout is None:
            yield block
            return
        read = self._read(lines, layout)
        plain = read["plain"].to_numpy().copy()
        _apart(plain, read)
        changes = _changes(plain)
        if len(changes) > _MOST_CUTS:
            yield block
            return
        if plain.any():
            self.met |= set(layout.keys or self._keys(read, layout)) & set((self.named or {}).values())
        for first, last in zip(changes, [*changes[1:], len(plain)], strict=True):
            if plain[first]:
                yield read.slice(first, last - first).select("messages", "meta")
            else:
                yield block[ends[first - 1] if first else 0 : ends[last - 1]]

    def _layout(self, lines: pl.Series) -> Layout | None:
        """The first that any of the lines keeps to; tried first from then on."""
        for layout in self.layouts:
            if lines.str.contains(self._pattern(layout)).any():
                self.layouts.remove(layout)
                self.layouts.insert(0, layout)
                return layout
        for line in lines:
            for layout in self._layouts_of(line):
                if lines.str.contains(self._pattern(layout)).any():
                    self.layouts.insert(0, layout)
                    return layout
        return None

    def _layouts_of(self, line: str) -> Iterator[Layout]:
        """What a line may be laid out like, by its keys."""
        try:
            pairs = json.loads(line, object_pairs_hook=list)
            keys = [str(pair[0]) for pair in pairs]
        except (ValueError, TypeError, IndexError, RecursionError):
            return
        named = self.named
        takes = self.format.reads if named is None else {named[n] for n in self.format.reads if n in named}
        for spelling in self.spellings:
            turns = spelling.turns if named is None else named.get(spelling.turns)
            if turns is None or turns not in keys or len(set(keys)) < len(keys):
                continue
            others = set(keys) - {turns, self.id}
            if others & set(takes):  # a system turn, tools, another list of turns: who reads records knows
                continue
            own = Spelling(turns, spelling.who, spelling.says)
            alone = not others and (named is None or set(named.values()) <= {turns, self.id})
            yield Layout(own) if alone else Layout(own, tuple(keys))

    def _read(self, lines: pl.Series, layout: Layout) -> pl.DataFrame:
        """`plain`, `messages`, `meta` and what `_apart` needs of each line."""
        import polars as pl

        from curation.frame import MESSAGES

        spelling = layout.spelling
        carried = {name: theirs for name, theirs in self.carried.items() if theirs in layout.keys}
        texts = [*([self.id] if self.id else []), *carried.values()]
        record = pl.Struct(
            {
                **dict.fromkeys(texts, pl.String),
                spelling.turns: pl.List(pl.Struct({spelling.who: pl.String, spelling.says: pl.String})),
            }
        )
        line, turn = pl.col("line"), pl.element().struct
        fits = line.str.contains(self._pattern(layout))
        fields = lines.alias("line").to_frame().select(pl.when(fits).then(line).str.json_decode(record).alias("record"))
        message = pl.struct(
            turn.field(spelling.who).replace_strict(SPEAKERS, return_dtype=pl.String).alias("role"),
            turn.field(spelling.says).alias("content"),
            pl.lit(None, dtype=pl.String).alias("extra"),
        )
        given = pl.col("record").struct
        own = given.field(self.id) if self.id else pl.lit(None, dtype=pl.String)
        found = fields.select(
            given.field(spelling.turns).list.eval(message).cast(MESSAGES).alias("messages"),
            own.alias("own"),
            *(given.field(theirs).alias(f"carried {name}") for name, theirs in carried.items()),
        ).with_columns(pl.col("messages").is_not_null().alias("plain"))
        found = _pieces(found, self.reader.ties)
        values = {"id": "own", "tree": "tree"} | {name: f"carried {name}" for name in carried}
        pairs = [
            pl.concat_str(pl.lit(f'{json.dumps(name, ensure_ascii=False)}:"'), pl.col(column), pl.lit('"'))
            for name, column in sorted(values.items())
        ]
        both = pl.concat_str(pairs, separator=",", ignore_nulls=True)
        meta = pl.when(both != "").then(pl.concat_str(pl.lit("{"), both, pl.lit("}")))
        return found.with_columns(meta.alias("meta"))

    def _pattern(self, layout: Layout) -> str:
        """A line that holds one plain chat, in the syntax of Rust's regex crate."""
        spelling = layout.spelling
        roles = "|".join(map(re.escape, SPEAKERS))
        who = rf'"{re.escape(spelling.who)}"{_COLON}"(?:{roles})"'
        says = rf'"{re.escape(spelling.says)}"{_COLON}{_TEXT}'
        turn = rf"\{{(?:{who}{_COMMA}{says}|{says}{_COMMA}{who})\}}"
        turns = rf"\[{turn}(?:{_COMMA}{turn})*\]"
        words = {self.id, *self.carried.values()}
        values = {key: _WORD if key in words else _OTHER for key in layout.keys} | {spelling.turns: turns}
        pairs = [rf"{re.escape(json.dumps(key, ensure_ascii=False))}{_COLON}{values[key]}" for key in layout.keys]
        inside = _COMMA.join(pairs)
        if not pairs:
            own = rf"{re.escape(json.dumps(self.id or 'id', ensure_ascii=False))}{_COLON}{_WORD}"
            chat = rf"{re.escape(json.dumps(spelling.turns, ensure_ascii=False))}{_COLON}{turns}"
            inside = rf"(?:{own}{_COMMA}{chat}|{chat}(?:{_COMMA}{own})?)"
        return rf"^\{{{inside}\}}[ \t\r]*\n?$"

    def _keys(self, read: pl.DataFrame, layout: Layout) -> list[str]:
        """The keys that some line of a layout without others has."""
        own = read["own"].is_not_null().any()
        return [layout.spelling.turns, *([self.id] if self.id and own else [])]


def _pieces(read: pl.DataFrame, ties: str) -> pl.DataFrame:
    """With `chat`, of which a line may be a piece, and its `tree` where it is one.

    Lines of one chat that follow one another are pieces under the conditions of `curation.formats.parts.tied`. `same`
    says whether a line is of the chat of the line before it, `breaks` whether it cannot go on where that ended.
    """
    import polars as pl

    none = pl.lit(None, dtype=pl.String)
    like = pl.col("own").str.contains(_LIKE_A_PIECE).fill_null(False)
    if ties != "tree":
        alone = ~like if ties else pl.lit(True)
        no = pl.lit(False)
        return read.with_columns(
            pl.col("plain") & alone, none.alias("chat"), none.alias("tree"), no.alias("same"), no.alias("breaks")
        )
    chat = pl.when("plain").then(pl.col("own").str.extract(_PIECE, 1))
    first = pl.col("own").str.extract(_PIECE, 2).cast(pl.Int64)
    turns = pl.col("messages")
    begins = (turns.list.first().struct.field("role") == "system").cast(pl.Int64)
    read = read.with_columns(
        pl.col("plain") & (~like | chat.is_not_null()),  # digits of other scripts, nothing before the last `_`
        chat.alias("chat"),
        first.alias("first"),
        (first + turns.list.len().cast(pl.Int64) - begins).alias("end"),
    )
    before = pl.col("end").shift(1)
    cut = (pl.col("first") >= before) & (before >= pl.col("first").shift(1) + 2)
    read = read.with_columns((pl.col("chat") == pl.col("chat").shift(1)).fill_null(False).alias("same"))
    read = read.with_columns(
        (pl.col("same") & ~cut).fill_null(False).alias("breaks"),
        (pl.col("same") & (pl.col("first") == before)).fill_null(False).alias("exact"),
        (~pl.col("same")).cum_sum().alias("group"),
    )
    size, exact = pl.len().over("group"), pl.col("exact").sum().over("group")
    tied = (size >= 2) & ~pl.col("breaks").any().over("group") & (2 * exact >= size - 1)
    return read.with_columns(pl.when(tied).then("chat").alias("tree"))


def _apart(plain: Any, read: pl.DataFrame) -> None:
    """Takes out of each run of plain lines what may belong to a chat that goes on beyond its ends.

    Where a line of such a chat does not go on where the one before it ended, the chat's name is that of a numbered set
    and nothing is tied, whatever else follows: that line and the one before it tell this to who reads the others.
    """
    import numpy as np

    chats = read["chat"].is_not_null().to_numpy()
    same, breaks = read["same"].to_numpy(), read["breaks"].to_numpy()
    edges = [*_changes(plain), len(plain)]
    for first, last in itertools.pairwise(edges):
        if not plain[first]:
            continue
        others = np.flatnonzero(~same[first + 1 : last]) + first + 1  # where another chat begins
        broken = np.flatnonzero(breaks[first + 1 : last]) + first + 1
        lead = int(others[0]) if len(others) else last
        tail = int(others[-1]) if len(others) else first
        leading, trailing = broken[broken < lead], broken[broken > tail]
        if chats[first]:
            plain[first : int(leading[0]) + 1 if len(leading) else lead] = False
        if chats[last - 1]:
            plain[int(trailing[-1]) - 1 if len(trailing) else tail : last] = False


def _changes(plain: Any) -> list[int]:
    """Where runs of plain lines and of others begin."""
    import numpy as np

    return [0, *(np.flatnonzero(plain[1:] != plain[:-1]) + 1).tolist()] if len(plain) else []


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
