"""What `on:` means: the chats of the row types themselves, and edits that come back to where they belong."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Candidates, Conversation, Preference
from curation.frame import to_frame, to_rows
from curation.views import edited, replies, view

few = settings(max_examples=15, deadline=None)


@few
@given(data=st.data())
def test_preferences_show_their_two_chats_and_their_prompt(data: Any, any_preference: Any) -> None:
    rows: list[Preference] = data.draw(st.lists(any_preference, max_size=4))
    frame = to_frame(rows, Preference)
    for i, on in enumerate(("chosen", "rejected")):
        assert to_rows(view(frame, on)) == [r.conversations()[i] for r in rows]
        assert view(frame, on)["id"].to_list() == [r.conversations()[i].id for r in rows]
        assert edited(frame, on, view(frame, on)).equals(frame)
    assert [c.messages for c in to_rows(view(frame, "prompt"))] == [r.prompt for r in rows]
    assert edited(frame, "prompt", view(frame, "prompt")).equals(frame)


@few
@given(data=st.data())
def test_candidates_show_a_chat_for_each_answer(data: Any, any_candidates: Any) -> None:
    rows: list[Candidates] = data.draw(st.lists(any_candidates, max_size=4))
    frame = to_frame(rows, Candidates)
    chats = replies(frame)
    assert to_rows(chats.drop("row")) == [c for r in rows for c in r.conversations()]
    assert chats["row"].to_list() == [i for i, r in enumerate(rows) for _ in r.answers]
    assert edited(frame, "reply", chats).equals(frame)


@few
@given(data=st.data())
def test_conversations_show_what_came_before_the_last_answer(data: Any, any_conversation: Any) -> None:
    rows: list[Conversation] = data.draw(st.lists(any_conversation, max_size=4))
    frame = to_frame(rows, Conversation)
    assert [c.messages for c in to_rows(view(frame, "prompt"))] == [r.prompt for r in rows]
    assert edited(frame, "prompt", view(frame, "prompt")).equals(frame)
    assert view(frame, None) is frame
