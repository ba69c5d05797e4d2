"""`recipes/vicuna.yaml`: each rule of its data half on a made record, and what the model then learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from through import RECIPES, Through, chat, template, through

from curation.conversation import Conversation, Message
from rlhf.recipe.load import load

LONG = "Water boils at a lower temperature on a mountain, because the air presses on it less. "
ASKED = ("Why does water boil sooner on a mountain?", LONG)
RECORDS: list[Any] = [
    chat("good", *ASKED),
    chat(
        "again", "How do I patch a tyre?", "Find the hole, roughen the rubber around it, glue the patch on, press it."
    ),
    chat(
        "again", "How do I patch a tube?", "The same record id stands above, with a text of its own that is different."
    ),
    chat("short", "Which is the largest planet?", "Jupiter is: more than twice as heavy as all others together."),
    chat(
        "longer",
        "Which is the largest planet?",
        "Jupiter is: more than twice as heavy as all others together.",
        "And the smallest?",
        "Mercury, a third as wide as the Earth; it is hardly larger than our Moon.",
    ),
    chat("vendor", "Who wrote this tool?", "It was written by people at OpenAI, I believe, in the year before last."),
    chat("tiny", "Hi", "Hello!"),
    chat(
        "korean",
        "물은 왜 산에서 더 빨리 끓나요?",
        "산 위에서는 공기가 물을 덜 누르기 때문에 더 낮은 온도에서 끓습니다. 그래서 요리 시간이 깁니다.",
    ),
    chat("limit", "Are you there?", "Too many requests in 1 hour. Try again later."),
    chat("twice", "What is a fjord?", "A long narrow inlet of the sea between steep cliffs, made by a glacier.")
    | {
        "conversations": [
            {"from": "human", "value": "What is"},
            {"from": "human", "value": "a fjord, in one sentence?"},
            {"from": "gpt", "value": "A long narrow inlet of the sea between steep cliffs."},
        ]
    },
    chat("unanswered", "Is anybody there, and does anybody answer this question?"),
    chat("nobody"),
    chat(
        "list",
        "What do I need for bread?",
        "Four things:\n1. Flour\n1. Water\n1. Salt\n1. Yeast, and a day of patience.",
    ),
    chat("browsed", "Did it rain in May?", "It rained on twenty days in May, more than ever before【4†weather】."),
]
FEW = {"split_long", "split"}
"""What needs a model, and what needs more rows than are made here."""
EXPECTED = {
    ("ingest", "no_messages"): 1,
    ("exact_dedup", "duplicate"): 2,
    ("sharegpt_noise", "error_reply"): 1,
    ("trim", "no_exchange"): 1,
    ("roles", "repeated_role"): 1,
    ("boilerplate", "vendor_name"): 1,
    ("length", "too_few_chars"): 1,
    ("wrong_format", "wrong_list"): 1,
    ("wrong_format", "plugin"): 1,
    ("language", "other_language"): 1,
}
NEAR_MISSES = [
    chat(
        "open air",
        "Where is the open air theatre?",
        "An open airy park is behind the station; the theatre stands in its middle.",
    ),
    chat(
        "copy", "What does the label say?", 'It says "Copy code", because the button copies the code that stands below.'
    ),
    chat(
        "limits",
        "What is a rate limit?",
        'A server that answers "Too many requests in 1 hour. Try again later." has a rate limit.',
    ),
    chat("rope", "등산", "A rope, water and a map: take all three, even on short walks. 등산 is Korean for hiking."),
    chat(
        "vietnamese",
        "Vì sao nước sôi sớm hơn trên núi?",
        "Vì trên núi không khí ép lên mặt nước yếu hơn, nên nước sôi ở nhiệt độ thấp hơn.",
    ),
    chat("sixteen", "Pi?", "3.14159265358979"),
    chat("numbers", "How do I make tea?", "So:\n1. Boil water.\n2. Pour it.\n\nOr, cold:\n1. Wait a night."),
]


@pytest.fixture(scope="module")
def vicuna(tmp_path_factory: pytest.TempPathFactory) -> Through:
    return through("vicuna", [*RECORDS, *NEAR_MISSES], tmp_path_factory.mktemp("vicuna"), without=FEW)


def test_each_rule_takes_its_made_record_with_its_reason(vicuna: Through) -> None:
    assert vicuna.reasons() == EXPECTED


def test_each_record_goes_by_the_rule_that_it_was_made_for(vicuna: Through) -> None:
    gone = {row.meta["id"]: reason for row, _, reason in vicuna.dropped}
    assert len({"short", "longer"} & gone.keys()) == 1, "one of the two stays"
    for id, reason in (
        ("again", "duplicate"),
        ("limit", "error_reply"),
        ("twice", "repeated_role"),
        ("tiny", "too_few_chars"),
    ):
        assert gone[id] == reason
    assert (gone["vendor"], gone["korean"]) == ("vendor_name", "other_language")


@pytest.mark.parametrize("id", [record["id"] for record in [RECORDS[0], *NEAR_MISSES]])
def test_honest_near_misses_stay(vicuna: Through, id: str) -> None:
    assert len(vicuna.of(id)) == 1


def test_what_the_page_wrote_is_cleaned(tmp_path: Path) -> None:
    made = [
        chat(
            "html",
            "Name two rivers.",
            '<div class="markdown"><p>Two <strong>large</strong> rivers:</p><ul><li>Nile</li><li>Rhine</li></ul></div>',
        ),
        chat(
            "code",
            "Print a word in Python, please.",
            "```\npythonCopy code\nprint('word')\n```\nThat prints it.\n\n2 / 2",
        ),
    ]
    found = through("vicuna", made, tmp_path, without=FEW)
    (html,), (code,) = found.of("html"), found.of("code")
    assert html.messages[1].content.split() == ["Two", "**large**", "rivers:", *html.messages[1].content.split()[3:]]
    assert "<" not in html.messages[1].content and "Nile" in html.messages[1].content
    assert "Copy code" not in code.messages[1].content and "2 / 2" not in code.messages[1].content
    assert "print('word')" in code.messages[1].content


def test_a_chat_begins_with_a_question_and_ends_on_an_answer(tmp_path: Path) -> None:
    made = chat(
        "cut", *ASKED, "And in a pressure cooker?", "Later: the lid keeps the steam in, and it presses on the water."
    )
    turns = [
        {"from": "gpt", "value": "as I said before."},
        *made["conversations"],
        {"from": "human", "value": "Thanks!"},
    ]
    found = through("vicuna", [made | {"conversations": turns}], tmp_path, without=FEW)
    (row,) = found.of("cut")
    assert [m.content for m in row.messages] == [turn["value"].strip() for turn in made["conversations"]]


def test_splitting_loses_no_turn(micro: Path, tmp_path: Path) -> None:
    """FastChat's own script loses the last pair where it does not fit behind the one before it."""
    said = [
        text
        for i in range(9)
        for text in (f"What is the {i}th step, please?", f"Step {i}: " + "lift and fold. " * (i % 4))
    ]
    place = next(i for i, o in enumerate(load("vicuna").steps["curated"].operators) if o.op == "split_long")
    found = through(
        "vicuna",
        [chat("long", *said), chat("brief", "How do I open the box?", "Lift the lid with both hands, slowly.")],
        tmp_path,
        steps={"base": micro},
        without={"split", "language"},
        settings={f"curated.operators.{place}.split_long.max_length": 120},
    )
    parts = sorted(found.of("long"), key=lambda row: said.index(row.messages[0].content))
    assert len(parts) > 2
    assert [m.content for part in parts for m in part.messages] == [text.strip() for text in said]
    (whole,) = {part.parent for part in parts}
    assert whole and found.of("brief")[0].parent is None
    assert all([m.role for m in part.messages[:2]] == ["user", "assistant"] for part in parts)
    assert found.reasons() == {}


def test_a_hundredth_is_kept_back_and_the_same_rows_each_time(tmp_path: Path) -> None:
    made = [
        chat(f"c{i}", f"What is {i} times {i + 1}?", f"It is {i * (i + 1)}, as {i} groups of {i + 1} show.")
        for i in range(1000)
    ]
    splits = []
    for name, records in (("a", made), ("b", made[::-1])):
        (tmp_path / name).mkdir()
        kept = through("vicuna", records, tmp_path / name, without={"split_long", "near_dedup"}).kept
        splits.append({row.meta["id"] for row in kept if row.split == "test"})
    assert splits[0] == splits[1]
    assert 2 <= len(splits[0]) <= 25


TALK = [
    Message("user", "Hi"),
    Message("assistant", "Hello."),
    Message("user", "Bye"),
    Message("assistant", "See you."),
]


def test_the_prompt_is_vicunas(micro: Path) -> None:
    """Version 1.1: a system sentence, then `USER: ` and `ASSISTANT: ` with one space between, and an end token."""
    vicuna = template(micro, "vicuna")
    system = (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions."
    )
    end = vicuna.tokenizer.eos_token
    asked = f"{system} USER: Hi ASSISTANT:"
    assert vicuna.text(TALK) == f"{asked} Hello.{end}USER: Bye ASSISTANT: See you.{end}"
    assert vicuna.text(TALK[:1], ask=True) == asked
    assert vicuna.text([Message("system", "Be brief."), *TALK[:2]]) == f"Be brief. USER: Hi ASSISTANT: Hello.{end}"


def test_only_answers_and_their_end_tokens_are_learned(micro: Path) -> None:
    vicuna = template(micro, "vicuna")
    encoded = vicuna.encode(TALK)
    learned = [vicuna.tokenizer.decode(encoded.ids[a:b]) for a, b in encoded.turns]
    end = vicuna.tokenizer.eos_token
    assert learned == [f" Hello.{end}", f" See you.{end}"]
    assert encoded.exact_prompt


def test_who_it_is_is_said_in_several_languages_and_learned_with_the_rest() -> None:
    from curation.sources.intake import read_rows

    recipe = load("vicuna")
    rows, reading = read_rows(RECIPES / "data" / "identity_chats.jsonl", "sharegpt")
    assert reading.used == len(rows) >= 20 and all(isinstance(row, Conversation) for row in rows)
    assert {ref.step for ref in recipe.edges["sft"]} >= {"curated", "identity"}
