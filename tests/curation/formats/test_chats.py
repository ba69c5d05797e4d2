"""Formats whose records are chats: sharegpt, messages, alpaca, prompt/completion, kto."""

from __future__ import annotations

import json
from typing import Any

import pytest
from one_row import one

from curation.conversation import Conversation, Message
from curation.formats.alpaca import Alpaca
from curation.formats.completion import PromptCompletion
from curation.formats.kto import KTO
from curation.formats.messages import Messages
from curation.formats.sharegpt import ShareGPT

HI, HELLO = Message("user", "Hi"), Message("assistant", "Hello!")


@pytest.mark.parametrize("name", ["conversations", "conversation", "messages", "items"])
@pytest.mark.parametrize(("who", "what"), [("from", "value"), ("role", "content")])
def test_sharegpt_reads_every_usual_spelling_of_a_turn(name: str, who: str, what: str) -> None:
    record = {name: [{who: "human", what: "Hi"}, {who: "gpt", what: "Hello!"}]}
    assert one(ShareGPT(), record).messages == (HI, HELLO)


@pytest.mark.parametrize(
    ("written", "role"),
    [
        *[(name, "user") for name in ("human", "user", "Human")],
        *[(name, "assistant") for name in ("gpt", "chatgpt", "bing", "bard", "assistant")],
        ("system", "system"),
        *[(name, "tool") for name in ("tool", "observation", "function")],
    ],
)
def test_sharegpt_knows_who_is_meant(written: str, role: str) -> None:
    assert one(ShareGPT(), {"conversations": [{"from": written, "value": "x"}]}).messages == (Message(role, "x"),)


def test_a_function_call_becomes_a_tool_call_and_an_observation_its_answer() -> None:
    called = '{"name": "weather", "arguments": {"city": "Huế"}}'
    turns = [
        {"from": "human", "value": "Rain?"},
        {"from": "function_call", "value": called},
        {"from": "observation", "value": '{"rain": true}'},
        {"from": "gpt", "value": "Yes."},
    ]
    row = one(ShareGPT(), {"conversations": turns, "tools": '[{"name": "weather"}]', "system": "Be brief."})
    assert [m.role for m in row.messages] == ["system", "user", "assistant", "tool", "assistant"]
    call = row.messages[2].to_dict()["tool_calls"]
    assert call == [{"type": "function", "function": json.loads(called)}]
    assert row.tools == '[{"name":"weather"}]'


def test_what_operators_judge_is_kept_as_it_is() -> None:
    turns = [
        {"from": "gpt", "value": ""},
        {"from": "gpt", "value": " <b>x</b> "},
        {"from": "human", "value": "\n"},
    ]
    row = one(ShareGPT(), {"id": "a_0", "conversations": turns})
    assert [(m.role, m.content) for m in row.messages] == [
        ("assistant", ""),
        ("assistant", " <b>x</b> "),
        ("user", "\n"),
    ]
    assert row.meta == {"id": "a_0"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"conversations": []}, "no_messages"),
        ({"id": "x"}, "no_messages"),
        ({"conversations": "Hi"}, "no_messages"),
        ({"conversations": ["Hi"]}, "not_a_message"),
        ({"conversations": [{"value": "Hi"}]}, "no_role"),
        ({"conversations": [{"from": "narrator", "value": "Hi"}]}, "unknown_role"),
        ({"conversations": [{"from": "human"}]}, "no_text"),
        ({"conversations": [{"from": "human", "value": 7}]}, "not_text"),
        ({"conversations": [{"from": "human", "value": "Hi"}], "tools": "a hammer"}, "bad_tools"),
        (["Hi"], "not_an_object"),
        (None, "not_an_object"),
    ],
)
def test_sharegpt_says_in_one_word_why_not(record: Any, reason: str) -> None:
    assert ShareGPT().rows(record) == reason


def test_messages_keep_calls_names_and_joined_text_parts() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "7", "tool_call_id": "1", "extra": None},
    ]
    row = one(Messages(), {"messages": messages, "tools": [{"type": "function"}]})
    assert [m.to_dict() for m in row.messages] == [
        {"role": "user", "content": "ab", "name": "Ann"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "7", "tool_call_id": "1"},
    ]


def test_messages_in_a_text_column_are_json_and_a_prompt_alone_is_a_row() -> None:
    assert one(Messages(), {"messages": '[{"role": "user", "content": "Hi"}]'}).messages == (HI,)


def test_an_image_part_is_refused_and_not_dropped_from_the_chat() -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    assert Messages().rows({"messages": [{"role": "user", "content": parts}]}) == "image_part"


WITH_INPUT = """Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.

### Instruction:
Add the numbers.

### Input:
2 and {3}

### Response:"""  # noqa: E501  # as it stands in stanford_alpaca's train.py
WITHOUT_INPUT = """Below is an instruction that describes a task. Write a response that appropriately completes the request.

### Instruction:
Say {hi}.

### Response:"""  # noqa: E501


def test_alpaca_asks_in_the_words_of_stanford_alpaca_to_the_byte() -> None:
    row = one(Alpaca(), {"instruction": "Add the numbers.", "input": "2 and {3}", "output": "5"})
    assert row.messages == (Message("user", WITH_INPUT), Message("assistant", "5"))
    for given in ({"input": ""}, {"input": None}, {}):
        row = one(Alpaca(), {"instruction": "Say {hi}.", "output": "Hi!", **given})
        assert row.messages == (Message("user", WITHOUT_INPUT), Message("assistant", "Hi!"))


def test_alpaca_needs_an_instruction_and_an_output() -> None:
    assert Alpaca().rows({"instruction": " ", "output": "x"}) == "no_instruction"
    assert Alpaca().rows({"instruction": "x", "input": ""}) == "no_output"
    assert Alpaca().rows({"instruction": "x", "output": ["y"]}) == "not_text"


@pytest.mark.parametrize("prompt", ["Hi", [{"role": "user", "content": "Hi"}]])
@pytest.mark.parametrize("completion", ["Hello!", [{"role": "assistant", "content": "Hello!"}]])
def test_prompt_and_completion_as_text_or_messages(prompt: Any, completion: Any) -> None:
    assert one(PromptCompletion(), {"prompt": prompt, "completion": completion}).messages == (HI, HELLO)


def test_a_prompt_that_is_some_json_is_still_a_text() -> None:
    asked = '[{"a": 1}]'
    assert one(PromptCompletion(), {"prompt": asked, "completion": "[]"}).messages == (
        Message("user", asked),
        Message("assistant", "[]"),
    )


def test_prompt_and_completion_must_both_be_there_and_the_assistant_speaks_last() -> None:
    assert PromptCompletion().rows({"completion": "x"}) == "no_prompt"
    assert PromptCompletion().rows({"prompt": "x"}) == "no_completion"
    user = [{"role": "user", "content": "x"}]
    assert PromptCompletion().rows({"prompt": "x", "completion": user}) == "ends_on_user"


@pytest.mark.parametrize(("written", "label"), [(True, True), (0, False), ("True", True), ("0", False), (1.0, True)])
def test_kto_takes_the_usual_ways_to_say_yes_and_no(written: Any, label: bool) -> None:
    assert one(KTO(), {"prompt": "Hi", "completion": "Hello!", "label": written}) == Conversation(
        messages=(HI, HELLO), label=label
    )


def test_kto_needs_a_label_it_knows_and_an_answer_to_label() -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    assert one(KTO(), {"messages": chat, "label": False}).label is False
    assert KTO().rows({"messages": chat}) == "no_label"
    assert KTO().rows({"messages": chat, "label": "maybe"}) == "unknown_label"
    assert KTO().rows({"messages": chat[:1], "label": True}) == "ends_on_user"


def test_columns_can_be_carried_along_as_long_as_they_are_plain() -> None:
    record = {"prompt": "2+2", "completion": "4", "answer": 4, "source": None, "raw": b"x"}
    (outcome,) = PromptCompletion().outcomes([(0, record)], "conversations", ["prompt", "answer", "source"])
    assert outcome.rows[0][1].meta == {"answer": 4}
    (outcome,) = PromptCompletion().outcomes([(0, record)], "conversations", ["raw"])
    assert outcome.lost[0].reason == "not_plain"


def test_lone_surrogates_become_the_replacement_character_and_pairs_their_own() -> None:
    row = one(ShareGPT(), {"conversations": [{"from": "human", "value": "a\ud800b \ud83d\ude00"}]})
    assert row.messages[0].content == "a\ufffdb 😀"


def test_nesting_without_end_is_refused() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"x": deep}
    record = {"messages": [{"role": "user", "content": "Hi"}], "tools": [deep]}
    assert Messages().rows(record) == "too_deep"
