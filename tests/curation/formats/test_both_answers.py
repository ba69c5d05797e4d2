"""Records with several answers as labelled conversations: pairs, rated answers, lists of answers, and marked texts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curation.conversation import Message
from curation.formats.auto import Auto
from curation.formats.completion import PromptCompletion
from curation.formats.format import Format
from curation.formats.hh import HH
from curation.formats.preference import PreferencePair
from curation.formats.ratings import Ratings
from curation.formats.transcript import Transcript

WEBGPT = {
    "question": {"dataset": "eli5", "id": "1", "full_text": "Why is the sea salt?"},
    "quotes_0": {"title": [], "extract": []},
    "answer_0": "Nobody knows.",
    "score_0": -0.5,
    "answer_1": "Rivers wash salt out of the rocks.",
    "score_1": 0.5,
}


def labelled(format: Format, record: Any) -> list[tuple[str, bool | None]] | str:
    rows = format.rows(record, "conversations")
    return rows if isinstance(rows, str) else [(row.reply, row.label) for row in rows]


def test_both_answers_of_a_pair_are_rows_with_a_label() -> None:
    pair = {"prompt": "Why is the sea salt?", "chosen": "Rivers bring it.", "rejected": "No."}
    assert labelled(PreferencePair(answers="both"), pair) == [("Rivers bring it.", True), ("No.", False)]
    assert labelled(PreferencePair(), pair) == [("Rivers bring it.", None)]
    (row,) = PreferencePair(answers="both").rows(pair, "preferences")
    assert row.chosen == (Message("assistant", "Rivers bring it."),)


def test_both_transcripts_of_hh_are_rows_with_a_label() -> None:
    record = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello!", "rejected": "\n\nHuman: Hi\n\nAssistant: Go away."}
    assert labelled(HH(answers="both"), record) == [("Hello!", True), ("Go away.", False)]


def test_ratings_of_a_pair_go_with_their_answers() -> None:
    pair = {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 4, "score_rejected": 1}
    assert [row.scores for row in PreferencePair(answers="both").rows(pair, "conversations")] == [
        {"rating": 4.0},
        {"rating": 1.0},
    ]


def test_webgpts_comparisons_are_read() -> None:
    best = ("Rivers wash salt out of the rocks.", True)
    assert labelled(Ratings(answers="best_worst"), WEBGPT) == [best, ("Nobody knows.", False)]
    (row,) = Ratings().rows(WEBGPT, "preferences")
    assert row.prompt == (Message("user", "Why is the sea salt?"),)
    assert row.scores == {"rating_chosen": 0.5, "rating_rejected": -0.5}
    (auto,) = Auto().rows(WEBGPT, "conversations")
    assert auto.reply == best[0]


def test_equal_ratings_say_neither_good_nor_bad() -> None:
    assert labelled(Ratings(answers="best_worst"), WEBGPT | {"score_0": 0.5}) == "no_best_answer"
    assert labelled(Ratings(answers="best_worst", min_gap=1.5), WEBGPT) == "no_best_answer"
    assert len(labelled(Ratings(answers="best_worst", min_gap=1.0), WEBGPT)) == 2


def test_each_of_several_answers_is_a_row() -> None:
    record = {"question": "What is salt?", "response": ["Sodium chloride.", "What makes the sea salty."]}
    assert labelled(PromptCompletion(), record) == [
        ("Sodium chloride.", None),
        ("What makes the sea salty.", None),
    ]
    assert labelled(PromptCompletion(), {"prompt": "q", "completion": []}) == "no_completion"


def test_a_marked_text_is_a_chat() -> None:
    (row,) = Transcript().rows(
        {"text": "<human>: What is a fjord?\nIn short.\n<bot>: An inlet: <bot>: is no mark here."}
    )
    assert row.messages == (
        Message("user", "What is a fjord?\nIn short."),
        Message("assistant", "An inlet: <bot>: is no mark here."),
    )
    (own,) = Transcript(speakers={"Q:": "user", "A:": "assistant"}).rows({"text": "Q: one\nA: two\nQ: three\nA: four"})
    assert [m.content for m in own.messages] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "no mark at all"}, "not_a_transcript"),
        ({"text": 3}, "not_text"),
        ({}, "no_text"),
    ],
)
def test_a_text_without_marks_is_no_chat(record: Any, reason: str) -> None:
    assert Transcript().rows(record) == reason


def test_auto_knows_a_marked_text_and_no_plain_one() -> None:
    assert len(Auto().rows({"text": "<human>: hi\n<bot>: hello"})) == 1
    assert Auto().rows({"text": "once upon a time"}) == "unknown_format"
    with pytest.raises(ValidationError):
        Transcript(speakers={" ": "user"})
