"""Rounds of asking: nothing that people wrote is lost by a change of settings, data, names or guidelines."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from memory_log import Log

from curation.conversation import Answer, Candidates, Message
from curation.labeling.rounds import Round, Terms, look
from curation.labeling.tasks import Compared


def rows(n: int, start: int = 0) -> list[Candidates]:
    return [
        Candidates(prompt=(Message("user", f"Question {i}?"),), answers=(Answer(f"good {i}"), Answer(f"bad {i}")))
        for i in range(start, start + n)
    ]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        return list(csv.DictReader(f))


def fill(path: Path, choose: dict[str, str] | str, limit: int | None = None, **cells: str) -> None:
    """A person who always takes the answer that begins like this; or writes a verdict."""
    filled = table(path)
    for row in filled[:limit]:
        if isinstance(choose, dict):
            row["verdict"] = choose.get(row["prompt"], row["verdict"])
        elif choose in ("good", "bad"):
            row["verdict"] = "a" if row["answer_a"].startswith(choose) else "b"
        else:
            row["verdict"] = choose
        row.update(cells)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(filled[0]))
    writer.writeheader()
    writer.writerows(filled)
    path.write_text(text.getvalue(), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "labeling" / "human"


@pytest.fixture
def log() -> Log:
    return Log()


def again(folder: Path, log: Log, data: list[Candidates], **terms: Any) -> Round:
    return look(Compared.about(data), folder, log, Terms(**terms))


def chosen(data: list[Candidates], now: Round) -> list[str]:
    made, _ = Compared.about(data).preferences(now.said)
    return sorted(p.chosen[0].content for p in made)


def test_first_a_form_then_some_answers_then_all(folder: Path, log: Log) -> None:
    data = rows(5)
    now = again(folder, log, data)
    assert (now.message(), now.complete) == ("0 of 5 answered", False)
    assert now.forms == [folder / "annotator1.csv"] and len(table(now.forms[0])) == 5
    fill(now.forms[0], "good", limit=2)
    now = again(folder, log, data)
    assert (now.message(), now.complete) == ("2 of 5 answered", False)
    fill(now.forms[0], "good")
    now = again(folder, log, data)
    assert now.complete and chosen(data, now) == [f"good {i}" for i in range(5)]
    assert [p.name for p in folder.iterdir()] == ["annotator1.csv"]


def test_a_form_that_was_handed_out_is_not_touched(folder: Path, log: Log) -> None:
    data = rows(3)
    path = again(folder, log, data).forms[0]
    fill(path, "good", limit=1, note="my own words", annotator="Kim")
    before = path.read_bytes()
    again(folder, log, data)
    again(folder, log, data, min_submitted=2)
    again(folder, log, rows(9), guidelines="other")
    assert path.read_bytes() == before


def test_new_pairs_come_on_a_new_form_and_old_answers_count(folder: Path, log: Log) -> None:
    fill(again(folder, log, rows(3)).forms[0], "good")
    now = again(folder, log, rows(5))
    assert now.message() == "3 of 5 answered"
    assert now.forms == [folder / "annotator1-2.csv"] and len(table(now.forms[0])) == 2


def test_fewer_people_a_pair_or_more_cost_no_answer(folder: Path, log: Log) -> None:
    data = rows(4)
    fill(again(folder, log, data).forms[0], "good")
    now = again(folder, log, data, min_submitted=2)
    assert now.message() == "4 of 8 answered" and [p.name for p in now.forms] == ["annotator2.csv"]
    sides = [{r["prompt"]: r["answer_a"] for r in table(folder / f"annotator{n}.csv")} for n in (1, 2)]
    assert all(sides[0][prompt] != sides[1][prompt] for prompt in sides[0])
    fill(now.forms[0], "bad", limit=3)
    fill(now.forms[0], "bad")
    now = again(folder, log, data, min_submitted=2)
    assert now.complete
    made, _ = Compared.about(data).preferences(now.said)
    assert [p.verdict for p in made] == ["tie"] * 4  # one for each side
    assert again(folder, log, data, min_submitted=1).complete


def test_an_answer_survives_the_loss_of_its_form(folder: Path, log: Log) -> None:
    data = rows(3)
    path = again(folder, log, data).forms[0]
    fill(path, "good", limit=2)
    again(folder, log, data)
    path.unlink()
    now = again(folder, log, data)
    assert now.message() == "2 of 3 answered" and len(table(now.forms[0])) == 1


def test_an_emptied_cell_takes_nothing_back_and_a_new_verdict_replaces_the_old(folder: Path, log: Log) -> None:
    data = rows(2)
    path = again(folder, log, data).forms[0]
    fill(path, "good")
    again(folder, log, data)
    fill(path, "")
    assert chosen(data, again(folder, log, data)) == ["good 0", "good 1"]
    fill(path, "bad")
    assert chosen(data, again(folder, log, data)) == ["bad 0", "bad 1"]
    fill(path, "good")
    assert chosen(data, again(folder, log, data)) == ["good 0", "good 1"]


def test_a_name_written_in_later_does_not_double_the_answers(folder: Path, log: Log) -> None:
    data = rows(2)
    path = again(folder, log, data, min_submitted=2).forms[0]
    fill(path, "good")
    assert again(folder, log, data, min_submitted=2).answered == 2
    fill(path, "good", annotator="Kim")
    assert again(folder, log, data, min_submitted=2).answered == 2


def test_answers_that_were_typed_just_before_a_change_are_taken_in_first(folder: Path, log: Log) -> None:
    """Under the guidelines that they were given by, whatever the settings say by now."""
    path = again(folder, log, rows(3), guidelines="one").forms[0]
    fill(path, "good")
    now = again(folder, log, rows(3), guidelines="two")
    assert (now.answered, now.stranded.guidelines) == (0, 3)
    assert now.forms == [folder / "annotator1-2.csv"]
    assert again(folder, log, rows(3), guidelines="one").complete


def test_skipped_pairs_are_answered_and_give_no_preference(folder: Path, log: Log) -> None:
    data = rows(3)
    path = again(folder, log, data).forms[0]
    fill(path, "good")
    fill(path, {"Question 1?": "skip"})
    now = again(folder, log, data)
    assert now.complete and chosen(data, now) == ["good 0", "good 2"]


def test_a_bound_on_answers_ends_the_waiting(folder: Path, log: Log) -> None:
    data = rows(6)
    path = again(folder, log, data, max_answers=4).forms[0]
    fill(path, "good", limit=3)
    assert again(folder, log, data, max_answers=4).message() == "3 of 4 answered"
    fill(path, "good", limit=4)
    now = again(folder, log, data, max_answers=4)
    assert now.complete and len(chosen(data, now)) == 4
    assert Terms(max_answers=100).wanted(6) == 6


def test_what_cannot_be_read_holds_everything_up_until_it_is_put_right(folder: Path, log: Log) -> None:
    data = rows(3)
    path = again(folder, log, data).forms[0]
    fill(path, "good")
    fill(path, {"Question 1?": "dunno"})
    now = again(folder, log, data)
    assert not now.complete and now.answered == 2
    assert "2 of 3 answered; please put right:\n  annotator1.csv, row " in now.message() and "'dunno'" in now.message()
    fill(path, {"Question 1?": "tie"})
    assert again(folder, log, data).complete


def test_reading_the_same_forms_again_adds_nothing_to_the_log(folder: Path, log: Log) -> None:
    data = rows(3)
    fill(again(folder, log, data).forms[0], "good")
    again(folder, log, data)
    before = log.read("preference")
    again(folder, log, data)
    assert log.read("preference") == before and len(before) == 3


def test_two_steps_that_ask_about_the_same_pairs_share_the_answers(tmp_path: Path, log: Log) -> None:
    data = rows(2)
    fill(again(tmp_path / "one", log, data).forms[0], "good")
    again(tmp_path / "one", log, data)
    now = again(tmp_path / "two", log, data)
    assert now.complete and not (tmp_path / "two").exists()


def test_nothing_to_ask_is_complete_at_once(folder: Path, log: Log) -> None:
    same = Candidates(prompt=(Message("user", "Hi"),), answers=(Answer("a"), Answer("a")))
    assert again(folder, log, [same]).complete and not folder.exists()


def test_a_bounded_round_of_two_people_finishes_what_it_begins(folder: Path, log: Log) -> None:
    """Six answers are two to each of three items, and not one to each of six."""
    data = rows(10)
    now = again(folder, log, data, min_submitted=2, max_answers=6)
    prompts = [{row["prompt"] for row in table(form)} for form in now.forms]
    assert len(prompts) == 2 and prompts[0] == prompts[1] and len(prompts[0]) == 3
    fill(now.forms[0], "good", limit=2)
    now = again(folder, log, data, min_submitted=2, max_answers=4)
    assert (now.message(), sorted(now.missing.values())[:2]) == ("2 of 4 answered", [1, 1])
    assert now.forms == [folder / "annotator2.csv"], "the two that lack one answer are all that is needed"
    fill(folder / "annotator2.csv", "good")
    now = again(folder, log, data, min_submitted=2, max_answers=4)
    assert now.complete and sorted(map(len, now.said.values())) == [1, 2, 2]
