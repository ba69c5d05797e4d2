"""The columns of a released data set: those that TRL's trainers and `datasets` take, and where a row came from.

| rows | columns |
|---|---|
| conversations | `messages`, with `tools` where there are any |
| conversations that all end on the user | `prompt` |
| conversations that all have a label (KTO) | `prompt`, `completion`, `label` |
| preferences | `prompt`, `chosen`, `rejected` |
| candidates | `prompt`, `completions` |

A message is `{role, content}`. Where some message of the set has more (tool calls, a name), all have these keys, empty
for most; what is nested in them is kept by `datasets` as JSON, so that tools of any shape fit into one file. Besides
stand `id`, `dataset`, `license` and, where the set has any, `scores`; trainers pass over them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curation import table
from curation.conversation import Candidates, Conversation, canonical_json
from curation.frame import SCORES, row_type, score_columns

_TEXTS = ("name", "tool_call_id")
"""Further keys of a message that hold text; all others hold JSON."""


@dataclass(frozen=True)
class Shape:
    """What the rows of a set have in common, from one look at all of them."""

    kind: type
    columns: tuple[str, ...]
    """Those with message lists, in the released set."""
    extras: tuple[str, ...] = ()
    """Further keys of messages."""
    tools: bool = False
    labelled: bool = False

    @property
    def plain(self) -> bool:
        """True when nothing of the rows is nested without a schema."""
        return not self.extras and not self.tools


def shape_of(folder: Path) -> Shape:
    """The shape that fits all rows of a set."""
    frames = (piece for path in table.shards(folder) for piece in pl.read_parquet(path).iter_slices(20_000))
    kind: type = row_type(table.scan(folder).limit(0).collect())
    extras: set[str] = set()
    tools = unlabelled = False
    ends: set[bool] = set()
    for frame in frames:
        for column in _message_columns(frame):
            extras |= _extra_keys(frame[column])
        if kind is Conversation and len(frame):
            ends |= set(frame["messages"].list.last().struct.field("role").eq("assistant").fill_null(False))
            unlabelled = unlabelled or bool(frame["label"].null_count())
            tools = tools or frame["tools"].null_count() < len(frame)
    found = tuple(sorted(extras))
    if kind is not Conversation:
        columns = ("prompt",) if kind is Candidates else ("prompt", "chosen", "rejected")
        return Shape(kind, columns, found)
    if ends == {True} and not unlabelled:
        return Shape(kind, ("prompt", "completion"), found, tools, labelled=True)
    return Shape(kind, ("prompt",) if ends == {False} else ("messages",), found, tools)


def _message_columns(frame: pl.DataFrame) -> list[str]:
    return [c for c in ("messages", "prompt", "chosen", "rejected") if c in frame.columns]


def _extra_keys(messages: pl.Series) -> set[str]:
    if not len(messages):
        return set()
    extras = messages.explode().struct.field("extra").drop_nulls().unique()
    return {key for extra in extras for key in json.loads(extra)}


def released(frame: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """The rows in their released columns. What is nested without a schema is JSON text; see `write`."""
    source = pl.col("source").struct
    columns = [_column(frame, name, shape) for name in shape.columns]
    if shape.kind is Candidates:
        columns.append(_completions(frame))
    if shape.tools:
        lists = [None if t is None else [canonical_json(tool) for tool in json.loads(t)] for t in frame["tools"]]
        columns.append(pl.Series("tools", lists, dtype=pl.List(pl.String)))
    if shape.labelled:
        columns.append(frame["label"])
    known = frame.select("id", source.field("dataset").alias("dataset"), source.field("license").alias("license"))
    made = pl.DataFrame(columns).with_columns(known.get_columns())
    names = score_columns(frame)
    if names:
        scores = frame.select(pl.struct(pl.col(n).alias(n.removeprefix(SCORES)) for n in names).alias("scores"))
        made = made.with_columns(scores["scores"])
    lost = [c for c in ("dropped_by", "reason", "evidence") if c in frame.columns]
    return made.with_columns(frame.select(lost).get_columns()) if lost else made


def _column(frame: pl.DataFrame, name: str, shape: Shape) -> pl.Series:
    messages = frame[name if name in frame.columns else "messages"].alias("m")
    if shape.labelled and name == "prompt":
        before = pl.col("m").list.head(pl.col("m").list.len().cast(pl.Int64) - 1)
        messages = messages.to_frame().select(before)["m"]
    elif shape.labelled:
        messages = messages.list.tail(1)
    if shape.extras:
        texts = dict.fromkeys(("role", "content", *shape.extras), pl.String)
        turns = [[_turn(m, shape.extras) for m in chat] for chat in messages.to_list()]
        return pl.Series(name, turns, dtype=pl.List(pl.Struct(texts)))
    element = pl.element().struct
    fields = [element.field("role"), element.field("content")]
    return messages.to_frame().select(pl.col("m").list.eval(pl.struct(fields)).alias(name))[name]


def _turn(message: dict[str, Any], keys: Sequence[str]) -> dict[str, str | None]:
    """A message with every key of the set: text as it is, anything else as JSON text."""
    extra = json.loads(message["extra"]) if message["extra"] else {}
    made: dict[str, str | None] = {"role": message["role"], "content": message["content"]}
    for key in keys:
        value = extra.get(key)
        made[key] = (
            None if value is None else value if key in _TEXTS and isinstance(value, str) else canonical_json(value)
        )
    return made


def _completions(frame: pl.DataFrame) -> pl.Series:
    answer = pl.element().struct
    fields = [pl.lit("assistant").alias("role"), answer.field("content")]
    return frame.select(pl.col("answers").list.eval(pl.struct(fields)).alias("completions"))["completions"]


def write(frame: pl.DataFrame, shape: Shape, path: Path) -> None:
    """Writes released rows as Parquet that `datasets` opens with the right types."""
    made = released(frame, shape)
    if shape.plain:
        made.write_parquet(path, compression="zstd", row_group_size=1000)
        return
    import pyarrow.parquet
    from datasets import Features
    from datasets.table import table_cast

    schema = Features.from_dict(_features(made, shape)).arrow_schema  # its metadata are what `datasets` itself writes
    arrow = table_cast(made.to_arrow(compat_level=pl.CompatLevel.oldest()), schema)
    pyarrow.parquet.write_table(arrow, path, compression="zstd", row_group_size=1000)


def _features(frame: pl.DataFrame, shape: Shape) -> dict[str, Any]:
    """The types of the columns, in the words of `datasets`."""
    text, as_json = _value("string"), {"_type": "Json"}
    further: dict[str, Any] = {key: text if key in _TEXTS else as_json for key in shape.extras}
    found: dict[str, Any] = {}
    for name, dtype in frame.schema.items():
        if name in shape.columns:
            found[name] = {"feature": {"role": text, "content": text, **further}, "_type": "List"}
        elif name == "completions":
            found[name] = {"feature": {"role": text, "content": text}, "_type": "List"}
        elif name == "tools":
            found[name] = {"feature": as_json, "_type": "List"}
        elif isinstance(dtype, pl.Struct):
            found[name] = {field.name: _value("float64") for field in dtype.fields}
        else:
            found[name] = _value("bool" if dtype == pl.Boolean else "string")
    return found


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def pieces(folder: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a set, in order, in frames of at most so many."""
    yield from table.batches(folder, size=rows)
