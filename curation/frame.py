"""The same rows as columns: one Polars schema a row type, and the hashes computed a column at a time.

Everything between operators is such a frame. Columns whose name starts with `scores.` (Float64) come and go with the
scorers; all others are fixed. `meta` and `tools` are canonical JSON text, so that the schema never depends on the data.
Ids are those of `curation.conversation`, to the character (a test compares the two).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import polars as pl
import polars_hash  # noqa: F401  # registers the namespace `chash`: hashes that are stable across versions
import pyarrow as pa

from curation.conversation import (
    ID_LENGTH,
    Answer,
    AnyRow,
    Candidates,
    Conversation,
    Message,
    Preference,
    Source,
    canonical_json,
)

SCORES = "scores."
"""Prefix of score columns: the score `words` is the column `scores.words`."""

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String, "extra": pl.String})
MESSAGES = pl.List(MESSAGE)
ANSWERS = pl.List(pl.Struct({"content": pl.String, "policy": pl.String, "finished": pl.Boolean, "extra": pl.String}))
SOURCE = pl.Struct(
    {"dataset": pl.String, "file": pl.String, "digest": pl.String, "index": pl.Int64, "license": pl.String}
)

_HEAD: dict[str, Any] = {"id": pl.String}
_TAIL: dict[str, Any] = {"source": SOURCE, "parent": pl.String, "split": pl.String, "meta": pl.String}
SCHEMAS: dict[type, dict[str, Any]] = {
    Conversation: {**_HEAD, "messages": MESSAGES, "tools": pl.String, "label": pl.Boolean, **_TAIL},
    Candidates: {**_HEAD, "prompt": MESSAGES, "answers": ANSWERS, **_TAIL},
    Preference: {
        **_HEAD,
        "prompt": MESSAGES,
        "chosen": MESSAGES,
        "rejected": MESSAGES,
        "verdict": pl.String,
        "weight": pl.Float64,
        "decided_by": pl.String,
        **_TAIL,
    },
}
"""Row type -> its fixed columns. Add nothing to these between operators but `scores.*`."""
DROPPED: dict[str, Any] = {"dropped_by": pl.String, "reason": pl.String, "evidence": pl.String}
"""Columns that a row has besides once it was dropped: the operator's title, its word, and what speaks for it where the
word does not say it all (the id of the row that it duplicates, the item of a benchmark that it holds)."""


def row_type(frame: pl.DataFrame) -> type:
    """Which of the three row types a frame holds, by its columns."""
    if "messages" in frame.columns:
        return Conversation
    return Candidates if "answers" in frame.columns else Preference


def score_columns(frame: pl.DataFrame) -> list[str]:
    """The names of the score columns, sorted."""
    return sorted(c for c in frame.columns if c.startswith(SCORES))


def empty(kind: type) -> pl.DataFrame:
    """A frame of this row type without rows."""
    return pl.DataFrame(schema=SCHEMAS[kind])


def to_frame(rows: Iterable[AnyRow], kind: type, sources: pl.Series | None = None) -> pl.DataFrame:
    """Rows of one type as a frame. A score that only some rows have is null in the others.

    Args:
        sources: Where the rows came from, when they do not know it themselves.
    """
    rows = list(rows)
    schema = SCHEMAS[kind]
    names = sorted({name for row in rows if row.scores for name in row.scores})
    if not rows:
        return pl.DataFrame(schema=schema)
    made: dict[str, pl.Series] = {
        "source": _structs([row.source for row in rows], SOURCE) if sources is None else sources,
        "parent": _series([row.parent for row in rows], pl.String),
        "split": _series([row.split for row in rows], pl.String),
        "meta": _series([canonical_json(row.meta) if row.meta else None for row in rows], pl.String),
    }
    for column, dtype in schema.items():
        if column not in made and column != "id":
            values = list(map(attrgetter(column), rows))
            made[column] = _lists(values, dtype) if isinstance(dtype, pl.List) else _series(values, dtype)
    for name in names:
        made[SCORES + name] = _series([row.scores.get(name) for row in rows], pl.Float64)
    frame = pl.DataFrame([values.alias(column) for column, values in made.items()])
    return with_ids(frame).select([*schema, *(SCORES + name for name in names)])


def chats(messages: pl.Series, meta: pl.Series, sources: pl.Series) -> pl.DataFrame:
    """Chats as a frame that are columns already: without tools, label, parent or split.

    Args:
        messages: Of the type `MESSAGES`.
        meta: Canonical JSON (String), null where there is none.
        sources: Of the type `SOURCE`.
    """
    schema = SCHEMAS[Conversation]
    given = {"messages": messages, "meta": meta, "source": sources}
    rest = [pl.lit(None, dtype=schema[c]).alias(c) for c in schema if c not in given]
    made = pl.DataFrame([values.alias(name) for name, values in given.items()]).with_columns(rest)
    return with_ids(made).select(list(schema))


def _series(values: list[Any], dtype: Any) -> pl.Series:
    return pl.Series(values, dtype=dtype)


def _structs(items: list[Any], dtype: pl.Struct) -> pl.Series:
    """Objects as structs of their attributes."""
    fields = [pl.Series(f.name, list(map(attrgetter(f.name), items)), dtype=f.dtype) for f in dtype.fields]
    return pl.DataFrame(fields).to_struct()


def _lists(values: list[Sequence[Any]], dtype: pl.List) -> pl.Series:
    """Sequences of objects as lists of structs, without an object more for each."""
    if not isinstance(dtype.inner, pl.Struct):
        raise TypeError(f"{dtype} is no list of structs")
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    flat = _structs(list(chain.from_iterable(values)), dtype.inner)
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(ends), flat.to_arrow()), dtype=dtype)


def to_rows(frame: pl.DataFrame) -> list[Any]:
    """A frame as a list of `Conversation`, `Candidates` or `Preference`."""
    kind = row_type(frame)
    names = score_columns(frame)
    return [_row(kind, record, names) for record in frame.iter_rows(named=True)]


def _messages(records: Sequence[dict[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message(r["role"], r["content"], r["extra"]) for r in records)


def _row(kind: type, r: dict[str, Any], score_names: list[str]) -> AnyRow:
    shared: dict[str, Any] = {
        "source": Source(**r["source"]),
        "parent": r["parent"],
        "split": r["split"],
        "meta": json.loads(r["meta"]) if r["meta"] else {},
        "scores": {n.removeprefix(SCORES): r[n] for n in score_names if r[n] is not None},
    }
    if kind is Conversation:
        return Conversation(messages=_messages(r["messages"]), tools=r["tools"], label=r["label"], **shared)
    if kind is Candidates:
        answers = tuple(Answer(a["content"], a["policy"], a["finished"], a["extra"]) for a in r["answers"])
        return Candidates(prompt=_messages(r["prompt"]), answers=answers, **shared)
    return Preference(
        prompt=_messages(r["prompt"]),
        chosen=_messages(r["chosen"]),
        rejected=_messages(r["rejected"]),
        verdict=r["verdict"],
        weight=r["weight"],
        decided_by=r["decided_by"],
        **shared,
    )


def netstring(*texts: pl.Expr) -> pl.Expr:
    """`curation.conversation.netstring` of columns, one behind the other; null counts as the empty string.

    All of them at once: put together one by one, long texts would be copied once more each time.
    """
    filled = [text.fill_null("") for text in texts]
    parts = [(text.str.len_bytes().cast(pl.String), pl.lit(":"), text, pl.lit(",")) for text in filled]
    return pl.concat_str([piece for four in parts for piece in four])


def framed(column: str) -> pl.Expr:
    """`curation.conversation.framed` of a column of messages (or answers)."""
    e = pl.element().struct
    answers = column == "answers"
    role = pl.lit("assistant") if answers else e.field("role")
    body = netstring(role, e.field("content"), e.field("extra"))
    return pl.col(column).list.eval(body).list.join("").fill_null("")


def _sha256(text: pl.Expr) -> pl.Expr:
    return text.chash.sha2_256()  # type: ignore[attr-defined,no-any-return]  # polars_hash registers `chash`


def with_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `id` computed anew from its content."""
    kind = row_type(frame)
    if kind is Conversation:
        parts = [framed("messages"), pl.col("tools")]
    elif kind is Candidates:
        parts = [framed("prompt"), framed("answers")]
    else:
        parts = [framed("prompt"), framed("chosen"), framed("rejected")]
    return frame.with_columns(_sha256(netstring(*parts)).str.slice(0, ID_LENGTH).alias("id"))


IN_ID: dict[type, frozenset[str]] = {
    Conversation: frozenset({"messages", "tools"}),
    Candidates: frozenset({"prompt"}),  # of answers, the id knows the texts alone
    Preference: frozenset({"prompt", "chosen", "rejected"}),
}
"""Row type -> columns that its id stands for: long texts, which `row_hashes` need not see again."""


def row_hashes(frame: pl.DataFrame, kind: type | None = None) -> pl.Series:
    """sha256 of the whole canonical row: everything but paths and data set names. One hex string a row.

    Args:
        frame: Rows; the columns `IN_ID` may be missing where `kind` says what they are.
    """
    kind = kind or row_type(frame)
    source = pl.col("source").struct
    parts = [
        pl.col("id"),
        source.field("digest"),
        source.field("index").cast(pl.String),
        source.field("license"),
        *(pl.col(c) for c in ("parent", "split", "meta")),
    ]
    # Null and empty are different values of a field, and netstring() takes both for empty: say which.
    nulls = [pl.col(c).is_null().cast(pl.Int8).cast(pl.String) for c in ("parent", "split", "meta")]
    extra: list[pl.Expr] = []
    bits: list[pl.Series] = []
    if kind is Conversation:
        extra = [pl.col("label").cast(pl.Int8).cast(pl.String)]
    elif kind is Candidates:
        e = pl.element().struct
        answer = netstring(e.field("policy"), e.field("finished").cast(pl.Int8).cast(pl.String))
        extra = [pl.col("answers").list.eval(answer).list.join("")]
    else:
        extra = [pl.col("verdict"), pl.col("decided_by")]
        bits.append(_bits(frame["weight"]))
    bits += [_bits(frame[name]) for name in score_columns(frame)]
    # A score that a row does not have is no content, so that a row's hash does not depend on its neighbours.
    named = [pl.when(pl.lit(s) == "").then(pl.lit("")).otherwise(netstring(pl.lit(s.name), pl.lit(s))) for s in bits]
    extra += [pl.col(c) for c in DROPPED if c in frame.columns]
    text = pl.concat_str([netstring(*parts, *nulls, *extra), *named])
    return frame.select(_sha256(text).alias("hash"))["hash"]


def _bits(values: pl.Series) -> pl.Series:
    """The IEEE 754 bits of a float column as text: exact, and the same in every version of every library."""
    numbers = values.fill_null(0.0).to_numpy().astype(np.float64) + 0.0  # + 0.0 makes -0.0 equal 0.0
    text = pl.Series(values.name, numbers.view(np.int64)).cast(pl.String)
    return pl.select(pl.when(values.is_null()).then(pl.lit("")).otherwise(text).alias(values.name)).to_series()


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Sorted by (id, origin): the one order in which rows are kept and handed to trainers.

    Rows that agree in both (the same record read twice, with other scores, say) follow by hash and names, so that the
    order never depends on the order in which they came.
    """
    source = pl.col("source").struct
    by = [pl.col("id"), source.field("digest"), source.field("index")]
    if frame.select(pl.struct(by).is_duplicated().any()).item():
        by += [pl.lit(row_hashes(frame)), source.field("dataset"), source.field("file")]
    return frame.sort(by)
