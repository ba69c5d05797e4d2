"""The step that gives chats scores: by people on forms, or by a scorer, and it says which."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from asking_room import Cells, chat, data, fill, room

from curation import table
from rlhf.recipe.identity import step_key
from rlhf.recipe.step import Done, Waiting
from rlhf.steps.rate import Rate

ROWS = [chat("one", "1"), chat("two", "=2"), chat("three", "3 and more"), chat("unanswered")]
ASPECTS = {"help": "one can go on with it", "truth": "it is so"}


def test_people_are_waited_for_and_their_points_become_scores(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS)
    step = Rate(data=ref, aspects=ASPECTS, min_submitted=2)
    waiting = step.run(room(tmp_path))
    assert waiting == Waiting("0 of 6 answered", str(tmp_path / "labeling" / "human"))
    points = {"one": 1, "two": 3, "three": 5}
    for number in (1, 2):
        form = tmp_path / "labeling" / "human" / f"annotator{number}.csv"
        fill(form, lambda row: {"help": str(points[row["prompt"]]), "truth": str(2 * number)})  # noqa: B023
    here = room(tmp_path)
    done = step.run(here)
    assert isinstance(done, Done) and done.ledger is not None
    assert done.ledger.problems() == [] and done.ledger.dropped() == {"rate: no_answer": 1}
    made = {row.messages[0].content: row for row in table.rows(here.out)}
    assert {prompt: dict(row.scores) for prompt, row in made.items()} == {
        prompt: {"help": float(n), "truth": 3.0} for prompt, n in points.items()
    }
    assert done.decided_by == "people" and {row.meta["rated_by"] for row in made.values()} == {"people"}
    counts = {k: v for k, v in done.metrics.items() if k not in ("agreement", "people")}
    assert counts == {"rows": 4, "rated": 3, "mean": {"help": 3.0, "truth": 3.0}, "answers": 6, "annotators": 2}
    # Both gave 1, 3 and 5 points of help; of truth one always 2 and the other always 4.
    assert [done.metrics["agreement"][aspect]["raw"]["mean"] for aspect in ("help", "truth")] == [1.0, 0.0]
    assert done.metrics["agreement"]["help"]["alpha"]["mean"] == 1.0
    assert set(done.metrics["people"]) == {"annotator1", "annotator2"}
    assert table.read(done.side["dropped"])["reason"].to_list() == ["no_answer"]
    one = Rate(data=ref, aspects=ASPECTS)
    assert step_key(one) != step_key(step)
    assert isinstance(one.run(room(tmp_path)), Done), "fewer people are wanted, and no label is lost"


def test_other_words_for_an_aspect_ask_anew_and_say_so_before(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS[:2])
    one = Rate(data=ref, aspects=ASPECTS)
    one.run(room(tmp_path))
    form = tmp_path / "labeling" / "human" / "annotator1.csv"
    fill(form, lambda row: {"help": "4", "truth": "4"})
    other = Rate(data=ref, aspects={**ASPECTS, "help": "other words"})
    before = room(tmp_path)
    assert before.labels is not None and before.labeling is not None
    (foreseen,) = other.stranded("human", before.labels, before.labeling / "human")
    assert before.labels.read("rating") == [], "a plan reads the forms and writes nothing"
    here = room(tmp_path)
    waiting = other.run(here)
    assert here.warnings == [foreseen]
    assert isinstance(waiting, Waiting) and waiting.message == "0 of 2 answered"
    assert [w.partition(",")[0] for w in here.warnings] == ["2 answers were given under other guidelines"]
    assert isinstance(one.run(room(tmp_path)), Done)


def test_rows_that_changed_before_the_step_are_said_and_the_others_keep_their_points(tmp_path: Path) -> None:
    step = Rate(data=data(tmp_path, ROWS[:3]), aspects=ASPECTS)
    step.run(room(tmp_path))
    fill(tmp_path / "labeling" / "human" / "annotator1.csv", lambda row: {"help": "4", "truth": "4"})
    assert isinstance(step.run(room(tmp_path)), Done)
    here = room(tmp_path)
    waiting = Rate(data=data(tmp_path, [*ROWS[:2], chat("three", "3, and less")]), aspects=ASPECTS).run(here)
    assert isinstance(waiting, Waiting) and waiting.message == "2 of 3 answered"
    assert [w.partition(",")[0] for w in here.warnings] == [
        "1 answer was given about rows that are no longer asked about"
    ]


def test_a_scorer_rates_on_its_own_scale_and_rows_say_that_it_did(tmp_path: Path) -> None:
    for aspects, column in (({}, "words"), ({"length": "how many words it has"}, "length")):
        here = room(tmp_path)
        step = Rate(data=data(tmp_path, ROWS), aspects=aspects, decided_by="words")
        done = step.run(here)
        assert isinstance(done, Done) and done.decided_by == "words"
        rows = table.rows(here.out)
        assert {row.reply: dict(row.scores) for row in rows} == {
            "1": {column: 1.0}, "=2": {column: 1.0}, "3 and more": {column: 3.0}
        }  # fmt: skip
        assert {row.meta["rated_by"] for row in rows} == {"words"}
        assert step.scores({}) is None


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({"aspects": {"Help": "x"}}, "named by a-z"),
        ({"aspects": {"note": "x"}}, "column of a form"),
        ({"decided_by": "words", "aspects": ASPECTS}, "leave one aspect"),
        ({"decided_by": "words", "min_submitted": 2}, "`min_submitted` is for people"),
        ({"decided_by": {"llm_judge": {"endpoint_model": "x"}}}, "no points"),
        ({"decided_by": {"words": {"on": "prompt"}}}, "remove its `on`"),
    ):
        with pytest.raises(ValidationError, match=word):
            Rate.model_validate({"data": "before", **wrong})


def test_a_form_that_is_half_filled_in_is_named_with_its_row(tmp_path: Path) -> None:
    step = Rate(data=data(tmp_path, ROWS[:2]), aspects=ASPECTS)
    step.run(room(tmp_path))

    def half(row: Cells) -> Cells:
        return {"help": "4"} if row["prompt"] == "one" else {"help": "4", "truth": "4"}

    fill(tmp_path / "labeling" / "human" / "annotator1.csv", half)
    waiting = step.run(room(tmp_path))
    assert isinstance(waiting, Waiting)
    assert waiting.message.startswith("1 of 2 answered; please put right:\n  annotator1.csv, row ")
    assert "no points for `truth`" in waiting.message
