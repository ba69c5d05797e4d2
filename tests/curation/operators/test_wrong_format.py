"""Broken chats go, each by the word for what is broken; what only looks like it stays."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.operators.wrong_format import Check, WrongFormat


def chat(*texts: str) -> Conversation:
    return Conversation(messages=tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(texts)))


SAID = "A long enough sentence that nobody would say twice by chance."
CASES: dict[str, tuple[list[Conversation], list[Conversation]]] = {
    "no_answer": (
        [
            Conversation(messages=()),
            chat("Is anybody there?"),
            Conversation(messages=(Message("system", "Be kind."), Message("user", "Hi"))),
        ],
        [chat("Is anybody there?", "Yes."), Conversation(messages=(Message("assistant", "Welcome."),))],
    ),
    "empty_message": (
        [
            chat("Hi", ""),
            chat("", "What would you like?"),
            chat("Hi", " \n\t\u00a0\u3000"),
            chat("Hi", "\u200b\ufeff\u2800"),  # characters of no width, and a blank of braille
            chat("Hi", "Hello", "\u202e", "Sorry?"),
        ],
        [
            chat("Hi", "."),
            chat("👍", "🙂"),
            chat("๑", "ๆ"),
            Conversation(
                messages=(
                    Message("user", "What time is it?"),
                    Message("assistant", "", '{"tool_calls":[{"name":"clock"}]}'),
                    Message("tool", ""),
                    Message("assistant", "Three."),
                )
            ),
        ],
    ),
    "echo": (
        [chat(SAID, SAID), chat("Hi", "Hello", f"{SAID}\n", f" {SAID}")],
        [chat("Hello!", "Hello!"), chat(SAID, f"{SAID} Well said."), chat(SAID, "Yes.", SAID, "Yes, still.")],
    ),
    "same_answer": (
        [chat("One?", SAID, "Two?", SAID), chat("One?", SAID, "Two?", "No.", "Three?", f"{SAID}\n")],
        [chat("One?", "Yes.", "Two?", "Yes."), chat("One?", SAID, "Two?", f"{SAID}..")],
    ),
    "wrong_list": (
        [
            chat("List", "Here:\n1. Bread\n1. Milk\n1. Eggs"),
            chat("List", "1. Bread\n\n1. Milk"),
            chat("List", "1. Bread\n   - dark\n   - fresh\n\n1. Milk\n"),
            chat("1) 面包\n1) 牛奶", "好"),
        ],
        [
            chat("List", "1. Bread\n2. Milk\n3. Eggs"),
            chat("List", "First:\n1. Bread\n\nThen:\n1. Milk"),
            chat("List", "1. Bread\n10. Milk"),
            chat("List", "The 1. is bread,\nand 1. is milk."),
        ],
    ),
    "plugin": (
        [
            chat("News?", "It rained in May【12†source】."),
            chat("News?", "It rained【3:1†weather.txt】."),
            chat("News?", "Finished browsing\n\nIt rained."),
            chat("News?", "Searched with Bing\nIt rained."),
            chat("News?", "Used WebPilot\n\nIt rained."),
            chat("News?", "Clicked on:\nClick failed\nIt rained."),
        ],
        [
            chat("News?", "Finished browsing the shop, she left."),
            chat("What does Finished browsing mean?", "That it was done【注】."),
            chat("News?", "Used cars are cheap.\nUsed by all."),
            chat("It rained【12†source】", "What is that mark?"),
        ],
    ),
    "lost_letters": ([chat("Caf\ufffd?", "Yes."), chat("Hi", "na\ufffd\ufffdve")], [chat("Café?", "naïve ÿ ¿")]),
    "open_fence": (
        [chat("Code", "```python\nprint(1)"), chat("Code", "```\na\n```\nand\n```js\nb")],
        [
            chat("Code", "```python\nprint(1)\n```"),
            chat("Code", "Use ``` to open a block."),
            chat("Code", "```one line```"),
            chat("```\nmine", "Close it."),
        ],
    ),
}


@pytest.mark.parametrize("word", get_args(Check))
def test_each_rule_on_what_is_broken_and_on_what_is_not(word: str) -> None:
    goes, stays = CASES[word]
    alone, every = WrongFormat(checks=(word,)), WrongFormat(checks=get_args(Check))
    assert [alone.reason(row) for row in goes] == [word] * len(goes)
    assert [every.reason(row) for row in goes] == [word] * len(goes)
    assert [every.reason(row) for row in stays] == [None] * len(stays)


def test_blocks_without_end_must_be_asked_for() -> None:
    assert WrongFormat().reason(CASES["open_fence"][0][0]) is None


def test_a_prompt_may_end_without_an_answer_but_not_be_empty() -> None:
    on_prompt = WrongFormat(on="prompt")
    assert on_prompt.reason(chat("Is anybody there?")) is None
    assert on_prompt.reason(chat(" ")) == "empty_message"


def test_a_frame_gets_the_words_of_its_rows() -> None:
    rows = [row for goes, stays in CASES.values() for row in (*goes, *stays)]
    every = WrongFormat(checks=get_args(Check))
    singly = [every.reason(row) for row in rows]
    assert every.reasons(to_frame(rows, Conversation)).to_list() == singly
    assert every.reasons(to_frame(rows[::-1], Conversation)).to_list() == singly[::-1]
    assert len(set(singly)) == len(get_args(Check)) + 1


def test_a_rule_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="no_answer"):
        WrongFormat(checks=("no_such_rule",))
