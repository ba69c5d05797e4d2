"""Listed words and phrases, where they stand by themselves, in any script."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from curation.artifact import InputFile
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.frame import to_frame
from curation.operators.blocklist import ALPACA, Blocklist
from curation.operators.phrases import counted, found, phrases


def chat(*texts: str) -> Conversation:
    return Conversation(messages=tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(texts)))


def reason(text: str, *words: str, **settings: Any) -> str | None:
    return Blocklist(words=words, **settings).reason(chat(text, "Well."))


@pytest.mark.parametrize(
    ("word", "holds", "lacks"),
    [
        ("map", "Draw a MAP, please.", "Mapping maps onto mapmakers."),
        ("go to", "Go\n  to Rome.", "Go today. Cargo to port. Go, to be sure."),
        ("café", "a cafe\u0301!", "cafés, cafe"),  # composed or not
        ("über", "ÜBER alles", "übermorgen, darüber"),
        ("рубль", "Один рубль.", "Рубля нет."),
        ("bức vẽ", "Xem bức vẽ này", "bức vẽnh"),
        ("चित्र", "यह चित्र है।", "चित्रा और विचित्र"),
        ("صورة", "هذه صورة", "صورتان"),
        ("图片", "请看图片吧", "请看图，片刻就好"),
        ("画像", "この画像を見て", "画家の像"),
        ("รูปภาพ", "ดูรูปภาพนี้", "ดูรูปนี้ ภาพสวย"),
        ("그림", "그림을 그려 줘", "밑그림"),  # particles follow a Korean word, other nouns stand before it
        ("c++", "In C++, please", "c+ +"),
        ("can't", "I can't.", "I cant, can 't"),
        ("3.5", "GPT 3.5 it is", "3x5 and 13.5"),
    ],
)
def test_a_word_stands_by_itself_where_its_script_has_words(word: str, holds: str, lacks: str) -> None:
    assert reason(holds, word) == "blocked_word"
    assert reason(lacks, word) is None


def test_words_can_count_inside_others_and_by_case() -> None:
    assert reason("Mapmakers", "map", whole_words=False) == "blocked_word"
    assert reason("a map", "Map", ignore_case=False) is None
    assert reason("a Map", "Map", ignore_case=False) == "blocked_word"


def test_every_word_of_alpacas_list_and_none_beside_it() -> None:
    own = Blocklist(lists=("alpaca",), of="questions")
    assert len(set(ALPACA)) == 18
    for word in ALPACA:
        assert own.reason(chat(f"Would you {word.upper()} it?", "No.")) == "blocked_word"
    near = "Imagine a paragraph, profile the plotter, map-like or not: go, to audiovisual musicians, drawn."
    assert own.reason(chat(near.replace("map-like", "maplike"), "Yes.")) is None
    assert own.reason(chat("Tell me a joke.", "A map of music.")) is None


def test_which_messages_are_looked_at() -> None:
    asked, answered = chat("a map", "x"), chat("x", "a map")
    table = {"chat": (True, True), "questions": (True, False), "answers": (False, True), "last": (False, True)}
    for of, wanted in table.items():
        own = Blocklist(words=("map",), of=of)
        assert tuple(own.reason(row) is not None for row in (asked, answered)) == wanted, of
    assert Blocklist(words=("map",), on="chosen").reason(asked) is None


def test_a_file_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeff# ours\n\nold mill\n# map\n水车\n", encoding="utf-8")
    own = Blocklist(file=InputFile("list.txt", path, "digest"))
    assert own.reason(chat("the old  mill", "x")) == "blocked_word"
    assert own.reason(chat("看水车", "x")) == "blocked_word"
    assert own.reason(chat("a map of ours", "x")) is None
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="lists nothing"):
        Blocklist(file=InputFile("list.txt", path, "digest")).reason(chat("x"))


@pytest.mark.parametrize(
    ("settings", "said"), [({}, "needs `words`"), ({"words": [" "]}, "empty word"), ({"lists": ["koala"]}, "alpaca")]
)
def test_a_list_of_nothing_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Blocklist(**settings)


def test_the_word_is_noted_beside_the_row_in_any_order() -> None:
    rows = [chat("a plot of land", "x"), chat("x", "y"), chat("x", "Videos? A video!"), Conversation(messages=())]
    words = ["plot", None, "video", None]
    own = Blocklist(lists=("alpaca",))
    for given, wanted in ((rows, words), (rows[::-1], words[::-1])):
        frame = to_frame(given, Conversation)
        reasons = own.reasons(frame)
        assert reasons.to_list() == [own.reason(row) for row in given]
        assert own.evidence(frame, reasons).to_list() == wanted


def test_phrases_are_counted_one_by_one_and_the_longest_is_named() -> None:
    listed = phrases(["damn", "damn it", "操你妈"])
    texts = pl.Series(["damn damn,damn", "Damn it", "操你妈操你妈", "", unicodedata.normalize("NFD", "dämn")])
    assert counted(texts, listed).to_list() == [3, 1, 2, 0, 0]
    assert found(texts, listed).to_list() == ["damn", "damn it", "操你妈", None, None]
