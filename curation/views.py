"""The chats that `on:` means, as frames of conversations, and how what an operator said of them reaches the rows.

`on: prompt | chosen | rejected` gives one chat a row, in the order of the rows; `on: reply` gives one an answer. They
are the chats of `Preference.conversations()` and `Candidates.conversations()`: `parent` is the id of the row, and the
`meta` of a reply says whether it is `finished`.
"""

from __future__ import annotations

import json

import polars as pl

from curation.conversation import Candidates, Conversation, canonical_json
from curation.frame import SCHEMAS, row_type, with_ids

ROW = "row"
"""Index of the row that a reply belongs to."""


def view(frame: pl.DataFrame, on: str | None) -> pl.DataFrame:
    """One chat a row. Without `on` the rows are chats themselves.

    Args:
        frame: Rows of any type.
        on: `prompt`, `chosen`, `rejected`, or None.
    """
    if on is None:
        return frame
    if on == "prompt":
        messages = _asked() if row_type(frame) is Conversation else pl.col("prompt")
    else:
        messages = pl.concat_list("prompt", on)
    return _chats(frame.with_columns(messages.alias("messages"), pl.col("id").alias("parent")))


def replies(frame: pl.DataFrame) -> pl.DataFrame:
    """One chat an answer of candidates, with the index of its row as `row`."""
    answer = pl.col("answers").struct
    one_each = (
        frame.with_row_index(ROW)
        .with_columns(pl.col("id").alias("parent"))
        .explode("answers")
        .filter(pl.col("answers").is_not_null())  # a row without answers explodes into one null
    )
    message = pl.struct(pl.lit("assistant").alias("role"), answer.field("content"), answer.field("extra"))
    metas = [
        canonical_json({**(json.loads(meta) if meta else {}), "finished": finished})
        for meta, finished in one_each.select("meta", answer.field("finished")).iter_rows()
    ]
    chats = one_each.with_columns(
        pl.concat_list("prompt", pl.concat_list(message)).alias("messages"),
        pl.Series("meta", metas, dtype=pl.String),
    )
    return _chats(chats).with_columns(chats[ROW])


def _asked() -> pl.Expr:
    """A conversation without its last answer: all of it when it does not end on one."""
    messages = pl.col("messages")
    ends = messages.list.last().struct.field("role") == "assistant"
    return pl.when(ends).then(messages.list.head(messages.list.len().cast(pl.Int64) - 1)).otherwise(messages)


def _chats(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with `messages` in the schema of conversations."""
    schema = SCHEMAS[Conversation]
    missing = [pl.lit(None, dtype=schema[c]).alias(c) for c in schema if c not in frame.columns]
    return with_ids(frame.with_columns(missing).select(list(schema)).cast(pl.Schema(schema)))


def edited(frame: pl.DataFrame, on: str, chats: pl.DataFrame) -> pl.DataFrame:
    """The rows with what a mapper made of their chats; ids are left stale.

    A mapper on an answer sees the whole chat, and what it made of the answer is kept: the prompt stays, because the
    other answer shares it.

    Args:
        chats: The view that the mapper was given, edited; as many chats, with as many messages each.
    """
    if on == "prompt" and row_type(frame) is not Conversation:
        return frame.with_columns(chats["messages"].alias("prompt"))
    if on == "prompt":
        tail = pl.col("messages").list.slice(_asked().list.len())
        return frame.with_columns(pl.concat_list(pl.lit(chats["messages"]), tail).alias("messages"))
    if on == "reply":
        return _with_answers(frame, chats)
    prompt = pl.col("prompt").list.len()
    return (
        frame.with_columns(chats["messages"].alias("made"))
        .with_columns(pl.col("made").list.slice(prompt).alias(on))
        .drop("made")
    )


def _with_answers(frame: pl.DataFrame, chats: pl.DataFrame) -> pl.DataFrame:
    last = pl.col("last").struct
    one_each = frame.with_row_index(ROW).select(ROW, "answers").explode("answers").drop_nulls("answers")
    answer = pl.col("answers").struct
    made = one_each.with_columns(chats["messages"].list.last().alias("last")).select(
        ROW,
        pl.struct(last.field("content"), answer.field("policy"), answer.field("finished"), last.field("extra")).alias(
            "answers"
        ),
    )
    return with_answers(frame, made)


def with_answers(frame: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Candidates with other answers.

    Args:
        answers: `row` (index into the frame) and `answers` (one answer), in order. Rows without one get none.
    """
    grouped = answers.group_by(ROW, maintain_order=True).agg("answers")
    kept = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW)).join(
        grouped, on=ROW, how="left", maintain_order="left"
    )
    dtype = SCHEMAS[Candidates]["answers"]
    filled = kept.select(pl.col("answers").fill_null(pl.lit([], dtype=dtype)).cast(dtype))
    return frame.with_columns(filled["answers"])
