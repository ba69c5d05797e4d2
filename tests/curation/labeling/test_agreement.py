"""Coefficients against their inventors' examples, and against figures that were published about real votes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from curation.labeling.agreement import (
    FLEISS,
    RAW,
    Share,
    Votes,
    aligned,
    alpha,
    alpha_of,
    annotators,
    between,
    cohen,
    fleiss,
    interval,
    raw,
    without,
)


def table(*columns: str) -> Votes:
    """One string an annotator, one figure an item; a dot is no vote."""
    items = zip(*(column.split() for column in columns), strict=True)
    return {
        f"item {n}": {f"annotator {who}": int(v) for who, v in enumerate(values) if v != "."}
        for n, values in enumerate(items)
    }


KRIPPENDORFF = table(
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
"""Four observers, twelve units, gaps: the third example of Krippendorff (2011)."""


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_is_that_of_krippendorff_s_example(level: Any, published: float) -> None:
    assert alpha(KRIPPENDORFF, level) == pytest.approx(published, abs=5e-4)


def test_alpha_of_two_observers_and_two_values() -> None:
    """His first example."""
    meg, owen = "0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"
    assert alpha(table(meg, owen)) == pytest.approx(0.095, abs=5e-4)


def test_fleiss_kappa_of_fourteen_raters_and_ten_subjects() -> None:
    counts = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    votes = {
        str(i): {str(n): value for n, value in enumerate([v for v, c in enumerate(row) for _ in range(c)])}
        for i, row in enumerate(counts)
    }
    assert fleiss(votes) == pytest.approx(0.210, abs=5e-4)


def test_cohen_s_kappa_by_hand() -> None:
    """50 grants, both yes 20, both no 15, one alone 5 and 10: observed 0.7, by chance 0.5."""
    one = ["yes"] * 25 + ["no"] * 25
    other = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen(one, other) == pytest.approx(0.4)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_a_weighted_kappa_counts_how_far_two_grades_are_apart(weights: Any) -> None:
    """Grades 1 2 3 1 and 1 3 2 2 are 0 1 1 1 apart; the 16 crossings 0 2 1 1 / 1 1 0 0 / 2 0 1 1 / 0 2 1 1."""
    crossings = 14 if weights == "linear" else 20
    assert cohen([1, 2, 3, 1], [1, 3, 2, 2], weights) == pytest.approx(1 - 3 * 4 / crossings)


def test_what_no_two_people_saw_and_what_never_varies_has_no_coefficient() -> None:
    alone: Votes = {"a": {"x": 1}, "b": {"y": 2}}
    same: Votes = {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 1}}
    for votes in (alone, same):
        assert math.isnan(fleiss(votes))
        assert math.isnan(alpha(votes))
    assert math.isnan(cohen([1, 1], [1, 1]))
    assert raw(alone) == Share(0, 0)
    assert math.isnan(raw(alone).value)


def test_an_interval_holds_the_figure_and_narrows_with_more_items() -> None:
    few = interval(KRIPPENDORFF, alpha)
    many = interval({f"{i} {n}": seen for n in range(20) for i, seen in KRIPPENDORFF.items()}, alpha)
    assert few.low < few.value < few.high <= 1
    assert few.value == pytest.approx(alpha(KRIPPENDORFF))
    assert many.high - many.low < (few.high - few.low) / 2
    assert interval(KRIPPENDORFF, alpha) == few


def test_sums_over_items_give_the_interval_that_looking_at_the_votes_again_gives() -> None:
    """The same draws, once as weights of what each item adds, and once as votes."""
    for fast, slow in ((RAW, lambda v: raw(v).value), (FLEISS, fleiss), (alpha_of(KRIPPENDORFF, "ordinal"), None)):
        by_votes: Any = slow or (lambda v: alpha(v, "ordinal"))
        a, b = interval(KRIPPENDORFF, fast, draws=200), interval(KRIPPENDORFF, by_votes, draws=200)
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))


def test_one_who_presses_keys_at_random_is_found_and_one_who_errs_now_and_then_is_not() -> None:
    import random

    rng = random.Random(0)
    votes: dict[str, dict[str, str]] = {}
    for n in range(200):
        truth = rng.choice("abt")
        others = {f"honest {i}": truth if rng.random() < 0.8 else rng.choice("abt") for i in range(3)}
        votes[str(n)] = {**others, "random": rng.choice("abt")}
    found = annotators(votes, draws=200)
    assert [s.annotator for s in found if s.stray] == ["random"]
    assert found[0].annotator == "random"
    assert found[0].votes == 200
    assert found[0].shared.pairs == 600
    assert abs(found[0].kappa.value) < 0.1


def test_two_who_agree_are_not_held_against_a_third_who_never_does() -> None:
    """Each of the two agrees with half of the other votes, which is what chance would bring."""
    votes: Votes = {str(i): {"ann": i % 2, "bob": i % 2, "cy": 1 - i % 2} for i in range(12)}
    found = {s.annotator: (s.stray, s.kappa.value) for s in annotators(votes, draws=200)}
    assert found == {
        "ann": (False, pytest.approx(0)),
        "bob": (False, pytest.approx(0)),
        "cy": (True, pytest.approx(-1)),
    }


def test_among_two_somebody_s_kappa_with_the_others_is_cohen_s() -> None:
    one, other = [1, 2, 3, 1, 5, 4], [1, 3, 2, 2, 5, 5]
    votes: Votes = {str(i): {"a": x, "b": y} for i, (x, y) in enumerate(zip(one, other, strict=True))}
    for level, weights in (("nominal", "none"), ("ordinal", "quadratic")):
        found = {s.annotator: s.kappa.value for s in annotators(votes, level=level, draws=2)}  # type: ignore[arg-type]
        right = cohen(one, other, weights)  # type: ignore[arg-type]
        assert found == {"a": pytest.approx(right), "b": pytest.approx(right)}


def test_the_published_kappas_between_pandalm_s_annotators(real_data: Path) -> None:
    rows = json.loads((real_data / "pandalm" / "testset-v1.json").read_text(encoding="utf-8"))
    names = ("annotator1", "annotator2", "annotator3")
    votes: Votes = {str(i): {name: row[name] for name in names} for i, row in enumerate(rows)}
    pairs = [("annotator1", "annotator2"), ("annotator1", "annotator3"), ("annotator2", "annotator3")]
    assert len(votes) == 999
    assert [round(cohen(*aligned(votes, a, b)), 2) for a, b in pairs] == [0.85, 0.88, 0.86]


def mt_bench(path: Path, turn: int, judges: str) -> dict[str, dict[str, str]]:
    """(question and pair of models) -> vote -> winner's name or `tie`."""
    votes: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines(path)):
        if line["turn"] != turn or not line["judge"].startswith(judges):
            continue
        winner = "tie" if "tie" in line["winner"] else line[line["winner"]]
        item = json.dumps([line["question_id"], sorted([line["model_a"], line["model_b"]])])
        votes.setdefault(item, {})[f"{line['judge']} {number}"] = winner
    return votes


def lines(path: Path) -> Iterable[dict[str, Any]]:
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("turn", "with_ties", "judge", "people"),
    [
        (1, True, Share(886, 1343), Share(454, 721)),
        (1, False, Share(727, 859), Share(388, 479)),
        (2, True, Share(871, 1325), Share(471, 707)),
        (2, False, Share(731, 864), Share(388, 474)),
    ],
)
def test_table_5_of_the_mt_bench_paper(
    real_data: Path, turn: int, with_ties: bool, judge: Share, people: Share
) -> None:
    """Agreement of GPT-4 with experts and of experts with one another, with and without ties (arXiv 2306.05685)."""
    folder = real_data / "mtbench_human"
    experts = mt_bench(folder / "human.jsonl", turn, "expert_")
    gpt4 = mt_bench(folder / "gpt4_pair.jsonl", turn, "gpt4")
    if not with_ties:
        experts, gpt4 = dict(without(experts, "tie")), dict(without(gpt4, "tie"))  # type: ignore[arg-type]
    assert between(gpt4, experts) == judge
    assert raw(experts) == people
