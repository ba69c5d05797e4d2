"""The step in which people let chats through: each is accepted, dropped for a reason, or put right, and counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from asking_room import Cells, chat, data, fill, room

from curation import table
from curation.errors import UserError
from rlhf.recipe.step import Done, Waiting
from rlhf.steps.review import Review

ROWS = [chat(f"q{n}", f"answer {n}", scores={"words": 2.0}) for n in range(5)] + [chat("no answer")]


def person(row: Cells) -> Cells | None:
    return {
        "q0": {"verdict": "accept"},
        "q1": {"verdict": "edit", "edited": "=better\nanswer 😀"},
        "q2": {"verdict": "drop", "reason": "off topic"},
        "q3": {"verdict": "skip"},
    }.get(row["prompt"])


def test_every_chat_is_accepted_edited_or_dropped_and_the_sums_hold(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS)
    step = Review(data=ref, max_answers=4)
    waiting = step.run(room(tmp_path))
    form = tmp_path / "labeling" / "human" / "annotator1.csv"
    assert waiting == Waiting("0 of 4 answered", str(form))
    fill(form, lambda row: {"verdict": "accept"} if row["prompt"] == "q0" else None)
    second = step.run(room(tmp_path))
    assert isinstance(second, Waiting) and second.message == "1 of 4 answered"
    # Four answers are wanted, so four chats were handed out; whichever is missing, it stays unanswered.
    fill(form, lambda row: person(row) or {"verdict": "drop"})
    here = room(tmp_path)
    done = step.run(here)
    assert isinstance(done, Done) and done.ledger is not None and done.decided_by == "people"
    assert done.ledger.problems() == []
    rows = {row.messages[0].content: row for row in table.rows(here.out)}
    lost = {r["prompt"]: r["reason"] for r in _lost(done)}
    assert rows.keys() | lost.keys() == {"q0", "q1", "q2", "q3", "q4", "no answer"} and not rows.keys() & lost.keys()
    right = {"q2": "off_topic", "q3": "skipped", "q4": "no_reason", "no answer": "no_answer"}
    assert list(lost.values()).count("unanswered") == 1
    assert {q: word for q, word in lost.items() if word != "unanswered"}.items() <= right.items()
    if "q1" in rows:
        assert rows["q1"].reply == "=better\nanswer 😀" and rows["q1"].parent == ROWS[1].id
    if "q0" in rows:
        assert rows["q0"].id == ROWS[0].id and rows["q0"].parent is None
    assert done.metrics["accepted"] + done.metrics["edited"] == len(rows)


def _lost(done: Done) -> list[dict[str, str]]:
    frame = table.read(done.side["dropped"])
    prompts = [row.messages[0].content for row in table.rows(done.side["dropped"])]
    return [{"prompt": p, "reason": r} for p, r in zip(prompts, frame["reason"], strict=True)]


def test_a_longer_list_of_reasons_costs_no_answer(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS[:3])
    Review(data=ref).run(room(tmp_path))
    fill(tmp_path / "labeling" / "human" / "annotator1.csv", person)
    here = room(tmp_path)
    assert isinstance(Review(data=ref, reasons=["off_topic", "rude"]).run(here), Done)
    assert here.warnings == []


def test_a_review_that_leaves_nothing_says_why(tmp_path: Path) -> None:
    step = Review(data=data(tmp_path, ROWS[:2]))
    step.run(room(tmp_path))
    fill(tmp_path / "labeling" / "human" / "annotator1.csv", lambda row: {"verdict": "drop", "reason": "wrong"})
    with pytest.raises(UserError, match="no chat is left: 2 wrong"):
        step.run(room(tmp_path))


def test_reasons_are_single_words() -> None:
    for wrong, word in ((["off topic"], "one word"), (["wrong", "wrong"], "named twice")):
        with pytest.raises(ValidationError, match=word):
            Review.model_validate({"data": "before", "reasons": wrong})
