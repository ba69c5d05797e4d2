"""The caches that outlive keys: what went in comes out, after a kill too, and nothing is kept twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlhf.recipe.caches import Answers, Features, Labels, Scores


def test_scores_come_back_by_scorer_and_id(tmp_path: Path) -> None:
    scores = Scores(tmp_path)
    scores.put("scorer", {f"id{i}": i / 3 for i in range(1200)})
    assert Scores(tmp_path).get("scorer", ["id7", "id1199", "unknown"]) == {"id7": 7 / 3, "id1199": 1199 / 3}
    assert len(scores.get("scorer", [f"id{i}" for i in range(1200)])) == 1200
    assert scores.get("another", ["id7"]) == {}


def test_answers_come_back_by_request(tmp_path: Path) -> None:
    Answers(tmp_path).put("k", {"text": "yes\u2028"})
    assert Answers(tmp_path).get("k") == {"text": "yes\u2028"}
    assert Answers(tmp_path).get("other") is None


def label(text: str, annotator: str = "ann") -> dict[str, str]:
    return {"question": "preference", "annotator": annotator, "answer": text}


def test_a_label_is_never_written_twice_and_never_replaced(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    assert labels.append([label("a"), label("b")]) == 2
    assert labels.append([label("a"), label("a", "bo")]) == 1
    assert [(x["annotator"], x["answer"]) for x in Labels(tmp_path).read("preference")] == [
        ("ann", "a"),
        ("ann", "b"),
        ("bo", "a"),
    ]


def test_line_separators_inside_a_label_do_not_break_the_log(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    nasty = label("one\u2028two\x85three\nfour")
    labels.append([nasty])
    assert labels.append([nasty]) == 0
    assert labels.read("preference") == [nasty]


def test_a_torn_last_line_costs_that_line_alone(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    labels.append([label("a")])
    with (tmp_path / "preference.jsonl").open("ab") as f:
        f.write(b'{"question": "pref')
    assert labels.append([label("b")]) == 1
    assert [x["answer"] for x in labels.read("preference")] == ["a", "b"]


def test_a_question_names_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Labels(tmp_path).append([{"question": "../x"}])


def test_features_come_back_by_model_and_id(tmp_path: Path) -> None:
    features = Features(tmp_path)
    vectors = {f"id{i}": np.arange(i, i + 3, dtype=np.float32) / 3 for i in range(700)}
    features.put("model", vectors)
    again = Features(tmp_path).get("model", [*vectors, "unknown"])
    assert again.keys() == vectors.keys() and all((again[i] == v).all() for i, v in vectors.items())
    assert features.get("another", ["id7"]) == {}
