"""Pairs from numbers."""

from __future__ import annotations

from curation.conversation import Answer, Candidates, Message
from curation.labeling.answers import Distinct
from curation.labeling.ranked import by_score


def row(*answers: str) -> Distinct:
    return Distinct.of(Candidates(prompt=(Message("user", "?"),), answers=tuple(map(Answer, answers))))


def shown(distinct: Distinct, scores: list[float], how: str, gap: float = 0.0) -> list[tuple[str, str, str]]:
    made = by_score(distinct, scores, "s", "rule", how, gap)  # type: ignore[arg-type]
    return [(p.chosen[0].content, p.rejected[0].content, p.verdict) for p in made]


def test_best_against_worst() -> None:
    assert shown(row("a", "b", "c"), [1.0, 3.0, 2.0], "best_worst") == [("b", "a", "chosen")]


def test_all_against_all() -> None:
    assert shown(row("a", "b", "c"), [1.0, 3.0, 2.0], "all") == [
        ("b", "c", "chosen"),
        ("b", "a", "chosen"),
        ("c", "a", "chosen"),
    ]


def test_equal_scores_are_a_tie_and_a_small_gap_can_be_one() -> None:
    assert shown(row("a", "b"), [2.0, 2.0], "best_worst") == [("a", "b", "tie")]
    assert shown(row("a", "b"), [2.0, 2.4], "best_worst", gap=0.5) == [("b", "a", "tie")]
    assert shown(row("a", "b"), [2.0, 2.5], "best_worst", gap=0.5) == [("b", "a", "chosen")]


def test_what_says_the_same_is_one_answer() -> None:
    distinct = row("a", "a ", "b", "\na", "b")
    assert [a.content for a in distinct.answers] == ["a", "b"] and distinct.identical == 3
    assert [row(*texts).reason for texts in (("a", "b"), ("a", "a"), ("a",), ())] == [
        None,
        "identical_answers",
        "one_answer",
        "no_answer",
    ]


def test_a_pair_keeps_both_scores_who_decided_and_where_it_came_from() -> None:
    distinct = Distinct.of(row("a", "b").row.with_(split="train", meta={"tree": 7}, scores={"words": 3.0}))
    (pair,) = by_score(distinct, [1.0, 4.0], "brevity", "brevity", "best_worst")
    assert pair.scores == {"words": 3.0, "brevity_chosen": 4.0, "brevity_rejected": 1.0}
    assert (pair.decided_by, pair.split, pair.meta, pair.parent) == ("brevity", "train", {"tree": 7}, distinct.row.id)
