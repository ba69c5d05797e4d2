"""Each phrase on an answer that must go because of it, and on one close to it that must stay."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from boilerplate_sentences import REFUSED, SELF
from pydantic import ValidationError

from curation.artifact import InputFile
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.frame import to_frame
from curation.operators.boilerplate import Boilerplate, any_of, read_patterns, refusal_pattern, self_pattern
from curation.operators.boilerplate_refusals import REFUSALS
from curation.operators.boilerplate_self import SELF_REFERENCES


def answered(*answers: str, asked: str = "As an AI language model, I ask.") -> Conversation:
    pairs = [(Message("user", asked), Message("assistant", answer)) for answer in answers]
    return Conversation(messages=tuple(message for pair in pairs for message in pair))


def reason(answer: str, **settings: Any) -> str | None:
    return Boilerplate(**settings).reason(answered(answer))


def finds(pattern: str, text: str) -> bool:
    """Whether this phrase alone is in a text."""
    return bool(pl.Series([text.lower()]).str.contains(any_of({"xx": (pattern,)}, None))[0])


@pytest.mark.parametrize(
    ("phrases", "sentences", "word"),
    [(REFUSALS, REFUSED, "refusal"), (SELF_REFERENCES, SELF, "self_reference")],
    ids=["refusals", "self_references"],
)
@pytest.mark.parametrize("language", sorted(REFUSALS))
def test_each_phrase_finds_its_answer_and_leaves_the_one_beside_it(
    phrases: dict[str, tuple[str, ...]], sentences: dict[str, list[tuple[str, str]]], word: str, language: str
) -> None:
    for pattern, (goes, stays) in zip(phrases[language], sentences[language], strict=True):
        assert finds(pattern, goes), f"{pattern} does not find {goes!r}"
        assert not finds(pattern, stays), f"{pattern} finds {stays!r}"
        others = [p for p in phrases[language] if p != pattern and finds(p, goes)]
        assert not others, f"{goes!r} would go without {pattern} too: {others}"
        assert (reason(goes), reason(stays)) == (word, None), (goes, stays)


@pytest.mark.parametrize("language", sorted(REFUSALS))
def test_capitals_count_for_nothing(language: str) -> None:
    texts = [t for pair in REFUSED[language] + SELF[language] for one in pair for t in (one.upper(), one.title())]
    for text in texts:
        low = pl.Series([text.lower()])
        wanted = "refusal" if low.str.contains(refusal_pattern((language,)))[0] else None
        wanted = wanted or ("self_reference" if low.str.contains(self_pattern((language,)))[0] else None)
        assert reason(text, languages=(language,)) == wanted, text


def test_of_the_letters_of_the_phrases_one_alone_is_unknown_to_a_pattern_without_case() -> None:
    letters = set(refusal_pattern() + self_pattern())
    every = pl.DataFrame({"text": [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]})
    small = every.with_columns(low=pl.col("text").str.to_lowercase()).filter(pl.col("low") != pl.col("text"))
    pairs = [(text, low) for text, low in small.iter_rows() if letters & set(low)]
    assert {("A", "a"), ("Ü", "ü"), ("Я", "я"), ("\u212a", "k")} <= set(pairs)
    unknown = [text for text, low in pairs if not pl.Series([text]).str.contains(f"(?i:{re.escape(low)})")[0]]
    assert unknown == ["\u0130"]  # which `lowered` therefore looks for by itself


def test_no_language_finds_the_honest_sentences_of_another() -> None:
    stays = [stays for table in (REFUSED, SELF) for pairs in table.values() for _, stays in pairs]
    reasons = Boilerplate().reasons(to_frame([answered(text) for text in stays], Conversation))
    assert reasons.null_count() == len(stays)


def test_a_list_of_languages_looks_for_their_phrases_alone() -> None:
    german, french = REFUSED["de"][0][0], REFUSED["fr"][0][0]
    assert reason(german, languages=["de", "vi"]) == "refusal"
    assert reason(french, languages=["de", "vi"]) is None
    with pytest.raises(ValidationError, match="no phrases in 'tlh'"):
        Boilerplate(languages=("tlh",))


def test_a_refusal_counts_only_where_an_answer_begins() -> None:
    late = "You could write to the landlord. " * 6 + "If he says that I cannot provide that, go on."
    assert reason(late) is None
    assert reason(late, refusal_within=400) == "refusal"


@pytest.mark.parametrize(
    "answer", ["I can't help but smile.", "I can't complete a marathon yet.", "I won't support him."]
)
def test_what_people_cannot_do_is_no_refusal(answer: str) -> None:
    assert reason(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI language model,I cannot feel rain.",
        "As an AI model trained on old books, I know little of this.",
        "As a language model developed by a small team in Oslo, my words are few.",
    ],
)
def test_what_stands_between_the_name_and_the_speaker_may_be_how_it_was_made(answer: str) -> None:
    assert reason(answer) == "self_reference"
    assert reason(answer.replace(" I ", " one ").replace(",I ", ", one ").replace("my", "its")) is None


def test_any_answer_of_a_chat_counts_and_no_question_does() -> None:
    assert Boilerplate().reason(answered("I'm sorry, but I can't help you with that.", "Fine.")) == "refusal"
    assert Boilerplate().reason(answered("Fine.", asked="I'm sorry, but I can't help you with that.")) is None


def test_each_half_can_be_left_out() -> None:
    refuses, speaks = REFUSED["en"][2][0], SELF["en"][4][0]
    assert reason(refuses, refusals=False) is None
    assert reason(speaks, self_references=False) is None
    assert reason(f"{refuses} {speaks}", refusals=False) == "self_reference"
    with pytest.raises(ValidationError, match="nothing to look for"):
        Boilerplate(refusals=False, self_references=False)


VICUNA: dict[str, Any] = {"refusals": False, "self_references": False, "vendors": ["openai", "chatgpt"]}


@pytest.mark.parametrize(
    ("asked", "answer", "reason"),
    [
        ("Who wrote it?", "A team at OpenAI did.", "vendor_name"),
        ("Ask CHATGPT about it", "Why not.", "vendor_name"),  # in questions too, whatever the case
        ("hm", "see chatgpt4you.example", "vendor_name"),  # and inside of other words
        ("Is it open, AI or not?", "An open AI is a chat away.", None),
    ],
)
def test_vicunas_names_go_wherever_they_stand(asked: str, answer: str, reason: str | None) -> None:
    assert Boilerplate(**VICUNA).reason(answered(answer, asked=asked)) == reason


def test_names_can_count_in_answers_alone() -> None:
    assert Boilerplate(**VICUNA, vendors_in="answers").reason(answered("Yes.", asked="OpenAI?")) is None
    assert Boilerplate(**VICUNA, vendors_in="answers").reason(answered("OpenAI.", asked="?")) == "vendor_name"
    with pytest.raises(ValidationError, match="found in every message"):
        Boilerplate(vendors=(" ",))


def listed(folder: Path, text: str) -> InputFile:
    path = folder / "own.txt"
    path.write_text(text, encoding="utf-8")
    return InputFile("own.txt", path, "digest")


def test_patterns_of_a_file_are_looked_for_anywhere_in_an_answer(tmp_path: Path) -> None:
    own = Boilerplate(patterns=listed(tmp_path, "# ours\n\nhope (?:this|that) helps\n\\bđội ngũ hỗ trợ\\b\n"))
    assert own.reason(answered("Take the second door. Hope THIS helps!")) == "listed_pattern"
    assert own.reason(answered("Hãy gọi đội ngũ hỗ trợ.")) == "listed_pattern"
    assert own.reason(answered("I hope that this door helps.")) is None
    assert own.reason(answered("Yes.", asked="Hope this helps")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("fine\n(unclosed\n", "own.txt:2"), ("a*\n", "empty text"), ("# nothing\n", "holds no pattern")],
)
def test_a_file_of_patterns_that_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_patterns(listed(tmp_path, text))
    assert said in str(caught.value)


def test_a_frame_gets_the_words_of_its_rows() -> None:
    texts = [text for pairs in (*REFUSED.values(), *SELF.values()) for pair in pairs for text in pair]
    rows = [answered(text) for text in texts][::5]
    own = Boilerplate()
    assert own.reasons(to_frame(rows, Conversation)).to_list() == [own.reason(row) for row in rows]
