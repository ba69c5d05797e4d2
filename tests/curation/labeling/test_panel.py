"""What is said of the people who answered, by counting a few of them by hand."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from curation.labeling.agreement import Share, alpha
from curation.labeling.pace import Pace
from curation.labeling.panel import Panel, exact, flagged

NAMES = {"ann": "annotator1", "bob": "annotator2", "cy": "annotator3"}


def figures(said: Any, **known: Any) -> dict[str, Any]:
    answers = {who: sum(who in people for people in said.values()) for who in NAMES}
    return Panel.of_rankings(said, answers={who: n for who, n in answers.items() if n}, **known).figures(NAMES)


def test_choices_by_hand() -> None:
    """Four items, three people: 3 of 3, 3 of 3, 1 of 3 and 1 of 3 pairs agree."""
    said = {
        "one": {"ann": (1, 2), "bob": (1, 2), "cy": (1, 2)},
        "two": {"ann": (2, 1), "bob": (2, 1), "cy": (2, 1)},
        "three": {"ann": (1, 2), "bob": (1, 2), "cy": (2, 1)},
        "four": {"ann": (1, 1), "bob": (2, 1), "cy": (1, 1)},
    }
    found = figures(said)
    assert found["agreement"]["raw"]["mean"] == pytest.approx(8 / 12)
    # 5 of 12 votes first, 5 second, 2 tie: by chance (25 + 25 + 4) / 144 agree.
    assert found["agreement"]["kappa"]["mean"] == pytest.approx((8 / 12 - 54 / 144) / (1 - 54 / 144))
    votes = {item: {who: str(ranks) for who, ranks in people.items()} for item, people in said.items()}
    assert found["agreement"]["alpha"]["mean"] == pytest.approx(alpha(votes))
    assert (found["agreement"]["items"], found["agreement"]["votes"]) == (4, 12)
    assert found["people"]["annotator1"]["agrees"] == pytest.approx(6 / 8)
    assert found["people"]["annotator2"]["agrees"] == pytest.approx(5 / 8)
    assert list(found["people"]) == ["annotator1", "annotator2", "annotator3"]
    assert not any(f'"{name}"' in json.dumps(found) for name in NAMES)


def test_every_two_answers_of_a_ranking_are_a_vote_and_rankings_are_drawn_whole() -> None:
    """Of three pairs of answers they agree about two, in every item: that is no matter of chance between items."""
    said = {str(i): {"ann": (1, 2, 3), "bob": (1, 3, 2)} for i in range(10)}
    whole = figures(said)
    found = whole["agreement"]
    kappa = whole["people"]["annotator1"]["kappa"]
    assert kappa["low"] == pytest.approx(kappa["mean"]) == pytest.approx(kappa["high"])
    assert (found["items"], found["votes"]) == (10, 60)
    assert found["raw"] == {"mean": pytest.approx(2 / 3), "low": pytest.approx(2 / 3), "high": pytest.approx(2 / 3)}


def test_one_person_alone_has_no_agreement() -> None:
    found = figures({"one": {"ann": (1, 2)}})
    assert found["agreement"] == {"items": 0, "votes": 0}
    assert found["people"] == {"annotator1": {"answers": 1, "skips": 0, "flags": []}}
    assert flagged(found) == ""


def test_each_flag_is_raised_and_no_vote_is_lost() -> None:
    rng = random.Random(1)
    said: dict[str, Any] = {}
    for n in range(80):
        truth = rng.choice([(1, 2), (2, 1)])
        said[str(n)] = {"ann": truth, "bob": truth, "cy": rng.choice([(1, 2), (2, 1)])}
    found = figures(
        said,
        paces={"ann": Pace(timed=79, too_fast=2, seconds=31.0), "bob": Pace(timed=79, too_fast=60, seconds=1.5)},
        gold={"ann": Share(9, 10), "bob": Share(8, 10), "cy": Share(2, 10)},
    )
    assert [found["people"][f"annotator{n}"]["flags"] for n in (1, 2, 3)] == [
        [],
        ["too_fast"],
        ["disagrees", "misses_gold"],
    ]
    assert found["people"]["annotator3"]["answers"] == 80 and found["agreement"]["votes"] == 240
    assert flagged(found) == (
        "annotator2 answers faster than anyone can read; "
        "annotator3 agrees with nobody beyond chance and misses questions whose answer is known"
    )


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.3085), (9, 10, 0.5550, 0.9975), (10, 10, 0.6915, 1.0), (7, 20, 0.1539, 0.5922)],
)
def test_clopper_and_pearson_s_table(k: int, n: int, low: float, high: float) -> None:
    """Bounds as tables of exact 95% intervals print them."""
    found = exact(Share(k, n))
    assert (found.value, found.low, found.high) == (k / n, pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
