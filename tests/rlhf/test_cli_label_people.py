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
    assert said == [
        {"annotator": "annotator1", "name": "ann", "answers": 3},
        {"annotator": "annotator2", "name": "zoe", "answers": 3},
    ]
    assert (found["annotator1"]["skips"], found["annotator2"]["skips"]) == (0, 1)
    assert main(["label", "people", "--store", str(tmp_path)]) == 0
    assert "annotator2  zoe" in capsys.readouterr().out
