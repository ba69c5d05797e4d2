"""Several people compare: how their verdicts become one, who is flagged, gold, and what artifacts know of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from asking_room import Cells, data, fill, room

from curation import table
from curation.conversation import Answer, Candidates, Message, Preference
from curation.errors import UserError
from rlhf.recipe.identity import step_key
from rlhf.recipe.step import Done, Room, Waiting
from rlhf.steps.compare import Compare

PEOPLE = ("ann", "bob", "cy")
ROWS = [
    Candidates(prompt=(Message("user", f"question {n}"),), answers=(Answer(f"good {n}"), Answer(f"bad {n}")))
    for n in range(12)
]
KNOWN = [
    Preference(
        prompt=(Message("user", f"gold {n}"),),
        chosen=(Message("assistant", f"good gold {n}"),),
        rejected=(Message("assistant", f"bad gold {n}"),),
        decided_by="data set",
    )
    for n in range(6)
]


def says(who: str, good: bool) -> Any:
    """A person who always prefers the answer that begins with `good`, or always the other."""

    def write(row: Cells) -> Cells:
        a_is_good = row["answer_a"].startswith("good")
        return {"verdict": "a" if a_is_good == good else "b", "annotator": who}

    return write


def asked(tmp_path: Path, **settings: Any) -> tuple[Compare, Path]:
    """Three forms: ann and bob prefer good answers, cy the others."""
    step = Compare(data=data(tmp_path, ROWS), min_submitted=3, **settings)
    assert isinstance(step.run(room(tmp_path)), Waiting)
    folder = tmp_path / "labeling" / "human"
    for number, who in enumerate(PEOPLE, 1):
        fill(folder / f"annotator{number}.csv", says(who, good=who != "cy"))
    return step, folder


def done(step: Compare, here: Room) -> Done:
    found = step.run(here)
    assert isinstance(found, Done)
    return found


def test_another_way_to_agree_costs_no_label_and_is_another_key(tmp_path: Path) -> None:
    step, folder = asked(tmp_path)
    here = room(tmp_path)
    metrics = done(step, here).metrics
    assert metrics["consensus"] == "majority"
    assert {p.chosen[0].content[:4] for p in table.rows(here.out)} == {"good"}
    before = {path: path.read_bytes() for path in folder.iterdir()}
    keys = {step_key(step)}
    for way in ("ranked_pairs", "dawid_skene", "bradley_terry"):
        other = step.model_copy(update={"consensus": way})
        keys.add(step_key(other))
        there = room(tmp_path)
        found = done(other, there).metrics
        assert found["consensus"] == way and found["answers"] == 36
        assert {p.chosen[0].content[:4] for p in table.rows(there.out)} == {"good"}
        if way == "dawid_skene":
            reliability = [found["people"][f"annotator{n}"]["reliability"] for n in (1, 2, 3)]
            assert reliability[0] > 0.9 and reliability[1] > 0.9 and reliability[2] < 0.1
    assert len(keys) == 4 and {path: path.read_bytes() for path in folder.iterdir()} == before


def test_who_disagrees_with_everyone_is_flagged_and_counts_all_the_same(tmp_path: Path) -> None:
    step, _ = asked(tmp_path)
    here = room(tmp_path)
    metrics = done(step, here).metrics
    # Of three pairs of people one agrees, in every item.
    assert metrics["agreement"]["raw"]["mean"] == pytest.approx(1 / 3) and metrics["agreement"]["items"] == 12
    assert [metrics["people"][f"annotator{n}"]["agrees"] for n in (1, 2, 3)] == [0.5, 0.5, 0.0]
    assert metrics["people"]["annotator3"]["flags"] == ["disagrees"]
    assert here.warnings == [
        "annotator3 agrees with nobody beyond chance; no answer was dropped for that: look, and decide"
    ]
    votes = {"annotator1": "chosen", "annotator2": "chosen", "annotator3": "rejected"}
    assert all(p.meta["votes"] == votes for p in table.rows(here.out))


def test_no_artifact_metric_or_warning_holds_a_name(tmp_path: Path) -> None:
    step, _ = asked(tmp_path)
    here = room(tmp_path)
    found = done(step, here)
    text = json.dumps([found.metrics, here.warnings, found.examples, [str(p) for p in table.rows(here.out)]])
    assert "annotator1" in text
    assert not any(f"{quote}{name}{quote}" in text for name in PEOPLE for quote in "\"'")


def test_gold_is_asked_like_everything_else_and_is_in_no_preference(tmp_path: Path) -> None:
    known = data(tmp_path, KNOWN)
    step, folder = asked(tmp_path, gold=known, gold_items=4)
    text = (folder / "annotator1.csv").read_text(encoding="utf-8")
    assert text.count("good gold") == 4 and len(text.strip().split("\n")) == 1 + 12 + 4
    header = text.split("\n")[0].strip("\ufeff\r").split(",")
    assert [c.strip('"') for c in header] == [
        "record",
        "prompt",
        "answer_a",
        "answer_b",
        "verdict",
        "annotator",
        "note",
    ]
    here = room(tmp_path)
    metrics = done(step, here).metrics
    assert metrics["gold"] == 4 and metrics["answers"] == 3 * (12 + 4) and metrics["pairs"] == 12
    assert not any("gold" in p.prompt[0].content for p in table.rows(here.out))
    gold = {who: row["gold"] for who, row in metrics["people"].items()}
    assert [(gold[f"annotator{n}"]["mean"], gold[f"annotator{n}"]["n"]) for n in (1, 2, 3)] == [(1, 4), (1, 4), (0, 4)]
    assert "misses_gold" in metrics["people"]["annotator3"]["flags"]


def test_ways_and_gold_are_checked_before_anybody_is_asked(tmp_path: Path) -> None:
    three = [Candidates(prompt=(Message("user", "q"),), answers=(Answer("a"), Answer("b"), Answer("c")))]
    with pytest.raises(UserError, match="dawid_skene") as error:
        Compare(data=data(tmp_path, three), consensus="dawid_skene").run(room(tmp_path))
    assert "ask: pairs" in error.value.hint and not (tmp_path / "labeling").exists()
    for wrong, words in (
        ({"gold_items": 3}, "is missing"),
        ({"decided_by": "brevity", "consensus": "majority"}, "`consensus` is for people"),
        ({"decided_by": "brevity", "gold": "known"}, "`gold` is for people"),
        ({"consensus": "vote"}, "majority"),
        ({"gold": "known", "suggestions": "words"}, "people could tell"),
    ):
        with pytest.raises(ValidationError, match=words):
            Compare.model_validate({"data": "answers", **wrong})
