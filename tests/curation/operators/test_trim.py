"""A chat begins with its first question and ends with its last answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.conversation import Conversation, Message
from curation.engines.batch import Batch, through
from curation.frame import to_frame, to_rows
from curation.operators.trim import Trim

ROLE = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def chat(letters: str) -> Conversation:
    return Conversation(messages=tuple(Message(ROLE[c], f"{i}") for i, c in enumerate(letters)))


def trimmed(letters: str, **settings: bool) -> str | None:
    """The letters of what is left, or None where the row goes."""
    batch = through(Batch(to_frame([chat(letters)], Conversation)), [Trim(**settings)])
    assert batch.entries[0].problem() is None
    rows = to_rows(batch.frame)
    return "".join(m.role[0] for m in rows[0].messages) if rows else None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ua", "ua"),
        ("suaua", "suaua"),
        ("aua", "ua"),
        ("saua", "sua"),
        ("aatua", "ua"),
        ("uau", "ua"),
        ("uauu", "ua"),
        ("uatata", "uatata"),
        ("uat", "ua"),
        ("auau", "ua"),
        ("su", None),
        ("uu", None),
        ("aa", None),
        ("au", None),
        ("s", None),
        ("", None),
    ],
)
def test_what_is_left(before: str, after: str | None) -> None:
    assert trimmed(before) == after


def test_either_end_can_be_left_alone() -> None:
    assert trimmed("auau", leading=False) == "aua"
    assert trimmed("auau", trailing=False) == "uau"
    assert trimmed("su", trailing=False) == "su"
    assert trimmed("sa", leading=False) == "sa"
    assert trimmed("auau", leading=False, trailing=False) == "auau"


def test_edits_and_drops_are_counted_and_texts_kept() -> None:
    batch = through(Batch(to_frame([chat("aua"), chat("ua"), chat("u")], Conversation)), [Trim()])
    entry = batch.entries[0]
    assert (entry.made, entry.kept, entry.edited, entry.dropped) == (3, 2, 1, {"no_exchange": 1})
    assert sorted(tuple(m.content for m in row.messages) for row in to_rows(batch.frame)) == [("0", "1"), ("1", "2")]


def by_hand(letters: str) -> str | None:
    while letters and letters.replace("s", "")[:1] not in ("u", ""):
        first = next(i for i, c in enumerate(letters) if c != "s")
        letters = letters[:first] + letters[first + 1 :]
    while letters and letters[-1] != "a":
        letters = letters[:-1]
    return letters if "u" in letters else None


@settings(max_examples=200, deadline=None)
@given(st.text("suat", max_size=7))
def test_any_chat_ends_up_as_loops_would_leave_it(letters: str) -> None:
    assert trimmed(letters) == by_hand(letters)


def test_it_takes_no_part_of_a_row() -> None:
    with pytest.raises(ValidationError, match="trim works on whole chats"):
        Trim(on="prompt")
