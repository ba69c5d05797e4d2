"""A model is not tested on what it was trained on, in whatever kind of row the prompt comes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation import table
from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from rlhf.evaluation.leaks import Seen, prompts_of


def user(text: str) -> Message:
    return Message("user", text)


def says(text: str) -> Message:
    return Message("assistant", text)


CHAT = Conversation(messages=(user("one"), says("1"), user("two"), says("2"), user("three")), split="train")
PAIR = Preference(prompt=(user("pair"),), chosen=(says("a"),), rejected=(says("b"),), split="test")


def test_every_assistant_turn_teaches_its_prompt() -> None:
    assert len(prompts_of(CHAT)) == 2
    assert prompts_of(CHAT)[0] == prompts_of(Preference(prompt=(user("one"),), chosen=(), rejected=()))[0]


def seen(tmp_path: Path, rows: list[Any], part: str | None) -> set[str]:
    folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    table.write_rows(folder, rows, type(rows[0]))
    questions = ["one", "two", "pair", "other"]
    tests = [Conversation(messages=(user(q), says("whatever"))) for q in questions]
    left = Seen.in_sets([(folder, part)]).unseen(tests)
    return {t.messages[0].content for t in tests} - {t.messages[0].content for t in left}


def test_the_part_that_trainers_take_counts(tmp_path: Path) -> None:
    assert seen(tmp_path, [CHAT], None) == {"one"}
    assert seen(tmp_path, [CHAT], "train") == {"one"}
    assert seen(tmp_path, [CHAT, CHAT.with_(messages=(user("other"), says("!")), split="test")], None) == {"one"}
    assert seen(tmp_path, [PAIR], "test") == {"pair"}
    assert seen(tmp_path, [PAIR.with_(split=None)], None) == {"pair"}
    assert seen(tmp_path, [PAIR, PAIR.with_(prompt=(user("one"),), split="train")], None) == {"one"}


def test_a_later_turn_is_another_prompt_than_its_words_alone(tmp_path: Path) -> None:
    assert "two" not in seen(tmp_path, [CHAT], None)


def test_candidates_too() -> None:
    row = Candidates(prompt=(user("one"),), answers=(Answer("1"),))
    assert prompts_of(row) == prompts_of(CHAT)[:1]
