"""Operators on pairs and on several answers to one prompt, and decisions on scores."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from curation.operators.first_sentence import FirstSentence, first_sentence
from curation.operators.identical_pair import IdenticalPair
from curation.operators.keep import Keep
from curation.operators.length_gap import LengthGap


def pair(chosen: str, rejected: str, extra: str | None = None) -> Preference:
    return Preference(
        prompt=(Message("user", "q"),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected, extra),),
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (pair("same", "same"), "identical_pair"),
        (pair("same  text\n", "same text"), "identical_pair"),
        (pair("café", "cafe\u0301"), "identical_pair"),
        (pair("same", "Same"), None),
        (pair("", "", '{"tool_calls":[]}'), None),
    ],
)
def test_identical_pair(row: Preference, reason: str | None) -> None:
    assert IdenticalPair().reason(row) == reason


@pytest.mark.parametrize(
    ("settings", "row", "reason"),
    [
        ({}, pair("one", "one two three"), None),  # exactly three times as long
        ({}, pair("one", "one two three four"), "length_gap"),
        ({}, pair("one two three four", "one"), "length_gap"),
        ({}, pair("", "one"), "length_gap"),
        ({}, pair("", ""), None),
        ({"max_ratio": 1}, pair("a b", "c d"), None),
        ({"unit": "chars"}, pair("abc", "abc abc ab"), "length_gap"),
        ({}, pair("你好你好", "你"), "length_gap"),  # one word by spaces, four by Unicode
    ],
)
def test_length_gap(settings: dict[str, Any], row: Preference, reason: str | None) -> None:
    assert LengthGap(**settings).reason(row) == reason


def scored(**scores: float) -> Conversation:
    return Conversation(messages=(), scores=scores)


@pytest.mark.parametrize(
    ("condition", "scores", "reason"),
    [
        ("words >= 16", {"words": 16.0}, None),
        ("words >= 16", {"words": 15.0}, "low_words"),
        ("16 <= words", {"words": 15.0}, "low_words"),
        ("ifd < 1 and words >= 16", {"ifd": 1.0, "words": 2.0}, "high_ifd"),
        ("ifd < 1 and words >= 16", {"ifd": 0.5, "words": 2.0}, "low_words"),
        ("words >= 16", {"other": 1.0}, "no_words"),
        ("4 < words < 8", {"words": 9.0}, "high_words"),
        ("a > 1 or b > 1", {"a": 0.0, "b": 0.0}, "condition"),
        ("not a > 1", {"a": 2.0}, "condition"),
        ("a > b", {"a": 1.0, "b": 2.0}, "condition"),
        ("a == 1", {"a": 2.0}, "other_a"),
    ],
)
def test_keep_names_the_score_that_was_at_fault(condition: str, scores: dict[str, float], reason: str | None) -> None:
    from curation.conversation import AnyRow
    from curation.frame import to_frame

    rows: list[AnyRow] = [scored(**scores), scored(**dict.fromkeys(("words", "ifd", "a", "b"), 0.0))]
    assert Keep(condition=condition).reasons(to_frame(rows, Conversation))[0] == reason


def test_keep_is_parsed_when_it_is_written() -> None:
    with pytest.raises(ValidationError, match="wrong at character 8"):
        Keep(condition="words >")
    assert Keep(condition="ifd < 1 and words_chosen >= 16").reads() == {"ifd", "words_chosen"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("It rains. It pours.", "It rains."),
        ("Really?! Yes.", "Really?!"),
        ("Pi is 3.14 or so. Next.", "Pi is 3.14 or so."),
        ("Ask Dr. Smith about it. Then go.", "Ask Dr. Smith about it."),
        ("Use a tool, e.g. a saw. Then go.", "Use a tool, e.g. a saw."),
        ("J. Bach wrote it. More.", "J. Bach wrote it."),
        ("So am I. And you?", "So am I."),
        ("1. Open the door. 2. Go in.", "1. Open the door."),
        ("Steps:\n1. Open the door.\n2. Go in.", "Steps:\n1. Open the door."),
        ('He said "stop." Then he left.', 'He said "stop."'),
        ("天气很好。我们走吧。", "天气很好。"),
        ("本当です。「はい。」と言った。", "本当です。"),
        ("no end at all", None),
        ("", None),
    ],
)
def test_where_a_first_sentence_ends(text: str, sentence: str | None) -> None:
    assert first_sentence(text) == sentence


def test_short_openings_are_taken_together_with_what_follows() -> None:
    assert first_sentence("Sure! Here is how you do it. Open it.", 15) == "Sure! Here is how you do it."
    assert first_sentence("Sure!", 15) is None


def test_the_cut_answer_stands_beside_the_one_that_runs_on() -> None:
    prompt = (Message("user", "q"),)
    long = Answer("Water boils at 100 degrees. At sea level, that is, and", "policy", finished=False)
    short = Answer("Water boils at 100 degrees.", "policy")
    row = Candidates(prompt=prompt, answers=(long,))
    assert FirstSentence().map(row) == [row.with_(answers=(long, short))]
    for answers in ((long, short), (short,), (Answer("It never ends and"),), ()):
        there = Candidates(prompt=prompt, answers=answers)
        assert list(FirstSentence().map(there)) == [there]
