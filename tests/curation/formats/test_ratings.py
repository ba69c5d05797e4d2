"""Rated answers as pairs, as candidates and as chats. Expected numbers are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from curation.formats.preference import PreferencePair
from curation.formats.ratings import Ratings


def noted(response: str, model: str, **aspects: Any) -> dict[str, Any]:
    """A completion as UltraFeedback writes it; its `overall_score` says something else than its aspects."""
    notes = {name: {"Rating": value, "Rationale": "because"} for name, value in aspects.items()}
    return {"model": model, "response": response, "annotations": notes, "overall_score": 10 - len(response)}


ULTRA = {
    "source": "evol",
    "instruction": "Why is the sky blue?",
    "models": ["m1", "m2", "m3"],
    "completions": [
        noted("scatter", "m1", honesty="5", helpfulness="4"),  # 4.5
        noted("it is", "m2", honesty="1", helpfulness="2"),  # 1.5
        noted("Rayleigh", "m3", honesty="3", helpfulness="N/A"),  # 3.0
    ],
}
ASK = (Message("user", "Why is the sky blue?"),)


def pairs(format: Ratings, record: Any) -> list[tuple[str, str, str, float, float]]:
    rows = format.rows(record, "preferences")
    assert not isinstance(rows, str), rows
    made = []
    for row in rows:
        assert isinstance(row, Preference)
        scores = (row.scores["rating_chosen"], row.scores["rating_rejected"])
        made.append((row.chosen[0].content, row.rejected[0].content, row.verdict, *scores))
    return made


def test_the_best_stands_against_the_worst_by_the_mean_of_the_aspects() -> None:
    assert pairs(Ratings(), ULTRA) == [("scatter", "it is", "chosen", 4.5, 1.5)]


def test_every_answer_against_every_other() -> None:
    assert pairs(Ratings(pairs="all"), ULTRA) == [
        ("scatter", "Rayleigh", "chosen", 4.5, 3.0),
        ("scatter", "it is", "chosen", 4.5, 1.5),
        ("Rayleigh", "it is", "chosen", 3.0, 1.5),
    ]


def test_one_aspect_or_another_key_counts_where_it_is_named() -> None:
    assert pairs(Ratings(by="helpfulness"), ULTRA) == [("scatter", "it is", "chosen", 4.0, 2.0)]
    assert pairs(Ratings(by="overall_score"), ULTRA) == [("it is", "Rayleigh", "chosen", 5.0, 2.0)]
    assert Ratings(by="charm").rows(ULTRA, "preferences") == "no_rating"


def test_a_small_gap_is_a_tie() -> None:
    assert [p[2] for p in pairs(Ratings(pairs="all", min_gap=2), ULTRA)] == ["tie", "chosen", "tie"]
    equal = {"prompt": "q", "responses": ["a", "b"], "ratings": [3, 3]}
    assert pairs(Ratings(), equal) == [("a", "b", "tie", 3.0, 3.0)]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "q", "responses": ["bad", "good", "fair"], "ratings": [1, 5, 3]},
        {"question": "q", "generations": ["bad", "good", "fair"], "rating": ["1", "5.0", "3"]},
        {"instruction": "q", "answers": [{"answer": "bad", "rank": 5}, {"answer": "good", "rank": 1}]},
        {"prompt": "q", "candidates": ["good", "bad"], "ranks": [1, 2]},
        {"prompt": "q", "outputs": [{"text": "bad", "score": 0.1}, {"text": "good", "score": 0.7}]},
        {"prompt": [{"role": "user", "content": "q"}], "completions": '["bad", "good"]', "scores": "[1, 2]"},
    ],
)
def test_the_usual_ways_to_write_answers_and_what_they_are_worth(record: dict[str, Any]) -> None:
    ((chosen, rejected, verdict, better, worse),) = pairs(Ratings(), record)
    assert (chosen, rejected, verdict) == ("good", "bad", "chosen") and better > worse
    assert Ratings.evidence(record)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"responses": ["a", "b"], "ratings": [1, 2]}, "no_prompt"),
        ({"prompt": "q", "responses": [], "ratings": []}, "no_answers"),
        ({"prompt": "q", "responses": "a text", "ratings": [1]}, "no_answers"),
        ({"prompt": "q", "responses": ["a", "b"], "ratings": [1]}, "uneven_lists"),
        ({"prompt": "q", "responses": ["a", None], "ratings": [1, 2]}, "no_text"),
        ({"prompt": "q", "responses": ["a", 3], "ratings": [1, 2]}, "not_text"),
        ({"prompt": "q", "responses": ["a", "b"]}, "no_rating"),
        ({"prompt": "q", "responses": ["a", "b"], "ratings": ["N/A", None]}, "no_rating"),
        ({"prompt": "q", "responses": ["a", "b"], "ratings": [3, None]}, "one_answer"),
        ({"prompt": "q", "responses": ["a ", "a"], "ratings": [3, 2]}, "identical_answers"),
    ],
)
def test_what_gives_no_pair_says_why(record: dict[str, Any], reason: str) -> None:
    assert Ratings().rows(record, "preferences") == reason


def test_as_candidates_answers_keep_their_order_and_the_models_that_wrote_them() -> None:
    rows = Ratings().rows(ULTRA, "candidates")
    answers = (Answer("scatter", "m1"), Answer("it is", "m2"), Answer("Rayleigh", "m3"))
    assert rows == [Candidates(prompt=ASK, answers=answers, meta={"ratings": [4.5, 1.5, 3.0]})]
    rows = Ratings().rows({"prompt": "q", "responses": ["a", "b"], "models": ["x", "y"]}, "candidates")
    assert rows == [Candidates(prompt=(Message("user", "q"),), answers=(Answer("a", "x"), Answer("b", "y")))]


def test_as_conversations_the_best_answer_or_each_with_its_rating() -> None:
    def chat(text: str, rating: float) -> Conversation:
        return Conversation(messages=(*ASK, Message("assistant", text)), scores={"rating": rating})

    assert Ratings().rows(ULTRA) == [chat("scatter", 4.5)]
    assert Ratings(answers="all").rows(ULTRA) == [chat("scatter", 4.5), chat("it is", 1.5), chat("Rayleigh", 3.0)]


def test_answers_without_a_rating_are_counted_as_left_out() -> None:
    record = {"prompt": "q", "responses": ["a", "b", "c"], "ratings": [5, 1, None]}
    (outcome,) = Ratings().outcomes([(7, record)], "preferences")
    assert (outcome.used, outcome.rows[0][0], outcome.left_out) == (1, 7, {"unrated_answer": 1})
    (outcome,) = Ratings().outcomes([(7, record)], "candidates")
    assert not outcome.left_out


def test_a_pair_that_says_who_won_is_a_pair_whatever_it_is_rated() -> None:
    record = {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 1, "score_rejected": 4}
    assert PreferencePair.evidence(record) and not Ratings.evidence(record)
