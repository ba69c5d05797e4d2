"""Plain chats are read in blocks to the same rows as record by record, whatever stands between them."""

from __future__ import annotations

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
from curation.formats.messages import Messages
from curation.formats.plain import Plain
from curation.formats.sharegpt import ShareGPT
from curation.frame import to_frame
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


def outcome(read: Callable[[], list[Any]]) -> list[Any] | str:
    """What was read, or why nothing could be."""
    try:
        return read()
    except UserError as error:
        return str(error)


PLAIN = '{"id": "%s", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ha"}]}'
PIECES = [PLAIN % "a_0", PLAIN % "a_2", PLAIN % "a_4"]


@given(
    lines=st.lists(line(), min_size=1, max_size=12), block=st.sampled_from((1, 40, 300, 1 << 20)), feed=st.booleans(),
    name=st.sampled_from(("sharegpt", "messages")),
)  # fmt: skip
@example(lines=[*PIECES[:2], PLAIN % "b", PIECES[2], PLAIN % "b"], block=1 << 20, feed=True, name="sharegpt")
@example(lines=[PLAIN % "b", *PIECES, PLAIN % "c", "{oops", PLAIN % "d"], block=1, feed=False, name="sharegpt")
@example(lines=[PLAIN % "b", PLAIN % "\udcff", "", PLAIN % "c", ""], block=1 << 20, feed=True, name="sharegpt")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_both_ways_come_to_the_same_rows(lines: list[str], block: int, feed: bool, name: str) -> None:
    content = ("\n".join([PLAIN % "x", *lines]) + "\n" * feed).encode("utf-8", "surrogateescape")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(content)
        entry = bind(Dataset.model_validate({"path": "a.jsonl", "format": name}), Surroundings(Path(folder), hash_file))
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
        assert pl.concat(frames, how="diagonal").equals(to_frame(rows, Conversation))
        assert in_blocks.ledger == one_by_one.ledger
        assert said[0] == said[1]
        bad = [sorted(Path(folder).glob(f"bad-{i}/*")) for i in (0, 1)]
        assert len(bad[0]) == len(bad[1])
        assert all(pl.read_parquet(a).equals(pl.read_parquet(b)) for a, b in zip(*bad, strict=True))


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
    (run,) = Plain(kind.spellings).runs((written + "\n").encode() * 3)
    assert isinstance(run, pl.DataFrame) and len(run) == 3


def test_others_stand_between_runs_of_plain_chats() -> None:
    block = "\n".join([PLAIN % "a", PLAIN % "b", "{oops", PLAIN % "c_1", PLAIN % "d"]).encode()
    first, others, last = Plain(ShareGPT.spellings).runs(block)
    assert isinstance(first, pl.DataFrame) and first["meta"].to_list() == ['{"id":"a"}', '{"id":"b"}']
    assert others == f"{{oops\n{PLAIN % 'c_1'}\n".encode()
    assert isinstance(last, pl.DataFrame) and len(last) == 1


def test_a_block_of_many_short_runs_is_read_record_by_record() -> None:
    block = "\n".join([PLAIN % "a", "{oops"] * 50).encode()
    assert list(Plain(ShareGPT.spellings).runs(block)) == [block]
