"""`rlhf label people` tells who is behind a pseudonym, and how much each has answered."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "steps"))

from asking_room import data, fill, room

from curation.conversation import Answer, Candidates, Message
from rlhf.cli import main
from rlhf.recipe.step import Waiting
from rlhf.steps.compare import Compare

ROWS = [
    Candidates(prompt=(Message("user", f"question {n}"),), answers=(Answer(f"good {n}"), Answer(f"bad {n}")))
    for n in range(3)
]


def test_names_stand_beside_the_numbers_of_the_artifacts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", "people", "--store", str(tmp_path)]) == 0
    assert "nobody has answered yet" in capsys.readouterr().out
    step = Compare(data=data(tmp_path, ROWS), min_submitted=2)
    step.run(room(tmp_path))
    for number, who in ((1, "zoe"), (2, "ann")):
        left = iter(["a", "b", "skip"] if who == "zoe" else ["a", "tie", "b"])
        fill(
            tmp_path / "labeling" / "human" / f"annotator{number}.csv",
            lambda row, who=who, left=left: {"verdict": next(left), "annotator": who},  # type: ignore[misc]
        )
    found = step.run(room(tmp_path)).metrics["people"]  # type: ignore[union-attr]
    assert main(["label", "people", "--store", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["people"]
    assert [(p["annotator"], p["name"], p["answers"], p["skips"]) for p in said] == [
        ("annotator1", "ann", 3, 0),
        ("annotator2", "zoe", 3, 1),
    ]
    assert (found["annotator1"]["skips"], found["annotator2"]["skips"]) == (0, 1)
    # Both gave an opinion of two pairs.
    assert said[0]["agrees"] == said[1]["agrees"] == found["annotator1"]["agrees"]
    assert main(["label", "people", "--store", str(tmp_path)]) == 0
    assert "annotator2  zoe   3" in capsys.readouterr().out


def test_who_strays_is_seen_while_the_run_still_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three of four forms are filled in, and one of the three contradicts the other two throughout."""
    rows = [row.with_(prompt=(Message("user", f"{row.prompt[0].content} {n}"),)) for n in range(6) for row in ROWS]
    step = Compare(data=data(tmp_path, rows), min_submitted=4)
    step.run(room(tmp_path))
    for number, who in enumerate(("ann", "bob", "cy"), 1):
        form = tmp_path / "labeling" / "human" / f"annotator{number}.csv"
        fill(
            form,
            lambda row, who=who: {  # type: ignore[misc]
                "verdict": "a" if row["answer_a"].startswith("good") == (who != "cy") else "b",
                "annotator": who,
            },
        )
    assert isinstance(step.run(room(tmp_path)), Waiting)
    assert main(["label", "people", "--store", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "annotator3 agrees with nobody beyond chance" in said
    assert "annotator1 agrees" not in said and "annotator2 agrees" not in said
