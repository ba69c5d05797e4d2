"""One system message at most, in front, and only where it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curation.artifact import InputFile
from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from curation.operators.system_prompt import SystemPrompt

ASK, SAID = Message("user", "q"), Message("assistant", "a", '{"name":"n"}')
OLD, NEW = Message("system", "old"), Message("system", "Trả lời ngắn gọn.")


def chat(*messages: Message) -> Conversation:
    return Conversation(messages=messages)


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        ({"text": NEW.content}, (ASK, SAID), (NEW, ASK, SAID)),
        ({"text": NEW.content}, (OLD, ASK, SAID), (OLD, ASK, SAID)),
        ({"text": NEW.content, "action": "replace"}, (OLD, ASK, SAID), (NEW, ASK, SAID)),
        ({"text": NEW.content, "action": "replace"}, (ASK, SAID), (NEW, ASK, SAID)),
        ({"text": NEW.content, "action": "replace"}, (OLD, OLD, ASK, OLD, SAID), (NEW, ASK, SAID)),
        ({"action": "remove"}, (OLD, ASK, SAID), (ASK, SAID)),
        ({"action": "remove"}, (ASK, SAID), (ASK, SAID)),
        ({"action": "remove"}, (), ()),
    ],
)
def test_what_becomes_of_the_system_message(
    settings: dict[str, Any], before: tuple[Message, ...], after: tuple[Message, ...]
) -> None:
    operator = SystemPrompt(**settings)
    assert operator.map(chat(*before)) == [chat(*after)]
    assert operator.map(chat(*after)) == [chat(*after)]
    pair = Preference(prompt=before, chosen=(SAID,), rejected=(ASK,))
    assert operator.map(pair) == [pair.with_(prompt=after)]
    row = Candidates(prompt=before, answers=(Answer("x"),))
    assert operator.map(row) == [row.with_(prompt=after)]


def test_the_text_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "system.txt"
    path.write_text(f"{NEW.content}\n", encoding="utf-8")
    assert SystemPrompt(file=InputFile("system.txt", path, "d")).map(chat(ASK)) == [chat(NEW, ASK)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs one of `text` and `file`"),
        ({"text": " "}, "says nothing"),
        ({"text": "x", "action": "remove"}, "takes neither"),
        ({"text": "x", "on": "prompt"}, "whole chats"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SystemPrompt(**settings)
