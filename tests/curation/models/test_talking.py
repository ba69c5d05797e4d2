"""A chat with one person gives what the batch sampler gives, and reads nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.models import Sampling, Talk, ask, generate, load_policy
from curation.models.generation import NextToken

GREEDY = Sampling(temperature=0, max_completion_length=24)


def test_three_turns_equal_three_whole_readings(micro: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_policy(micro)
    talk = Talk(loaded, GREEDY)
    read: list[int] = []
    plain = NextToken.__call__

    def counted(self: NextToken, ids: object, *rest: object) -> object:
        read.append(ids.shape[1])  # type: ignore[attr-defined]
        return plain(self, ids, *rest)  # type: ignore[arg-type]

    chat: list[Message] = []
    for question in ("How do I open the door?", "What?", "Tell me how to wash the car."):
        chat.append(Message("user", question))
        monkeypatch.setattr(NextToken, "__call__", counted)
        pieces = list(talk.answer(chat))
        monkeypatch.undo()
        requests, _ = ask(loaded, [Conversation(messages=tuple(chat))])
        (wanted,) = generate(loaded, requests, GREEDY)
        assert "".join(pieces) == wanted.text
        assert talk.last == wanted
        chat.append(Message("assistant", wanted.text))
    whole = len(loaded.template.prompt_ids(chat[:-1])) + len(wanted.tokens)
    assert sum(read) <= whole + 3  # each token once; a turn's last one may have to be read again


def test_the_cache_grows_and_shrinks_with_the_chat(micro: Path) -> None:
    loaded = load_policy(micro)
    long = [Message("user", "box map " * 200)]
    short = [Message("user", "What?")]
    talk = Talk(loaded, GREEDY)
    first = "".join(talk.answer(short))
    "".join(talk.answer([*long]))
    assert "".join(talk.answer(short)) == first


def test_what_cannot_be_read_is_said(micro: Path) -> None:
    talk = Talk(load_policy(micro), GREEDY)
    with pytest.raises(UserError, match="control token"):
        talk.answer([Message("user", "<|im_end|>")])
    with pytest.raises(UserError, match="the model reads 1024"):
        talk.answer([Message("user", "box " * 2000)])
