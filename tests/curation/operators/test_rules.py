"""Rules on chats: each drops what it says, by its word, and keeps what lies just on the other side."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.operators.length import Length
from curation.operators.roles import Roles
from curation.operators.turns import Turns

ROLE = {"s": "system", "u": "user", "a": "assistant", "t": "tool", "x": "narrator"}


def chat(letters: str, content: str = "text") -> Conversation:
    return Conversation(messages=tuple(Message(ROLE[c], content) for c in letters))


def answered(text: str) -> Conversation:
    return Conversation(messages=(Message("user", "Why?"), Message("assistant", text)))


@pytest.mark.parametrize(
    ("settings", "letters", "reason"),
    [
        ({}, "ua", None),
        ({}, "u", "too_few_turns"),
        ({}, "su", "too_few_turns"),  # a system message is no turn
        ({}, "", "too_few_turns"),
        ({"min": 0}, "", None),
        ({"max": 4}, "suaua", None),
        ({"max": 4}, "uatatua", "too_many_turns"),
        ({"max": 5}, "uatatua", None),  # nor is what a tool gave back
    ],
)
def test_turns(settings: dict[str, int], letters: str, reason: str | None) -> None:
    assert Turns(**settings).reason(chat(letters)) == reason


def test_turns_that_nothing_could_meet_are_refused() -> None:
    with pytest.raises(ValidationError, match="max is below min"):
        Turns(min=3, max=2)


@pytest.mark.parametrize(
    ("letters", "reason"),
    [
        ("ua", None),
        ("suaua", None),
        ("uatata", None),
        ("uatta", None),
        ("", "no_messages"),
        ("s", "no_messages"),
        ("uxa", "unknown_role"),
        ("usa", "late_system"),
        ("ssua", "late_system"),
        ("au", "first_not_user"),
        ("saua", "first_not_user"),
        ("uta", "stray_tool"),
        ("uatua", "stray_tool"),
        ("uua", "repeated_role"),
        ("uaaua", "repeated_role"),
        ("uau", "last_not_assistant"),
        ("u", "last_not_assistant"),
        ("uat", "last_not_assistant"),
    ],
)
def test_roles(letters: str, reason: str | None) -> None:
    assert Roles().reason(chat(letters)) == reason


def test_a_message_without_text_is_empty_unless_it_calls_a_tool() -> None:
    assert Roles().reason(chat("ua", " \n")) == "empty_message"
    called = Message("assistant", "", '{"tool_calls":[{"name":"clock"}]}')
    done = (Message("user", "q"), called, Message("tool", "3"), Message("assistant", "Three."))
    assert Roles().reason(Conversation(messages=done)) is None


def test_prompts_may_end_on_the_user() -> None:
    assert Roles(last="user").reason(chat("uau")) is None
    assert Roles(last="user").reason(chat("ua")) == "last_not_user"
    assert Roles(last="any").reason(chat("uau")) is None
    assert Roles(on="prompt").reason(chat("u")) is None


def roles_by_hand(letters: str) -> str | None:
    """The same rules as loops over the messages."""
    if not letters.replace("s", ""):
        return "no_messages"
    if "x" in letters:
        return "unknown_role"
    if "s" in letters[1:]:
        return "late_system"
    if letters.lstrip("s")[0] != "u":
        return "first_not_user"
    for before, after in itertools.pairwise(letters):
        if (after == "t" and before in "us") or (before == "t" and after == "u"):
            return "stray_tool"
    for before, after in itertools.pairwise(letters):
        if before == after and after in "ua":
            return "repeated_role"
    return None if letters[-1] == "a" else "last_not_assistant"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text("suatx", max_size=6), min_size=20, max_size=20))
def test_a_frame_of_chats_gets_the_words_of_its_rows(drawn: list[str]) -> None:
    frame = to_frame([chat(letters) for letters in drawn], Conversation)
    assert Roles().reasons(frame).to_list() == [roles_by_hand(letters) for letters in drawn]
    turns = [sum(c in "ua" for c in letters) for letters in drawn]
    wanted = ["too_few_turns" if n < 2 else "too_many_turns" if n > 3 else None for n in turns]
    assert Turns(max=3).reasons(frame).to_list() == wanted


@pytest.mark.parametrize(
    ("settings", "text", "reason"),
    [
        ({"min_words": 3}, "one two", None),  # with the question there are three
        ({"min_words": 3, "of": "last"}, "one two", "too_few_words"),
        ({"max_words": 3}, "one two", None),
        ({"max_words": 2}, "one two", "too_many_words"),
        ({"min_chars": 8}, "äöü", "too_few_chars"),
        ({"min_chars": 7}, "äöü", None),
        ({"max_chars": 6}, "äöü", "too_many_chars"),
        ({"max_chars": 7}, "äöü", None),
        ({"min_words": 9, "max_chars": 1}, "one", "too_few_words"),
    ],
)
def test_length(settings: dict[str, Any], text: str, reason: str | None) -> None:
    assert Length(**settings).reason(answered(text)) == reason


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs a bound"),
        ({"min_words": 5, "max_words": 4}, "below its min_"),
        ({"max_tokens": 5}, "needs one tokenizer"),
        ({"max_chars": 5, "policy": "base"}, "counts nothing"),
    ],
)
def test_a_length_that_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Length(**settings)


def test_tokens_are_counted_by_the_tokenizer_of_a_model(micro: Any) -> None:
    from transformers import AutoTokenizer

    from curation.artifact import Policy, Ref

    text = "Please open the door with care."
    count = sum(
        len(AutoTokenizer.from_pretrained(micro)(t, add_special_tokens=False)["input_ids"]) for t in ("Why?", text)
    )
    policy: Ref[Policy] = Ref("micro", micro, micro.name)
    assert Length(max_tokens=count, policy=policy).reason(answered(text)) is None
    assert Length(max_tokens=count - 1, policy=policy).reason(answered(text)) == "too_many_tokens"
    assert Length(min_tokens=count + 1, policy=policy).reason(answered(text)) == "too_few_tokens"
