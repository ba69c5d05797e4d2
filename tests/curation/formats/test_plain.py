"""Plain chats are read in blocks to the same rows as record by record, whatever stands between them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from curation.artifact import Surroundings, bind, hash_file
from curation.conversation import Conversation
from curation.errors import UserError
from curation.formats.format import Reader
from curation.formats.messages import Messages
from curation.formats.plain import Plain
from curation.formats.sharegpt import ShareGPT
from curation.frame import in_order, to_frame
from curation.sources import files
from curation.sources.dataset import Dataset
from curation.sources.intake import Intake

TEXTS = (
    "", "Hi", "Chào", "\u0000\\u0000", r"\n\t\"\\", r"\/", r"\u00e0", r"\ud83d\ude00", r"\ud83d", r"\ude00\ud83d",
    r"\x", '":', r"\\", r"\\\"", "\x7f", "\u2028", "😀", "]}]}", '", "from', "{", "\x01", "\ufeff", r"\uD7ff",
    r"\uDB00\uDC00", r"\u12g4", "\x85", "a\tb",
)  # fmt: skip
KEYS = ("from", "value", "role", "content", "text", "weight", "fr\\u006fm", "From")
WHO = ("human", "gpt", "user", "assistant", "system", "bing", "function_call", "Human", " gpt", "tool", "", "x")
LISTS = ("conversations", "messages", "items", "conversation", "turns")
IDS = ('"a"', '""', '"a_0"', '"a_7"', '"b_2"', '"_3"', '"a_٣"', '"a\\n"', '"\\""', "5", "null", "[1]", '"é"', '"x_10y"')
text = st.sampled_from(TEXTS).map(lambda said: f'"{said}"')


@st.composite
def turn(draw: st.DrawFn) -> str:
    """Mostly as usual."""
    comma, colon = draw(st.sampled_from((", ", ",", " , "))), draw(st.sampled_from((": ", ":", " : ")))
    who, said = draw(st.sampled_from(WHO)), draw(text)
    names = draw(st.sampled_from((("from", "value"), ("role", "content"), ("from", "content"))))
    pairs = [f'"{names[0]}"{colon}"{who}"', f'"{names[1]}"{colon}{said}']
    if draw(st.integers(0, 5)) == 0:
        more = draw(st.one_of(text, st.sampled_from(("1", "null", "[]", "NaN", "1e400", "{}"))))
        pairs.insert(draw(st.integers(0, 2)), f'"{draw(st.sampled_from(KEYS))}"{colon}{more}')
    return "{" + comma.join(pairs if draw(st.booleans()) else pairs[::-1]) + "}"


@st.composite
def line(draw: st.DrawFn) -> str:
    """A record, often plain, sometimes no JSON at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(("", " ", "{", "[]", '{"conversations": []}', "null", "{}\r{}", '{"a": "\udcff"}')))
    turns = ", ".join(draw(st.lists(turn(), min_size=1, max_size=3)))
    pairs = [f'"{draw(st.sampled_from(LISTS))}": [{turns}]']
    if draw(st.booleans()):
        pairs.insert(draw(st.integers(0, 1)), f'"id": {draw(st.sampled_from(IDS))}')
    if draw(st.integers(0, 7)) == 0:
        pairs.append(draw(st.sampled_from(('"system": "Be."', '"tools": "[{}]"', '"id": "a"', '"lang": "en"'))))
    return "{" + ", ".join(pairs) + "}" + draw(st.sampled_from(("", "", "\r", " ", "\t", "x")))


def bound(folder: str | Path, name: Any, columns: Any = None) -> Dataset:
    entry = Dataset.model_validate({"path": "a.jsonl", "format": name, "columns": columns})
    return bind(entry, Surroundings(Path(folder), hash_file))


def outcome(read: Callable[[], list[Any]]) -> list[Any] | str:
    """What was read, or why nothing could be."""
    try:
        return read()
    except UserError as error:
        return str(error)


def come_to_the_same(text: str, block: int, name: Any, columns: Any = None) -> None:
    """Reads a file one record after the other, and in blocks."""
    content = text.encode("utf-8", "surrogateescape")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(content)
        entry = bound(folder, name, columns)
        said: list[list[str]] = [[], []]
        one_by_one, in_blocks = (
            Intake([entry], "conversations", malformed=Path(folder) / f"bad-{i}", warn=said[i].append) for i in (0, 1)
        )
        rows = outcome(lambda: [row for _, batch in one_by_one.rows() for row in batch])
        with patch.object(files, "BLOCK", block):
            frames = outcome(lambda: [frame for _, frame in in_blocks.frames()])
        if isinstance(rows, str) or isinstance(frames, str):
            assert rows == frames
            return
        assert in_order(pl.concat(frames, how="diagonal")).equals(in_order(to_frame(rows, Conversation)))
        assert in_blocks.ledger == one_by_one.ledger
        assert said[0] == said[1]
        bad = [sorted(Path(folder).glob(f"bad-{i}/*")) for i in (0, 1)]
        assert len(bad[0]) == len(bad[1])
        assert all(pl.read_parquet(a).equals(pl.read_parquet(b)) for a, b in zip(*bad, strict=True))


PLAIN = '{"id": "%s", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ha"}]}'
SHAREGPT: Any = {"name": "sharegpt", "columns": None}
NAMED = {"messages": "conversations", "id": "id", "l": "lang"}
PIECES = [PLAIN % "a_0", PLAIN % "a_2", PLAIN % "a_4"]


@given(
    lines=st.lists(line(), min_size=1, max_size=12), block=st.sampled_from((1, 40, 300, 1 << 20)), feed=st.booleans(),
    name=st.sampled_from(("sharegpt", "messages", "auto")),
    columns=st.sampled_from((None, None, ["conversations", "id"], NAMED)),
)  # fmt: skip
@example(lines=[*PIECES[:2], PLAIN % "b", PIECES[2], PLAIN % "b"], block=1 << 20, feed=True, **SHAREGPT)
@example(lines=[PLAIN % "b", *PIECES, PLAIN % "c", "{oops", PLAIN % "d"], block=1, feed=False, **SHAREGPT)
@example(lines=[PLAIN % "b", PLAIN % "\udcff", "", PLAIN % "c", ""], block=1 << 20, feed=True, **SHAREGPT)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_both_ways_come_to_the_same_rows(lines: list[str], block: int, feed: bool, name: str, columns: Any) -> None:
    come_to_the_same("\n".join([PLAIN % "x", *lines]) + "\n" * feed, block, name, columns)


@st.composite
def piece(draw: st.DrawFn) -> str:
    """A line that may be a piece of a chat, or one that stands between."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(("{oops", "", PLAIN % "c", '{"id": "a_2", "conversations": []}')))
    turns = [{"from": "human", "value": "Hi"}] * draw(st.integers(1, 4))
    if draw(st.integers(0, 5)) == 0:
        turns = [{"from": "system", "value": "Be kind."}, *turns]
    own = f"{draw(st.sampled_from('aab'))}_{draw(st.sampled_from((0, 1, 2, 2, 3, 4, 4, 6, 8)))}"
    return json.dumps({"id": own, "lang": "en", "conversations": turns})


@given(lines=st.lists(piece(), max_size=16), block=st.sampled_from((1, 200, 900, 1 << 20)), pieces=st.booleans())
@example(lines=[], block=1, pieces=True)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_pieces_are_told_whatever_blocks_they_fall_into(lines: list[str], block: int, pieces: bool) -> None:
    whole = [json.dumps({"id": f"q_{i}", "lang": "en", "conversations": FOUR}) for i in (0, 4, 8)]
    numbered = [json.dumps({"id": f"n_{i}", "lang": "en", "conversations": FOUR}) for i in range(9)]
    format = {"sharegpt": {"pieces": "apart" if pieces else "joined"}}
    come_to_the_same("\n".join([*whole, *lines, *numbered, *whole]), block, format)


FOUR = [{"from": ("human", "gpt")[i % 2], "value": "Hi"} for i in range(4)]


def read_as(format: Any, records: list[dict[str, Any]], folder: Path, columns: Any = None) -> tuple[pl.DataFrame, int]:
    """(the rows of a file, how many of them came as columns)."""
    (folder / "a.jsonl").write_text("\n".join(json.dumps(r) for r in records))
    fast = 0
    framed = Intake._framed

    def counted(self: Intake, number: int, read: Any) -> pl.DataFrame:
        nonlocal fast
        fast += 0 if read.chats is None else len(read.chats)
        return framed(self, number, read)

    with patch.object(Intake, "_framed", counted):
        frames = [frame for _, frame in Intake([bound(folder, format, columns)], "conversations").frames()]
    return pl.concat(frames, how="diagonal"), fast


def test_what_exports_hold_besides_and_pieces_and_auto_are_read_as_columns_too(tmp_path: Path) -> None:
    pieces = [{"id": f"{i // 3}_{4 * (i % 3)}", "conversations": FOUR} for i in range(90)]
    frame, fast = read_as("auto", pieces, tmp_path)
    assert fast == 84  # all but the chats at either end, which might go on there
    assert frame["meta"].str.json_path_match("$.tree").to_list() == [str(i // 3) for i in range(90)]
    more = [{"id": f"n_{i}", "lang": "vi", "n": i, "ok": None, "tags": ["x"], "conversations": FOUR} for i in range(40)]
    frame, fast = read_as("sharegpt", more, tmp_path)
    assert fast == 36 and frame["meta"].to_list() == [f'{{"id":"n_{i}"}}' for i in range(40)]
    named = {"messages": "conversations", "language": "lang"}
    frame, fast = read_as("messages", more, tmp_path, named)
    assert fast == 40 and frame["meta"].to_list() == ['{"language":"vi"}'] * 40
    frame, fast = read_as("messages", more, tmp_path, {**named, "n": "n"})  # numbers are written in many ways
    assert fast == 0 and frame["meta"][3] == '{"language":"vi","n":3}'
    system = [{**record, "system": "Be kind."} for record in more]
    frame, fast = read_as("sharegpt", system, tmp_path)
    assert fast == 0 and frame["messages"].list.len().to_list() == [5] * 40


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (ShareGPT, PLAIN % "a"),
        (ShareGPT, '{"items":[{"value":"\\ud83d\\ude00 \\u00e0\\n","from":"bing"}],"id":"a"}\r'),
        (ShareGPT, '{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}'),
        (Messages, '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ha"}]}'),
    ],
)
def test_what_is_plain_never_becomes_a_record(kind: type[ShareGPT] | type[Messages], written: str) -> None:
    (run,) = Plain(Reader(kind())).runs((written + "\n").encode() * 3)
    assert isinstance(run, pl.DataFrame) and len(run) == 3


def test_others_stand_between_runs_of_plain_chats() -> None:
    block = "\n".join([PLAIN % "a", PLAIN % "b", "{oops", PLAIN % "c_1", PLAIN % "d"]).encode()
    first, others, last = Plain(Reader(ShareGPT())).runs(block)
    assert isinstance(first, pl.DataFrame) and first["meta"].to_list() == ['{"id":"a"}', '{"id":"b"}']
    assert others == f"{{oops\n{PLAIN % 'c_1'}\n".encode()
    assert isinstance(last, pl.DataFrame) and len(last) == 1


def test_a_block_of_many_short_runs_is_read_record_by_record() -> None:
    block = "\n".join([PLAIN % "a", "{oops"] * 50).encode()
    assert list(Plain(Reader(ShareGPT())).runs(block)) == [block]
