"""Ranked pairs against published elections; the ways by name against counts by hand."""

from __future__ import annotations

import json
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest

from curation.labeling.consensus import agreed
from curation.labeling.consensus.majority import majority
from curation.labeling.consensus.ranked_pairs import ranked_pairs
from curation.labeling.consensus.ranks import Ranks, dense


def election(ballots: str) -> tuple[str, dict[str, Ranks]]:
    """`42 MNCK, 26 NCKM` -> the candidates in alphabetical order, and a ranking of them a voter."""
    lines = [line.split() for line in ballots.split(",")]
    names = "".join(sorted(lines[0][1]))
    voters = [order for n, order in lines for _ in range(int(n))]
    return names, {f"voter {i}": tuple(order.index(c) + 1 for c in names) for i, order in enumerate(voters)}


PUBLISHED = {
    # Tennessee chooses its capital: Memphis, Nashville, Chattanooga, Knoxville (Wikipedia, "Ranked pairs").
    "42 MNCK, 26 NCKM, 15 CKNM, 17 KCNM": "NCKM",
    # 45 voters, whose majorities go in many circles (Schulze 2011, example 1; ranked pairs say otherwise than he does).
    "5 ACBED, 5 ADECB, 8 BEDAC, 3 CABED, 7 CAEBD, 2 CBADE, 7 DCEBA, 8 EBADC": "ACEBD",
    # 921 voters (LeGrand, "Descriptions of ranked-ballot voting methods").
    "98 ACEDB, 64 BAECD, 12 BAEDC, 98 BEACD, 13 BEADC, 125 BEDAC, 124 CAEDB, 76 CEADB, 21 DABEC, 30 DBAEC, 98 DBECA, "
    "139 DCABE, 23 DCBAE": "BAEDC",
    # Condorcet's circle: A over B by 30, B over C by 50, C over A by 20, which is passed over (Gorr, example 2).
    "40 ABC, 35 BCA, 25 CAB": "ABC",
    "7 ABC, 5 BAC, 4 CAB, 2 BCA": "ABC",
    # Two majorities of the same margin close a circle with a larger one: neither is locked (Gorr, example 4).
    "12 ADCB, 3 BACD, 25 BCAD, 21 CBAD, 12 DABC, 21 DACB, 6 DBAC": "BADC",
}


@pytest.mark.parametrize(("ballots", "order"), PUBLISHED.items())
def test_published_elections(ballots: str, order: str) -> None:
    names, answers = election(ballots)
    assert ranked_pairs(answers) == tuple(order.index(c) + 1 for c in names)


def test_a_draw_is_a_tie() -> None:
    """Gorr, example 3: as many prefer A to B as B to A, and both beat C."""
    assert ranked_pairs(election("7 ABC, 7 BAC, 2 CAB, 2 CBA")[1]) == (1, 1, 2)


def test_a_circle_of_three_people_is_a_tie_of_three() -> None:
    assert ranked_pairs({"a": (1, 2, 3), "b": (3, 1, 2), "c": (2, 3, 1)}) == (1, 1, 1)


def test_a_fourth_person_breaks_the_circle() -> None:
    """A over B 3 to 1 and C over A 2 to 1 are locked; B over C, 2 to 2, says nothing."""
    assert ranked_pairs({"a": (1, 2, 3), "b": (3, 1, 2), "c": (2, 3, 1), "d": (1, 2, 1)}) == (2, 3, 1)


def test_numbering_the_answers_otherwise_changes_nothing() -> None:
    _, answers = election("12 ADCB, 3 BACD, 25 BCAD, 21 CBAD, 12 DABC, 21 DACB, 6 DBAC")
    whole = ranked_pairs(answers)
    for order in permutations(range(4)):
        turned = ranked_pairs({who: tuple(ranks[i] for i in order) for who, ranks in answers.items()})
        assert turned == tuple(whole[i] for i in order)


def test_ties_and_gaps_of_one_person_stand() -> None:
    assert ranked_pairs({"one": (2, 2, 5, 1)}) == (2, 2, 3, 1)


def test_rankings_of_different_items_are_refused() -> None:
    with pytest.raises(ValueError, match="different items"):
        ranked_pairs({"a": (1, 2), "b": (1, 2, 3)})
    with pytest.raises(ValueError, match="no ranking"):
        ranked_pairs({})


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ([(1, 2), (1, 2), (2, 1)], (1, 2)),
        ([(1, 2), (2, 1)], (1, 1)),
        ([(1, 1), (1, 1), (2, 1)], (1, 1)),
        ([(2, 1)], (2, 1)),
        ([(2, 1), (2, 1), (1, 2), (1, 2)], (1, 1)),
    ],
)
def test_a_majority_decides_and_else_it_is_a_tie(votes: list[Ranks], verdict: Ranks) -> None:
    assert majority({str(i): vote for i, vote in enumerate(votes)}) == verdict


def test_a_majority_of_rankings_is_refused() -> None:
    with pytest.raises(ValueError, match="two answers"):
        majority({"a": (1, 2, 3)})


def test_pandalm_s_majority_table(real_data: Path) -> None:
    """Three people, 999 pairs: 105 ties, 422 for the first and 472 for the second (github.com/WeOpenML/PandaLM)."""
    choices: list[Ranks] = [(1, 1), (1, 2), (2, 1)]
    rows = json.loads((real_data / "pandalm" / "testset-v1.json").read_text(encoding="utf-8"))
    said = {
        str(n): {who: choices[row[who]] for who in row if who.startswith("annotator")} for n, row in enumerate(rows)
    }
    assert all(len(people) == 3 for people in said.values())
    votes = Counter(agreed(said, "majority")[0].values())
    assert [votes[choice] for choice in choices] == [105, 422, 472]


def test_where_one_prefers_and_two_see_no_difference_the_ways_differ() -> None:
    said = {"item": {"a": (1, 2), "b": (1, 1), "c": (1, 1)}}
    assert agreed(said, "majority")[0] == {"item": (1, 1)}
    assert agreed(said, "ranked_pairs")[0] == {"item": (1, 2)}


def test_order_without_gaps() -> None:
    assert dense((3, 3, 9, 1)) == (2, 2, 3, 1)
