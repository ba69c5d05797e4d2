"""Gold from a file and from a step in all three questions: asked like the rest, no row of it comes out, and flagged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from asking_room import Cells, chat, data, fill, room

from curation import table
from curation.artifact import InputFile, hash_file
from curation.conversation import Answer, Candidates, Message
from rlhf.recipe.step import Done, Waiting
from rlhf.steps.asking import AsksPeople
from rlhf.steps.compare import Compare
from rlhf.steps.rate import Rate
from rlhf.steps.review import Review


def file(tmp_path: Path, lines: list[dict[str, Any]]) -> InputFile:
    path = tmp_path / "known.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return InputFile("known.jsonl", path, hash_file(path))


def turns(prompt: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


Says = Callable[[Cells], Cells]


def answered(tmp_path: Path, step: Any, careful: Says, careless: Says) -> tuple[Done, list[Any]]:
    """Two people fill in a form each; gives what came of it."""
    assert isinstance(step, AsksPeople)
    assert isinstance(step.run(room(tmp_path)), Waiting)
    for number, says in enumerate((careful, careless), 1):
        fill(tmp_path / "labeling" / "human" / f"annotator{number}.csv", says)
    here = room(tmp_path)
    done = step.run(here)
    assert isinstance(done, Done)
    return done, table.rows(here.out)


def flagged(done: Done) -> list[tuple[float, int, bool]]:
    people = [done.metrics["people"][f"annotator{n}"] for n in (1, 2)]
    return [(who["gold"]["mean"], who["gold"]["n"], "misses_gold" in who["flags"]) for who in people]


def test_rankings_among_rankings(tmp_path: Path) -> None:
    rows = [
        Candidates(prompt=(Message("user", f"question {n}"),), answers=tuple(Answer(f"{x} {n}") for x in "123"))
        for n in range(4)
    ]
    known = [{"prompt": f"gold {n}", "answers": [f"{x} gold" for x in "123"], "ranks": [1, 2, 3]} for n in range(4)]
    step = Compare(data=data(tmp_path, rows), min_submitted=2, gold_file=file(tmp_path, known), gold_items=4)

    def order(best_first: bool) -> Says:
        def says(row: Cells) -> Cells:
            letters = sorted("abc", key=lambda x: row[f"answer_{x}"], reverse=not best_first)
            return {"verdict": " > ".join(letters)}

        return says

    done, made = answered(tmp_path, step, order(True), order(False))
    assert len(list((tmp_path / "labeling" / "human").glob("*.csv"))) == 2, "one form each: nothing tells gold apart"
    assert flagged(done) == [(1, 4, False), (0, 4, True)] and done.metrics["gold"] == 4
    assert len(made) == 4 * 3 and not any("gold" in pair.prompt[0].content for pair in made)


@pytest.mark.parametrize("source", ["file", "step"])
def test_points(tmp_path: Path, source: str) -> None:
    rows = [chat(f"question {n}", f"reply {n}") for n in range(3)]
    wanted: dict[str, Any] = {}
    if source == "file":
        known = [{**turns(f"gold {n}", "nonsense"), "points": {"help": [1, 2]}} for n in range(4)]
        wanted["gold_file"] = file(tmp_path, known)
    else:
        wanted["gold"] = data(tmp_path, [chat(f"gold {n}", "nonsense", scores={"help": 1.5}) for n in range(4)])
    step = Rate(data=data(tmp_path, rows), aspects={"help": "", "truth": ""}, min_submitted=2, gold_items=4, **wanted)

    def gives(points: Callable[[Cells], str]) -> Says:
        return lambda row: {"help": points(row), "truth": "3"}

    careful = gives(lambda row: "2" if row["answer"] == "nonsense" else "4")
    done, made = answered(tmp_path, step, careful, gives(lambda row: "4"))
    assert flagged(done) == [(1, 4, False), (0, 4, True)] and done.metrics["gold"] == 4
    assert sorted(row.prompt[0].content for row in made) == [f"question {n}" for n in range(3)]
    assert done.metrics["mean"]["help"] == 4, "what people gave to gold is in no mean"


@pytest.mark.parametrize("source", ["file", "step"])
def test_reviews(tmp_path: Path, source: str) -> None:
    rows = [chat(f"question {n}", f"reply {n}") for n in range(3)]
    wanted: dict[str, Any] = {}
    if source == "file":
        wanted["gold_file"] = file(tmp_path, [{**turns(f"gold {n}", "nonsense"), "verdict": "drop"} for n in range(4)])
    else:
        wanted["gold"] = data(tmp_path, [chat(f"gold {n}", "nonsense", label=False) for n in range(4)])
    step = Review(data=data(tmp_path, rows), min_submitted=2, gold_items=4, **wanted)
    careful: Says = lambda row: {"verdict": "drop" if row["answer"] == "nonsense" else "accept"}  # noqa: E731
    done, made = answered(tmp_path, step, careful, lambda row: {"verdict": "accept"})
    assert flagged(done) == [(1, 4, False), (0, 4, True)]
    assert len(made) == done.metrics["accepted"] == 3 and done.ledger is not None and done.ledger.problems() == []


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for step, wrong, words in (
        (Compare, {"gold": "known", "gold_file": "known.jsonl"}, "leave one of them out"),
        (Rate, {"gold_file": "known.jsonl", "suggestions": True}, "people could tell"),
        (Rate, {"gold_file": "known.jsonl", "decided_by": "words"}, "`gold_file` is for people"),
        (Review, {"gold_items": 3}, "`gold` or `gold_file` is missing"),
    ):
        with pytest.raises(ValidationError, match=words):
            step.model_validate({"data": "rows", **wrong})
