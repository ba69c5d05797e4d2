"""condition_on_label: what stands before an answer depends on the chat's label, and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curation.conversation import Conversation, Message
from curation.frame import to_frame, to_rows, with_ids
from curation.operators.condition_on_label import ConditionOnLabel
from curation.pipeline import curate


def chat(label: bool | None, *said: str) -> Conversation:
    turns = tuple(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(said))
    return Conversation(messages=turns, label=label)


def names(row: Conversation) -> list[Any]:
    return [m.to_dict().get("name") for m in row.messages]


def test_the_last_answer_of_a_bad_chat_is_called_unhelpful() -> None:
    (row,) = ConditionOnLabel().map(chat(False, "hi", "go on", "why?", "go away"))
    assert names(row) == [None, None, None, "An Unhelpful Answer"]
    assert row.label is False


def test_good_chats_and_chats_without_a_label_stay_as_they_are() -> None:
    for row in (chat(True, "hi", "hello"), chat(None, "hi", "hello")):
        assert ConditionOnLabel().map(row) == [row]


def test_every_answer_may_be_named_and_good_ones_too() -> None:
    operator = ConditionOnLabel(good="Câu trả lời hay", bad="Câu trả lời dở", turns="all")
    assert names(operator.map(chat(True, "a", "b", "c", "d"))[0]) == [None, "Câu trả lời hay"] * 2
    assert names(operator.map(chat(False, "a", "b"))[0]) == [None, "Câu trả lời dở"]


def test_what_else_a_message_carries_stays() -> None:
    called = Message.from_dict({"role": "assistant", "content": "", "tool_calls": [{"id": "1"}], "name": "tools"})
    (row,) = ConditionOnLabel().map(Conversation(messages=(Message("user", "hi"), called), label=False))
    assert row.messages[1].to_dict() == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "1"}],
        "name": "An Unhelpful Answer",
    }


def test_rows_and_frames_agree_and_edited_rows_are_counted() -> None:
    rows = [chat(label, "hi", f"answer {i}") for i in range(3) for label in (True, False, None)]
    framed = to_rows(with_ids(ConditionOnLabel().map_frame(to_frame(rows, Conversation)).drop("row")))
    assert framed == [ConditionOnLabel().map(row)[0] for row in rows]
    assert curate(rows, [ConditionOnLabel()]).ledger.entries[0].edited == 3


@pytest.mark.parametrize("settings", [{"bad": None}, {"good": "a", "bad": "a"}, {"bad": " "}, {"on": "prompt"}])
def test_settings_that_tell_nothing_apart_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConditionOnLabel(**settings)
