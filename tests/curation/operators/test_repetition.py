"""Answers that repeat themselves go by the measure that says so; what lies just on the other side stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.operators.repetition import Repetition

NONE: dict[str, Any] = dict.fromkeys(
    ("max_characters", "max_lines", "max_paragraphs", "max_run", "max_top", "max_ngrams")
)


def answered(text: str, asked: str = "Go on.") -> Conversation:
    return Conversation(messages=(Message("user", asked), Message("assistant", text)))


def words(count: int, script: str = "en") -> list[str]:
    """So many different words."""
    if script == "en":
        return [f"word{i}" for i in range(count)]
    first = {"zh": 0x4E00, "ja": 0x5200, "ko": 0xAC00, "ru": 0x0430}[script]
    if script == "ru":  # an alphabet is too small for words of one letter
        return [chr(first + i % 32) + chr(first + i // 32) for i in range(count)]
    return [chr(first + i) for i in range(count)]


def only(reason: str | None = None, **one: Any) -> Repetition:
    return Repetition(**{**NONE, "min_words": 10, **one})


@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_lines_and_paragraphs_that_stood_there_before(separator: str) -> None:
    name, reason = ("max_lines", "repeated_lines") if separator == "\n" else ("max_paragraphs", "repeated_paragraphs")
    fresh = [" ".join(words(40)[i : i + 4]) for i in range(0, 40, 4)]  # ten lines, of 23 letters or 27 each
    same = fresh[-1]
    for again in (10, 11):
        text = separator.join([*fresh, *[same] * again])
        share = again * len(same) / (sum(map(len, fresh)) + again * len(same))
        assert only(**{name: share + 0.001}).reason(answered(text)) is None
        assert only(**{name: share - 0.001}).reason(answered(text)) == reason


def test_lines_of_signs_alone_do_not_count() -> None:
    rows = [f"| {a} | {b} |\n|---|---|\n```\n}}" for a, b in zip(words(60)[::2], words(60)[1::2], strict=True)]
    assert only(max_lines=0.0).reason(answered("\n".join(rows))) is None


@pytest.mark.parametrize("piece", [["ha"], ["I", "do", "not", "know"], ["好"], ["我", "不", "知", "道"]])
def test_a_loop_goes_when_it_is_longer_than_the_bound(piece: list[str]) -> None:
    lead, loop = words(30), piece * 24
    text = " ".join([*lead, *loop, *words(60)[30:]])
    assert only(max_run=len(loop)).reason(answered(text)) is None
    assert only(max_run=len(loop) - 1).reason(answered(text)) == "repeated_run"


@pytest.mark.parametrize("character", ["a", "!", "好", "é", "😀", "-"])
def test_one_character_again_and_again_goes_in_a_message_of_any_length(character: str) -> None:
    stuck = f"Of course: {character * 1000} end"
    assert Repetition().reason(answered(stuck)) == Repetition().reason(answered(character * 1000))
    assert Repetition().reason(answered(stuck)) == "repeated_character"
    frame = to_frame([answered("Yes."), answered(f"{' '.join(words(80))} {stuck}"), answered("No.")], Conversation)
    reasons = Repetition().reasons(frame)
    assert reasons.to_list() == [None, "repeated_character", None]
    assert Repetition().evidence(frame, reasons).to_list() == [None, "one character 1000 times", None]
    assert only(max_characters=1000).reason(answered(stuck)) is None
    assert only(max_characters=999).reason(answered(stuck)) == "repeated_character"


def test_a_character_ends_with_its_message_and_white_space_lays_things_out() -> None:
    halves = [Message("assistant", "x" * 200), Message("assistant", "x" * 200)]
    assert Repetition().reason(Conversation(messages=(Message("user", "Go on."), *halves))) is None
    assert Repetition().reason(answered("a" + " " * 1000 + "b" + "\n" * 1000 + "c")) is None
    assert Repetition().reason(answered("Name\n" + "-" * 120 + "\nAnna")) is None


def test_a_piece_said_twice_is_no_loop() -> None:
    assert only(max_run=10).reason(answered(" ".join(words(30) * 2))) is None
    assert only(max_run=10).reason(answered(" ".join(words(30) * 3))) == "repeated_run"


@pytest.mark.parametrize("script", ["en", "zh", "ja", "ko", "ru"])
def test_the_run_of_three_that_comes_most_often(script: str) -> None:
    run, rest = words(90, script)[:3], words(90, script)[3:]
    text = " ".join(w for i in range(10) for w in (*run, *rest[7 * i : 7 * i + 7]))
    share = 10 * 3 / 100
    assert only(max_top=share + 0.005).reason(answered(text)) is None
    assert only(max_top=share - 0.005).reason(answered(text)) == "top_ngram"


@pytest.mark.parametrize("script", ["en", "zh", "ko", "ru"])
def test_runs_of_five_that_were_there_before(script: str) -> None:
    block = words(54, script)
    text = (" " if script in ("en", "ko", "ru") else "").join([*block, *block])
    share = 50 / 104  # of 108 - 4 runs those inside the second block
    assert only(max_ngrams=share + 0.001).reason(answered(text)) is None
    assert only(max_ngrams=share - 0.001).reason(answered(text)) == "repeated_ngrams"


def by_hand(text: list[str]) -> dict[str, float]:
    """The measures of a text by counting."""
    fives = [tuple(text[i : i + 5]) for i in range(max(len(text) - 4, 1))]
    threes = Counter(tuple(text[i : i + 3]) for i in range(max(len(text) - 2, 1)))
    most = max(threes.values(), default=0)
    loop = 0
    for period in range(1, 33):
        for start in range(len(text)):
            end = start + period
            while end < len(text) and text[end] == text[end - period]:
                end += 1
            if end - start >= 3 * period:
                loop = max(loop, end - start)
    return {
        "max_ngrams": 1 - len(set(fives)) / len(fives),
        "max_top": (most if most > 1 else 0) * 3 / len(text),
        "max_run": loop,
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "ж", "好"]), min_size=6, max_size=40), min_size=1, max_size=6))
def test_measures_are_what_counting_gives(drawn: list[list[str]]) -> None:
    frame = to_frame([answered(" ".join(text)) for text in drawn], Conversation)
    for name, low in (("max_ngrams", 0.3), ("max_top", 0.5), ("max_run", 9)):
        reasons = Repetition(**{**NONE, "min_words": 6, name: low}).reasons(frame)
        assert [r is not None for r in reasons] == [by_hand(text)[name] > low for text in drawn], name


REFRAIN = """Down by the river the ferryman sings,
Counting the boats and the gulls on their wings,
Down by the river the evening is long,
Nobody listens, and that is his song.

Rain on the water and rain on the quay,
Somebody asks him how far is the sea.
Far as a whistle, he says, and as deep
As all of the promises travellers keep.

Down by the river the ferryman sings,
Counting the boats and the gulls on their wings."""


@pytest.mark.parametrize(
    "text",
    [
        REFRAIN,
        "\n".join(
            f"{i}. Step {i}: turn screw {i} by {i * 3} degrees and write down what gauge {i} shows." for i in range(20)
        ),
        "| " + " |\n| ".join(f"{w} | {i} | {i * i}" for i, w in enumerate(words(30))) + " |",
        "ha " * 20,
    ],
    ids=["a song", "a list", "a table", "laughter"],
)
def test_honest_repetition_stays(text: str) -> None:
    assert Repetition().reason(answered(text)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The answer is no. " * 60, "repeated_run"),
        ("我不知道。" * 60, "repeated_run"),
        ("ไม่รู้ " * 60, "repeated_run"),
        ("\n".join(["Tôi không biết câu trả lời."] * 30), "repeated_lines"),
        ("\n\n".join([REFRAIN] * 4), "repeated_lines"),
        (" ".join(f"best cheap shoes {w}" for w in words(40)), "top_ngram"),
    ],
)
def test_what_a_model_that_is_stuck_writes_goes(text: str, reason: str) -> None:
    assert Repetition().reason(answered(text)) == reason


def test_which_messages_are_looked_at() -> None:
    stuck, fine = "The answer is no. " * 60, " ".join(words(60))
    assert Repetition().reason(answered(fine, asked=stuck)) is None
    assert Repetition(of="chat").reason(answered(fine, asked=stuck)) == "repeated_run"
    first = Conversation(messages=(*answered(stuck).messages, *answered(fine).messages))
    assert Repetition().reason(first) == "repeated_run"
    assert Repetition(of="last").reason(first) is None
    assert Repetition(on="prompt").reason(Conversation(messages=(Message("user", stuck),))) == "repeated_run"


def test_the_figure_is_noted_beside_what_goes() -> None:
    frame = to_frame([answered("no " * 120), answered(" ".join(words(80))), Conversation(messages=())], Conversation)
    own = Repetition()
    said = own.evidence(frame, own.reasons(frame)).to_list()
    assert sorted(said, key=str) == [None, None, "a loop of 120 words"]
