"""Long chats become parts that fit, and every turn is in exactly one of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.artifact import Policy, Ref
from curation.conversation import Conversation, Message
from curation.engines.batch import Batch, through
from curation.frame import to_frame, to_rows
from curation.ledger import Entry
from curation.operators.split_long import SplitLong, exchanges

WORDS = "open the door with care then check letter again Tiếng Việt 你好 table".split()


def chat(letters: str, seed: int = 0, most: int = 30, **shared: Any) -> Conversation:
    rng = random.Random(seed)
    role = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    texts = (" ".join(rng.choices(WORDS, k=rng.randint(1, most))) + f" {i}" for i in range(len(letters)))
    return Conversation(messages=tuple(Message(role[c], t) for c, t in zip(letters, texts, strict=True)), **shared)


@pytest.fixture(scope="module")
def policy(micro: Path) -> Ref[Policy]:
    return Ref("micro", micro, micro.name)


@pytest.fixture(scope="module")
def tokenizer(micro: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(micro)


def tokens(tokenizer: Any, messages: tuple[Message, ...]) -> int:
    """What transformers itself says."""
    text = tokenizer.apply_chat_template([{"role": m.role, "content": m.content} for m in messages], tokenize=False)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def run(rows: list[Conversation], operator: SplitLong) -> tuple[list[Conversation], Entry, Batch]:
    batch = through(Batch(to_frame(rows, Conversation)), [operator])
    assert batch.entries[0].problem() is None
    return to_rows(batch.frame), batch.entries[0], batch


def test_exchanges_begin_with_questions() -> None:
    def shape(letters: str) -> list[str]:
        return ["".join(m.role[0] for m in piece) for piece in exchanges(chat(letters).messages)]

    assert shape("uaua") == ["ua", "ua"]
    assert shape("auatatua") == ["a", "uatat", "ua"]
    assert shape("uuaau") == ["uuaa", "u"]
    assert shape("") == []


def test_a_chat_that_fits_is_not_touched_and_one_token_less_splits_it(policy: Ref[Policy], tokenizer: Any) -> None:
    row = chat("uaua")
    length = tokens(tokenizer, row.messages)
    rows, entry, _ = run([row], SplitLong(policy=policy, max_length=length))
    assert (rows, entry.children, entry.edited) == ([row], 0, 0)
    rows, entry, _ = run([row], SplitLong(policy=policy, max_length=length - 1))
    assert {r.messages for r in rows} == {row.messages[:2], row.messages[2:]}
    assert {r.parent for r in rows} == {row.id}
    assert (entry.children, entry.replaced, entry.kept) == (2, 1, 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 9), st.booleans(), st.integers(40, 400))
def test_no_turn_is_lost_and_parts_are_as_long_as_can_be(
    policy: Ref[Policy], tokenizer: Any, seed: int, pairs: int, system: bool, max_length: int
) -> None:
    row = chat(("s" if system else "") + "ua" * pairs + "u" * (seed % 2), seed)
    rows, entry, _ = run(
        [row, chat("ua", seed + 1, 2)], SplitLong(policy=policy, max_length=max_length, too_long="keep")
    )
    head = row.messages[:1] if system else ()
    place = {m.content: i for i, m in enumerate(row.messages)}
    parts = sorted((r.messages for r in rows if r.messages[-1] in row.messages), key=lambda p: place[p[-1].content])
    assert all(part[: len(head)] == head for part in parts)
    bodies = [part[len(head) :] for part in parts]
    assert [m for body in bodies for m in body] == list(row.messages[len(head) :])
    for body, following in zip(bodies, [*bodies[1:], ()], strict=True):
        pieces = exchanges(body)
        assert body[0].role == "user"
        assert tokens(tokenizer, head + body) <= max_length or len(pieces) == 1
        if following:  # nothing more would have fitted
            assert tokens(tokenizer, head + body + exchanges(following)[0]) > max_length
    assert entry.dropped == {}


def test_an_exchange_that_is_too_long_alone_goes_and_the_chat_goes_on(policy: Ref[Policy], tokenizer: Any) -> None:
    short = chat("uaua", most=3).messages
    long = chat("ua", 7, most=3).messages[0], Message("assistant", "open the door " * 80)
    row = Conversation(messages=(*short[:2], *long, *short[2:]))
    limit = tokens(tokenizer, short)
    rows, entry, batch = run([row], SplitLong(policy=policy, max_length=limit))
    assert {r.messages for r in rows} == {short[:2], short[2:]}
    assert (entry.children, entry.replaced, entry.dropped, entry.kept) == (3, 1, {"exchange_too_long": 1}, 2)
    lost = batch.dropped[0]
    assert to_rows(lost)[0].messages == long
    assert lost["evidence"].to_list() == [f"{tokens(tokenizer, long)} tokens"]
    rows, entry, _ = run([row], SplitLong(policy=policy, max_length=limit, too_long="keep"))
    assert (entry.dropped, len(rows)) == ({}, 3)
    rows, entry, _ = run([Conversation(messages=long)], SplitLong(policy=policy, max_length=limit))
    assert (rows, entry.dropped, entry.children) == ([], {"exchange_too_long": 1}, 0)


def fastchat_with_its_last_pair(lengths: list[int], max_length: int) -> list[tuple[int, int]]:
    """Vicuna's rule over the lengths of turns: pairs add up, and a part ends before what would be too much."""
    parts, start, total = [], 0, 0
    for i in range(0, len(lengths), 2):
        pair = sum(lengths[i : i + 2])
        if total and total + pair > max_length:
            parts.append((start, i))
            start, total = i, 0
        total += pair
    return [*parts, (start, len(lengths))]


@pytest.mark.parametrize("seed", range(6))
def test_the_measure_of_vicuna_adds_six_tokens_a_turn(policy: Ref[Policy], tokenizer: Any, seed: int) -> None:
    row = chat("ua" * 7, seed)
    lengths = [len(tokenizer(m.content).input_ids) + 6 for m in row.messages]
    for limit in (max(lengths), sum(lengths) // 3, sum(lengths) // 2, sum(lengths) - 1, sum(lengths)):
        rows, _, _ = run([row], SplitLong(policy=policy, max_length=limit, compat="vicuna", too_long="keep"))
        expected = fastchat_with_its_last_pair(lengths, limit)
        assert {r.messages for r in rows} == {row.messages[a:b] for a, b in expected}
        assert len(rows) == len(expected)


def test_a_label_and_an_unfinished_end_belong_to_the_last_part(policy: Ref[Policy], tokenizer: Any) -> None:
    row = chat("uauaua", label=True, meta={"finished": False, "tree": "t"}, scores={"rating": 4.0})
    limit = max(tokens(tokenizer, row.messages[i : i + 2]) for i in (0, 2, 4))
    rows, _, _ = run([row], SplitLong(policy=policy, max_length=limit))
    ends = {r.messages[-1] == row.messages[-1]: r for r in rows}
    assert (ends[True].label, dict(ends[True].meta)) == (True, {"finished": False, "tree": "t"})
    assert (ends[False].label, dict(ends[False].meta)) == (None, {"tree": "t"})
    assert {r.source for r in rows} == {row.source}


def test_a_chat_that_the_template_refuses_goes_by_that_word(micro_copy: Path) -> None:
    config = micro_copy / "chat_template.jinja"
    strict = "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}"
    assert config.exists()
    config.write_text(strict + config.read_text(encoding="utf-8"), encoding="utf-8")
    operator = SplitLong(policy=Ref("micro", micro_copy, micro_copy.name), max_length=100)
    rows, entry, _ = run([chat("ua", most=3), chat("aua", most=3)], operator)
    assert (rows, entry.dropped) == ([chat("ua", most=3)], {"template_refuses": 1})


def test_one_row_by_itself_is_split_as_in_a_frame(policy: Ref[Policy]) -> None:
    row = chat("ua" * 6, 3)
    operator = SplitLong(policy=policy, max_length=150, too_long="keep")
    alone = operator.map(row)
    assert len(alone) > 1 and alone == [r.with_(parent=row.id) for r in alone]
    rows, _, _ = run([chat("ua"), row], operator)
    assert {r.messages for r in rows if r.parent} == {r.messages for r in alone}
    assert operator.map_frame(to_frame([], Conversation)).is_empty()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_length": 9}, "needs the model"),
        ({"max_length": 0, "policy": "base"}, "greater than or equal to 1"),
        ({"max_length": 9, "policy": "base", "on": "prompt"}, "whole chats"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SplitLong(**settings)
