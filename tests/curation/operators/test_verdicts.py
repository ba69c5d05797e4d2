"""Operators on who won: ties, margins, contradictions; and labels made of scores."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import ValidationError

from curation.conversation import Answer, Candidates, Conversation, Message, Preference, Source
from curation.errors import RecipeError
from curation.operator import Operator
from curation.operators.contradictory_pairs import ContradictoryPairs
from curation.operators.identical_pair import IdenticalPair
from curation.operators.margin import Margin
from curation.operators.scores_to_labels import ScoresToLabels
from curation.operators.tied import Tied
from curation.pipeline import check_operators, curate


def pair(chosen: str, rejected: str, prompt: str = "q", **more: Any) -> Preference:
    return Preference(
        prompt=(Message("user", prompt),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected),),
        **more,
    )


def rated(chosen: float | None, rejected: float | None, verdict: str = "chosen") -> Preference:
    both = {"rating_chosen": chosen, "rating_rejected": rejected}
    return pair("a", "b", verdict=verdict, scores={k: v for k, v in both.items() if v is not None})


def reasons(operator: Operator, rows: list[Any]) -> dict[str, str | None]:
    """What became of each row, by where it came from."""
    placed = [row.with_(source=Source(digest="d", index=i)) for i, row in enumerate(rows)]
    done = curate(placed, [operator])
    found: dict[int, str | None] = {row.source.index: None for row in done.kept.rows()}
    dropped = done.dropped.frame()
    found |= dict(zip(dropped["source"].struct.field("index"), dropped["reason"], strict=True))
    assert len(found) == len(rows)
    return {str(i): found[i] for i in sorted(found)}


def test_tied_drops_ties_alone() -> None:
    assert Tied().reason(pair("a", "b", verdict="tie")) == "tied"
    assert Tied().reason(pair("a", "b")) is None
    assert Tied().reason(pair("tie", "tie")) is None


@pytest.mark.parametrize(
    ("settings", "row", "reason"),
    [
        ({"min": 1}, rated(4, 3), None),
        ({"min": 1}, rated(4, 3.5), "low_margin"),
        ({"min": 0}, rated(3, 3), None),
        ({"min": 0}, rated(2, 3), "low_margin"),  # the score disagrees with the verdict
        ({"min": 1}, rated(2, 4, "tie"), None),
        ({"min": 1}, rated(3, 3, "tie"), "low_margin"),
        ({"max": 2}, rated(5, 3), None),
        ({"max": 2}, rated(5, 2.5), "high_margin"),
        ({"min": -9, "max": 9}, rated(5, None), "no_score"),
        ({"min": -9, "max": 9}, rated(None, None), "no_score"),
        ({"min": 1, "missing": "keep"}, rated(5, None), None),
        ({"min": 1, "missing": "keep"}, rated(5, 4.5), "low_margin"),
    ],
)
def test_margin(settings: dict[str, Any], row: Preference, reason: str | None) -> None:
    assert Margin(**settings).reason(row) == reason


def test_margin_takes_any_two_scores_and_needs_them() -> None:
    row = pair("a", "b", scores={"reward_model_chosen": 0.5, "reward_model_rejected": 0.25})
    margin = Margin(by="reward_model", min=0.25)
    assert margin.reason(row) is None
    assert Margin(by="reward_model", min=0.26).reason(row) == "low_margin"
    (misuse,) = {m.what for m in check_operators([margin], "preferences", {"reward_model_chosen"})}
    assert "needs the score 'reward_model_rejected'" in misuse
    with pytest.raises(RecipeError, match="needs the score 'rating_chosen'"):
        curate([pair("a", "b")], [Margin(min=1)])
    for wrong in ({}, {"min": 2, "max": 1}):
        with pytest.raises(ValidationError):
            Margin(**wrong)


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        (("a", "b"), ("b", "a"), True),
        (("xin chào  bạn", "b"), ("b", "xin cha\u0300o bạn"), True),  # the same text, composed and squeezed
        (("مرحبا", "أهلا"), ("أهلا", "مرحبا"), True),
        (("你好", "您好"), ("您好", "你好"), True),
        (("a", "b"), ("a", "b"), False),
        (("a", "b"), ("b", "c"), False),
        (("a", "b"), ("B", "A"), False),
        (("a", "a"), ("a", "a"), False),
    ],
)
def test_contradictory_pairs(one: tuple[str, str], other: tuple[str, str], contradict: bool) -> None:
    word = "contradictory_pair" if contradict else None
    assert reasons(ContradictoryPairs(), [pair(*one), pair(*other)]) == {"0": word, "1": word}


def test_a_contradiction_needs_the_same_prompt_and_two_verdicts() -> None:
    rows = [pair("a", "b"), pair("b", "a", prompt="another"), pair("b", "a", verdict="tie")]
    assert set(reasons(ContradictoryPairs(), rows).values()) == {None}
    rows.append(pair("b", "a"))
    assert list(reasons(ContradictoryPairs(), rows).values()) == [
        "contradictory_pair",
        None,
        None,
        "contradictory_pair",
    ]


def test_the_majority_stays_by_weight_and_nobody_where_sides_are_even() -> None:
    votes = [pair("a", "b"), pair("a", "b"), pair("b", "a")]
    lost = "contradictory_pair"
    assert list(reasons(ContradictoryPairs(keep="majority"), votes).values()) == [None, None, lost]
    heavy = [*votes[:2], pair("b", "a", weight=2.5)]
    assert list(reasons(ContradictoryPairs(keep="majority"), heavy).values()) == [lost, lost, None]
    even = [*votes[:2], pair("b", "a", weight=2)]
    assert list(reasons(ContradictoryPairs(keep="majority"), even).values()) == [lost] * 3
    # Ten tenths are one, in whatever order they are added.
    tenths = [pair("a", "b", weight=0.1) for _ in range(10)] + [pair("b", "a")]
    assert set(reasons(ContradictoryPairs(keep="majority"), tenths).values()) == {lost}


def test_identical_answers_of_candidates() -> None:
    def row(*answers: str) -> Candidates:
        return Candidates(prompt=(Message("user", "q"),), answers=tuple(map(Answer, answers)))

    operator = IdenticalPair()
    assert operator.reason(row("a  b", "a b\n", "a b")) == "identical_answers"
    assert operator.reason(row("a")) == "one_answer" == operator.reason(row())
    assert operator.reason(row("a", "a", "b")) is None
    called = Answer("a", extra='{"tool_calls":[]}')
    assert operator.reason(Candidates(prompt=(), answers=(Answer("a"), called))) is None


def scored(*scores: float | None, last: str = "assistant") -> list[Conversation]:
    return [
        Conversation(messages=(Message("user", f"q{i}"), Message(last, "a")), scores={} if s is None else {"rating": s})
        for i, s in enumerate(scores)
    ]


def labelled(operator: ScoresToLabels, rows: list[Conversation]) -> dict[int, Any]:
    """Label or reason of each row."""
    placed = [row.with_(source=Source(digest="d", index=i)) for i, row in enumerate(rows)]
    done = curate(placed, [operator])
    found: dict[int, Any] = {row.source.index: row.label for row in done.kept.rows()}
    dropped = done.dropped.frame()
    found |= dict(zip(dropped["source"].struct.field("index"), dropped["reason"], strict=True))
    return dict(sorted(found.items()))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"good": 4}, [True, True, False, False]),
        ({"good": 4, "bad": 2}, [True, True, "between", False]),
        ({"good": 4, "bad": 4}, [True, True, False, False]),
        ({"good": 1, "best": "low"}, [False, False, False, True]),
        ({"good": 2, "bad": 4, "best": "low"}, [False, "between", True, True]),
        ({"good_share": 0.25}, [True, False, False, False]),
        ({"good_share": 0.5, "bad_share": 0.25}, [True, True, "between", False]),
        ({"good_share": 0.25, "bad_share": 0.25, "best": "low"}, [False, "between", "between", True]),
    ],
)
def test_scores_become_labels(settings: dict[str, Any], expected: list[Any]) -> None:
    found = labelled(ScoresToLabels(by="rating", **settings), scored(5, 4, 2, 1))
    assert list(found.values()) == expected


def test_what_cannot_be_labelled_says_why() -> None:
    rows = [*scored(5, None), *scored(5, last="user")]
    assert list(labelled(ScoresToLabels(by="rating", good=3), rows).values()) == [True, "no_score", "no_answer"]
    old = [row.with_(label=False) for row in scored(5)]
    assert list(labelled(ScoresToLabels(by="rating", good=3), old).values()) == [True]


def test_shares_do_not_depend_on_the_order_of_rows() -> None:
    rows = [row.with_(source=Source(digest="d", index=i)) for i, row in enumerate(scored(*[3.0] * 40, *[4.0] * 5))]
    operator = ScoresToLabels(by="rating", good_share=0.29, bad_share=0.29)

    def outcome(given: list[Conversation]) -> set[Any]:
        done = curate(given, [operator])
        return {(row.id, row.label) for row in done.kept.rows()}

    first = outcome(rows)
    assert sum(bool(label) for _, label in first) == 13 == sum(not label for _, label in first)  # 0.29 x 45 = 13.05
    shuffled = rows[:]
    random.Random(1).shuffle(shuffled)
    assert outcome(shuffled) == first


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"good": 1, "good_share": 0.5},
        {"good": 1, "bad": 2},
        {"good": 2, "bad": 1, "best": "low"},
        {"good": 1, "bad_share": 0.5},
        {"good_share": 0.6, "bad_share": 0.5},
        {"good": 1, "on": "prompt"},
    ],
)
def test_bounds_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScoresToLabels(by="rating", **settings)
