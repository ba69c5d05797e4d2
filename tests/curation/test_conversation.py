"""Rows know themselves by what people read, and by nothing else."""

from __future__ import annotations

import hashlib

import pytest

from curation.conversation import (
    Answer,
    Candidates,
    Conversation,
    Message,
    Preference,
    Source,
    canonical_json,
    digest,
    netstring,
)

ASK = Message("user", "Wie spät?")
SAY = Message("assistant", "Drei Uhr.")


def test_netstrings_are_those_of_the_specification() -> None:
    assert netstring("hello world!") == "12:hello world!,"
    assert netstring("") == "0:,"
    assert netstring("ä") == "2:ä,"  # bytes, not characters


def test_an_id_is_the_sha256_of_the_framed_messages_and_tools() -> None:
    framed = "4:user,10:Wie spät?,0:,9:assistant,9:Drei Uhr.,0:,"
    whole = f"{len(framed.encode())}:{framed},0:,"
    assert Conversation(messages=(ASK, SAY)).id == hashlib.sha256(whole.encode()).hexdigest()[:32]


def test_an_id_follows_the_text_and_nothing_that_is_noted_beside_it() -> None:
    row = Conversation(messages=(ASK, SAY))
    noted = row.with_(
        source=Source("set", "file", "digest", 7, "mit"), split="test", scores={"words": 2.0}, meta={"tree": "x"}
    )
    assert noted.id == row.id
    assert row.with_(messages=(ASK, Message("assistant", "Drei Uhr"))).id != row.id
    assert row.with_(tools='[{"name":"clock"}]').id != row.id


def test_text_that_moves_between_messages_makes_another_id() -> None:
    one = Conversation(messages=(Message("user", "ab"), Message("assistant", "c")))
    two = Conversation(messages=(Message("user", "a"), Message("assistant", "bc")))
    assert one.id != two.id
    assert digest("a", "b") != digest("ab") != digest("", "ab")


def test_a_message_is_a_dict_and_back() -> None:
    record = {"role": "assistant", "content": "", "tool_calls": [{"name": "clock", "arguments": {"b": 1, "a": 2}}]}
    message = Message.from_dict(record)
    assert message.to_dict() == record
    assert Message.from_dict({**record, "name": None}) == message  # what is None was not said


def test_prompt_and_reply_are_the_two_sides_of_the_last_answer() -> None:
    chat = Conversation(messages=(ASK, SAY, ASK, Message("assistant", "Vier.")))
    assert (chat.prompt, chat.reply) == ((ASK, SAY, ASK), "Vier.")
    asked = Conversation(messages=(ASK,))
    assert (asked.prompt, asked.reply) == ((ASK,), "")
    assert Conversation(messages=()).reply == ""


def test_candidates_and_preferences_are_chats_side_by_side() -> None:
    candidates = Candidates(prompt=(ASK,), answers=(Answer("Drei"), Answer("Vie", finished=False)), meta={"tree": 1})
    first, second = candidates.conversations()
    assert [c.messages for c in (first, second)] == [
        (ASK, Message("assistant", "Drei")),
        (ASK, Message("assistant", "Vie")),
    ]
    assert [c.meta for c in (first, second)] == [{"tree": 1, "finished": True}, {"tree": 1, "finished": False}]
    pair = Preference(prompt=(ASK,), chosen=(SAY,), rejected=(Message("assistant", "Nein."),))
    assert [c.reply for c in pair.conversations()] == ["Drei Uhr.", "Nein."]
    assert {c.parent for c in pair.conversations()} == {pair.id}


def test_the_order_of_a_pair_is_part_of_what_it_says() -> None:
    pair = Preference(prompt=(ASK,), chosen=(SAY,), rejected=(ASK,))
    assert pair.id != Preference(prompt=(ASK,), chosen=(ASK,), rejected=(SAY,)).id


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
