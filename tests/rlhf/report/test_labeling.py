"""The people behind a labeling step, as the page shows them: every figure of the metrics, and no name."""

from __future__ import annotations

import copy
import re
from html import unescape
from pathlib import Path
from typing import Any

import made_up_run as made_up

from rlhf.report import build

INTERVAL = {"mean": 0.5, "low": 0.25, "high": 0.75}
PEOPLE: dict[str, Any] = {
    "consensus": "ranked_pairs",
    "agreement": {
        "items": 41,
        "votes": 123,
        "raw": INTERVAL,
        "kappa": {"mean": 0.31, "low": 0.2, "high": 0.42},
        "alpha": {"mean": -0.04, "low": -0.1, "high": None},
    },
    "people": {
        "annotator1": {"answers": 41, "skips": 0, "agrees": 0.8, "kappa": INTERVAL, "flags": []},
        "annotator2": {
            "answers": 40,
            "skips": 1,
            "agrees": 0.3,
            "kappa": {"mean": 0.01, "low": -0.1, "high": 0.11},
            "seconds": 1.5,
            "timed": 39,
            "too_fast": 30,
            "gold": {"mean": 0.2, "low": 0.03, "high": 0.56, "n": 10},
            "flags": ["disagrees", "too_fast", "misses_gold"],
        },
    },
}


def page(tmp_path: Path, metrics: dict[str, Any], **more: Any) -> str:
    manifests = copy.deepcopy(made_up.manifests())
    manifests["pairs"] |= {"metrics": metrics, "decided_by": "people"}
    manifests["report"]["metrics"] |= more
    text = build(made_up.record(), manifests, tmp_path / "page.html").read_text(encoding="utf-8")
    return unescape(text)


def table(text: str) -> list[list[str]]:
    (found,) = re.findall(r'<table class="figures people">(.*?)</table>', text, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)
    return [[re.sub(r"<[^>]*>", "", c) for c in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def test_every_figure_of_every_person(tmp_path: Path) -> None:
    text = page(tmp_path, PEOPLE)
    head, one, two = table(text)
    assert [name.split("share")[0] for name in head[:4]] == ["", "answers", "skips", "agrees"]
    assert one == ["annotator1", "41", "–", "80%", "0.50 [0.25, 0.75]", "–", "–", "–"]
    assert two == [
        "annotator2 !", "40", "1", "30%", "0.01 [-0.10, 0.11]", "0.20 [0.03, 0.56] of 10", "1.5 s", "30 of 39",
    ]  # fmt: skip
    for words in ("0.50 [0.25, 0.75]", "0.31 [0.20, 0.42]", "-0.04", "On 41 items", "ranked pairs (Tideman)"):
        assert words in text


def test_who_is_flagged_is_said_first_and_that_nothing_was_dropped(tmp_path: Path) -> None:
    text = page(tmp_path, PEOPLE)
    said = "agrees with nobody beyond chance and answers faster than anyone can read and misses questions"
    assert f"<b>annotator2</b> {said}" in text
    assert "No answer was dropped for that" in text
    calm = copy.deepcopy(PEOPLE)
    calm["people"]["annotator2"]["flags"] = []
    assert "No answer was dropped" not in page(tmp_path, calm)


def test_a_step_that_asks_several_questions_has_the_agreement_of_each(tmp_path: Path) -> None:
    by_aspect = {"help": {"items": 7, "votes": 14, "raw": INTERVAL}, "truth": {"items": 1, "votes": 2}}
    text = page(tmp_path, {**PEOPLE, "agreement": by_aspect})
    section = text.partition('<section id="people">')[2].partition("</section>")[0]
    assert section.index("<h4>help</h4>") < section.index("On 7 items") < section.index("<h4>truth</h4>")


def test_one_person_alone_and_no_people_at_all(tmp_path: Path) -> None:
    alone = {"agreement": {"items": 0, "votes": 0}, "people": {"annotator1": {"answers": 3, "skips": 0, "flags": []}}}
    text = page(tmp_path, alone)
    assert "No two people answered the same question" in text
    assert table(text)[1] == ["annotator1", "3"]
    assert "The people who answered" not in page(tmp_path, {"pairs": 3})


def test_each_of_the_people_who_judge_has_a_line_of_their_own(tmp_path: Path) -> None:
    rate = {"win_rate": INTERVAL, "wins": 2, "ties": 0, "losses": 2, "n": 4}
    people = {**rate, "by": "people", "annotators": {"annotator1": rate, "annotator2": rate}}
    text = page(tmp_path, {"pairs": 3}, dpo={"people": people, "win_rate": INTERVAL})
    assert "by people, annotator1<small>one person</small>" in text
    assert "by people, annotator2" in text


def test_a_judge_held_against_people_stands_beside_people_and_length(tmp_path: Path) -> None:
    found = {
        "agreement": INTERVAL,
        "agreement_without_ties": {"mean": 0.66, "low": 0.6, "high": 0.71},
        "kappa": {"mean": 0.33, "low": None, "high": None},
        "people": {"mean": None, "low": None, "high": None},
        "length_agreement": {"mean": 0.61, "low": 0.5, "high": 0.7},
        "over_length": {"mean": 0.05, "low": -0.02, "high": 0.12},
        "n": 40,
        "ties": 4,
        "flip_rate": 0.25,
        "by": "a language model",
    }
    text = page(tmp_path, {"pairs": 3}, calibration={"llm_judge": found})
    section = text.partition('<section id="calibration">')[2].partition("</section>")[0]
    for words in (
        "llm_judge",
        "0.50 [0.25, 0.75]",
        "0.66 [0.60, 0.71]",
        "0.33",
        "0.61 [0.50, 0.70]",
        "40 pairs; 4 ties",
    ):
        assert words in section
    assert "the order alone changed 25% of its verdicts" in section
    assert "not clearly more than length: the difference is 0.05 [-0.02, 0.12]" in section
    assert "with one another" not in section, "what is not known is not shown"
