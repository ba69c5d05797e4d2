"""What exports call the same things: speakers, calls, system turns, histories, answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from one_row import one

from curation.conversation import Conversation, Message
from curation.formats.alpaca import Alpaca, prompt
from curation.formats.completion import PromptCompletion, Prompts
from curation.formats.format import Format
from curation.formats.kto import KTO
from curation.formats.messages import Messages
from curation.formats.preference import PreferencePair
from curation.formats.sharegpt import ShareGPT

HI, HELLO = Message("user", "Hi"), Message("assistant", "Hello!")
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]


def reason(format: Format, record: Any, makes: Any = "conversations") -> str:
    found = format.rows(record, makes)
    assert isinstance(found, str), found
    return found


@pytest.mark.parametrize("speaker", ["bot", "ai", "AI", "claude", "Gemini", "model"])
def test_more_names_for_the_assistant(speaker: str) -> None:
    assert one(ShareGPT(), {"conversations": [{"from": speaker, "value": "x"}]}).messages[0].role == "assistant"


def test_a_table_has_both_spellings_of_a_turn_and_one_is_empty() -> None:
    turns = [{"role": None, "content": None, "from": "human", "value": "Hi"}]
    assert one(ShareGPT(), {"conversations": turns}).messages == (HI,)
    turns = [{"from": None, "value": float("nan"), "role": "user", "content": "Hi"}]
    assert one(ShareGPT(), {"conversations": turns}).messages == (HI,)


def test_several_calls_in_one_turn_and_calls_as_openai_wrote_them_first() -> None:
    a, b = {"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {}}
    row = one(ShareGPT(), {"conversations": [{"from": "function_call", "value": json.dumps([a, b])}]})
    assert [c["function"] for c in row.messages[0].to_dict()["tool_calls"]] == [a, b]
    row = one(ShareGPT(), {"conversations": [{"from": "Tool_Call", "value": json.dumps(a)}]})
    assert row.messages[0].to_dict()["tool_calls"] == [{"type": "function", "function": a}]
    old = {"role": "assistant", "content": None, "function_call": {"name": "a", "arguments": '{"x": 1}'}}
    row = one(Messages(), {"messages": [old]})
    assert row.messages[0].to_dict() == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "a", "arguments": '{"x": 1}'}}],
    }


def test_a_call_that_spells_none_stays_the_text_that_it_is() -> None:
    for said in ("search the web", "[1, 2]", '{"arguments": {}}', '[{"name": "a"}, 3]'):
        row = one(ShareGPT(), {"conversations": [{"from": "function_call", "value": said}]})
        assert row.messages == (Message("assistant", said),)


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ({"type": "image_url", "image_url": {"url": "data:"}}, "image_part"),
        ({"type": "input_image", "image_url": "x"}, "image_part"),
        ({"type": "image"}, "image_part"),
        ({"type": "input_audio", "input_audio": {}}, "audio_part"),
        ({"type": "video"}, "video_part"),
        ({"type": "file", "file": {}}, "file_part"),
        ({"type": "tool_use", "name": "x"}, "not_text"),
        ({"type": ["text"], "text": "x"}, "not_text"),
        ({"type": "text", "text": 3}, "not_text"),
        (7, "not_text"),
    ],
)
def test_a_part_that_is_no_text_refuses_the_record_and_says_what_it_is(part: Any, word: str) -> None:
    turns = [{"role": "user", "content": [{"type": "text", "text": "Look: "}, part]}]
    assert reason(Messages(), {"messages": turns}) == word


def test_parts_of_text_and_refusals_are_text() -> None:
    parts = [{"type": "input_text", "text": "a"}, "b", {"text": "c"}, {"type": "refusal", "refusal": "d"}]
    assert one(Messages(), {"messages": [{"role": "user", "content": parts}]}).messages == (Message("user", "abcd"),)
    refused = {"role": "assistant", "content": None, "refusal": "I will not."}
    assert one(Messages(), {"messages": [refused]}).messages == (Message("assistant", "I will not."),)


@pytest.mark.parametrize("name", ["system", "system_prompt"])
@pytest.mark.parametrize(
    ("format", "record"),
    [
        (ShareGPT(), {"conversations": CHAT}),
        (Messages(), {"messages": CHAT}),
        (PromptCompletion(), {"prompt": "Hi", "completion": "Hello!"}),
        (Alpaca(wording="plain"), {"instruction": "Hi", "output": "Hello!"}),
        (KTO(), {"prompt": "Hi", "completion": "Hello!", "label": True}),
    ],
)
def test_a_system_turn_may_stand_beside_the_chat(format: Format, record: dict[str, Any], name: str) -> None:
    assert one(format, {**record, name: "Be brief."}).messages == (Message("system", "Be brief."), HI, HELLO)
    assert one(format, {**record, name: ""}).messages == (HI, HELLO) == one(format, {**record, name: None}).messages
    assert reason(format, {**record, name: 3}) == "not_text"


def test_a_system_turn_in_the_chat_counts_before_one_beside_it() -> None:
    own = [{"role": "system", "content": "Rhyme."}, *CHAT]
    assert one(Messages(), {"messages": own, "system": "Be brief."}).messages[0] == Message("system", "Rhyme.")


def test_alpaca_with_a_history_asks_every_turn_in_the_same_words() -> None:
    record = {"instruction": "And 4?", "output": "9", "history": [["Add 2 and 3.", "5"]]}
    for history in (record["history"], json.dumps(record["history"]), (("Add 2 and 3.", "5"),)):
        row = one(Alpaca(), {**record, "history": list(history) if isinstance(history, tuple) else history})
        assert [m.content for m in row.messages] == [prompt("Add 2 and 3."), "5", prompt("And 4?"), "9"]
    row = one(Alpaca(wording="plain"), record)
    assert [m.content for m in row.messages] == ["Add 2 and 3.", "5", "And 4?", "9"]
    for bad in ([["only a question"]], "a text", 3, [["q", None]], {"q": "a"}):
        assert reason(Alpaca(), {**record, "history": bad}) == "bad_history", bad
    for none in ([], "", None):
        assert len(one(Alpaca(), {**record, "history": none}).messages) == 2


def test_alpaca_in_plain_words_and_dollys_names() -> None:
    row = one(Alpaca(wording="plain"), {"instruction": "Add.", "context": "2 and 3", "response": "5"})
    assert row.messages == (Message("user", "Add.\n2 and 3"), Message("assistant", "5"))
    row = one(Alpaca(), {"instruction": "Add.", "context": "2 and 3", "response": "5", "category": "math"})
    assert row.messages[0].content == prompt("Add.", "2 and 3")


def test_gpt4alls_and_orcas_names_of_prompt_and_answer() -> None:
    assert one(PromptCompletion(), {"prompt": "Hi", "response": "Hello!", "source": "x"}).messages == (HI, HELLO)
    row = one(PromptCompletion(), {"system_prompt": "Think.", "question": "Hi", "response": "Hello!"})
    assert row.messages == (Message("system", "Think."), HI, HELLO)
    assert one(KTO(), {"prompt": "Hi", "response": "Hello!", "label": 0}).label is False
    assert one(KTO(), {"conversations": CHAT, "kto_tag": True}).label is True


def test_a_prompt_alone_is_a_row_that_ends_on_the_user() -> None:
    assert one(Prompts(), {"prompt": "Hi", "id": "koala_1"}) == Conversation(messages=(HI,), meta={"id": "koala_1"})
    assert one(Prompts(), {"prompt": CHAT[:1]}).messages == (HI,)
    assert reason(Prompts(), {"prompt": CHAT}) == "ends_on_assistant"
    assert reason(Prompts(), {"prompt": " "}) == "no_prompt"


@pytest.mark.parametrize(
    "record",
    [
        {"question": "Hi", "chosen": "Hello!", "rejected": "No."},
        {"instruction": "Hi", "input": "", "chosen": "Hello!", "rejected": "No."},
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello!"},
            "rejected": {"from": "gpt", "value": "No."},
        },
    ],
)
def test_pairs_of_other_tools(record: dict[str, Any]) -> None:
    (row,) = PreferencePair().rows(record, "preferences")
    assert not isinstance(row, str | Conversation)
    assert (row.prompt, row.chosen, row.rejected) == ((HI,), (HELLO,), (Message("assistant", "No."),))


def test_an_instruction_with_an_input_is_one_prompt() -> None:
    record = {"instruction": "Add.", "input": "2 and 3", "chosen": "5", "rejected": "6"}
    (row,) = PreferencePair().rows(record, "preferences")
    assert not isinstance(row, str | Conversation) and row.prompt == (Message("user", "Add.\n2 and 3"),)


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("score_chosen", "score_rejected"),
        ("rating_chosen", "rating_rejected"),
        ("chosen_score", "rejected_score"),
        ("chosen-rating", "rejected-rating"),
        ("chosen_rating", "rejected_rating"),
    ],
)
def test_ratings_beside_a_pair_become_its_scores(chosen: str, rejected: str) -> None:
    record = {"prompt": "Hi", "chosen": "Hello!", "rejected": "No."}
    (row,) = PreferencePair().rows({**record, chosen: 8.5, rejected: "7"}, "preferences")
    assert not isinstance(row, str) and row.scores == {"rating_chosen": 8.5, "rating_rejected": 7.0}
    (row,) = PreferencePair().rows({**record, chosen: 8.5, rejected: "7"})
    assert not isinstance(row, str) and row.scores == {"rating": 8.5}
    for bad in (None, "N/A", float("nan"), True, [7]):
        (row,) = PreferencePair().rows({**record, chosen: 8.5, rejected: bad}, "preferences")
        assert not isinstance(row, str) and row.scores == {}
