"""What people are asked: the same item wherever it comes up, blind sides, and a log that forgets nothing."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from memory_log import Log

from curation.conversation import Answer, Candidates, Message
from curation.errors import UserError
from curation.labeling.log import Book, Given, shown_of, standing
from curation.labeling.pair import Pair, decided
from curation.labeling.question import Verdict
from curation.labeling.tasks import Compared, nearly_done

PROMPT = (Message("user", "Why is the sky blue?"),)
RED, BLUE = Message("assistant", "Dust."), Message("assistant", "Air scatters blue light most.")


def row(*answers: str, prompt: str = "Why is the sky blue?") -> Candidates:
    return Candidates(prompt=(Message("user", prompt),), answers=tuple(map(Answer, answers)))


def test_an_item_is_the_same_in_whichever_order_and_by_whomever() -> None:
    assert Pair.item(PROMPT, RED, BLUE) == Pair.item(PROMPT, BLUE, RED)
    one = Compared.about([Candidates(prompt=PROMPT, answers=(Answer("x", "policy 1"), Answer("y", "policy 2")))])
    other = Compared.about([Candidates(prompt=PROMPT, answers=(Answer("y", "policy 3"), Answer("x", finished=False)))])
    assert list(one.items) == list(other.items)
    assert Pair.item(PROMPT, RED, BLUE).id != Pair.item((Message("user", "Why?"),), RED, BLUE).id


def test_each_answer_stands_left_half_of_the_time_and_neighbours_see_opposite_sides() -> None:
    items = [Pair.item(PROMPT, Message("assistant", f"a{i}"), Message("assistant", f"b{i}")) for i in range(1000)]
    left = Counter(item.shown(1, "").order[0] for item in items)
    assert 450 < left[0] < 550  # 3 standard deviations of a fair coin are 47
    assert all(item.shown(1, "").order != item.shown(2, "").order for item in items)
    assert all(item.shown(1, "").order == item.shown(3, "").order for item in items)


def test_a_code_says_nothing_and_no_spreadsheet_takes_it_for_a_number() -> None:
    item = Pair.item(PROMPT, RED, BLUE)
    codes = {item.shown(a, g).code for a in (1, 2) for g in ("", "other guidelines")}
    assert len(codes) == 4
    assert all(code[0] == "p" and len(code) == 16 for code in codes)


def test_sides_become_answers_again() -> None:
    shown = Pair.item(PROMPT, RED, BLUE).shown(1, "")
    a, b = shown.answers
    by_name = dict(zip(("first", "second"), shown.item.answers, strict=True))
    assert by_name[str(Pair.verdict(shown, "a"))] == a and by_name[str(Pair.verdict(shown, "b"))] == b
    assert (Pair.verdict(shown, "tie"), Pair.verdict(shown, "skip")) == ("tie", "skip")


def test_a_record_comes_back_from_the_log_whole() -> None:
    prompt = (Message("system", "Be brief."), Message("user", 'Say "ü"\n😀'))
    shown = Pair.item(prompt, Message("assistant", "ü"), Message("assistant", "", '{"tool_calls":[]}')).shown(2, "g")
    assert shown_of(shown.line()) == shown


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ("first", "first"),
        ("first first second", "first"),
        ("first second", "tie"),
        ("tie tie first", "tie"),
        ("first first tie tie", "tie"),
        ("first first second tie", "first"),
        ("skip second skip", "second"),
        ("skip", None),
        ("", None),
    ],
)
def test_more_votes_than_any_other_verdict_decide(verdicts: str, together: str | None) -> None:
    assert decided(verdicts.split()) == together


def test_every_pair_of_different_answers_is_asked_about_once() -> None:
    asked = Compared.about(
        [row("a", "b", "c"), row("a", " a\n"), row("b", "a "), row("b", "a"), row("a", "b", prompt="o")],
        "pairs",
    )
    assert list(Counter(asked.row_of.values()).items()) == [(0, 3), (2, 1), (4, 1)]  # white space is part of an item


def given(verdict: Verdict, annotator: str = "ann", form: str = "f.csv", number: int = 1, note: str = "") -> Given:
    return Given(Pair.item(PROMPT, RED, BLUE).shown(number, "g"), annotator, verdict, note, form)


def log_of(*readings: list[Given]) -> list[dict[str, Any]]:
    log = Log()
    for reading in readings:
        Book(log).take(reading)
    return log.lines


ITEM = Pair.item(PROMPT, RED, BLUE).id


def test_reading_the_same_answer_again_adds_nothing() -> None:
    assert len(log_of([given("first")], [given("first")])) == 1


def test_who_changes_their_mind_and_back_again_is_heard_each_time() -> None:
    log = log_of([given("first")], [given("second")], [given("first")])
    assert [line["verdict"] for line in log] == ["first", "second", "first"]
    assert len({str(sorted(line.items())) for line in log}) == 3  # a log that drops repeated lines keeps all three
    assert standing(log, "g") == {ITEM: {"ann": "first"}}


def test_a_name_that_is_written_in_later_does_not_make_a_second_person() -> None:
    log = log_of([given("first", "annotator1")], [given("first", "Kim")])
    assert standing(log, "g") == {ITEM: {"Kim": "first"}}


def test_two_people_are_two_answers_and_one_person_on_two_forms_is_one() -> None:
    log = log_of([given("first", "ann"), given("second", "bob", "g.csv")])
    assert standing(log, "g") == {ITEM: {"ann": "first", "bob": "second"}}
    again = log_of([given("first", "ann"), given("second", "ann", "g.csv")])
    assert standing(again, "g") == {ITEM: {"ann": "second"}}


def test_answers_under_other_guidelines_answer_another_question() -> None:
    assert standing(log_of([given("first")]), "other") == {}


def test_what_people_chose_becomes_a_preference_with_its_votes() -> None:
    asked = Compared.about([row("good", "bad").with_(split="train", meta={"tree": 1})])
    (item,) = asked.items
    good: Verdict = "first" if asked.items[item].answers[0].content == "good" else "second"
    bad: Verdict = "second" if good == "first" else "first"
    (made,), lost = asked.preferences({item: {"ann": good, "bob": good, "cy": bad, "dee": "skip"}})
    assert (made.chosen[0].content, made.rejected[0].content) == ("good", "bad")
    assert (made.verdict, made.decided_by, made.split) == ("chosen", "people", "train")
    votes = {"annotator1": "chosen", "annotator2": "chosen", "annotator3": "rejected", "annotator4": "skip"}
    assert made.meta == {"tree": 1, "votes": votes}
    assert made.parent == asked.rows[0].row.id and not lost
    ((tied,), _) = asked.preferences({item: {"ann": "first", "bob": "second"}})
    assert tied.verdict == "tie"


def test_rows_that_come_to_nothing_say_why() -> None:
    rows = [row("a", "b"), row("c", "d"), row("a", "a"), row("a"), row(), row("b", "a"), row("e", "f")]
    asked = Compared.about(rows)
    skipped, answered = (item for item, number in asked.row_of.items() if number in (0, 6))
    made, lost = asked.preferences({skipped: {"ann": "skip"}, answered: {"ann": "tie"}})
    assert len(made) == 1 and made[0].verdict == "tie"
    assert [(r.id, word) for r, word in lost] == [
        (rows[0].id, "skipped"),
        (rows[1].id, "unanswered"),
        (rows[2].id, "identical_answers"),
        (rows[3].id, "one_answer"),
        (rows[4].id, "no_answer"),
        (rows[5].id, "repeated_pair"),
    ]


def test_a_ranking_gives_every_pair_with_what_people_said_of_it() -> None:
    data = row("a", "b", "c").with_(split="train")
    asked = Compared.about([data, row("x", "y"), row("p", "q", "r", "s", "t")])
    assert [len(item.answers) for item in asked.items.values()] == [3, 2, 5]
    (item, *_) = asked.items
    names = [m.content for m in asked.items[item].answers]

    def ranks(**places: int) -> tuple[int, ...]:
        return tuple(places[name] for name in names)

    said: dict[str, dict[str, Verdict]] = {
        item: {"ann": ranks(a=1, b=2, c=2), "bo": ranks(a=1, b=3, c=2), "cy": ranks(a=2, b=1, c=3), "dee": "skip"}
    }
    made, lost = asked.preferences(said)
    # a beats b 2:1 and c 3:0. b and c: one says c, one says b, one says neither, so they are equal.
    outcome = {(p.chosen[0].content, p.rejected[0].content): (p.verdict, p.meta["votes"]) for p in made}
    ab = {"annotator1": "chosen", "annotator2": "chosen", "annotator3": "rejected", "annotator4": "skip"}
    ac = {**ab, "annotator3": "chosen"}
    assert outcome.pop(("a", "b")) == ("chosen", ab)
    assert outcome.pop(("a", "c")) == ("chosen", ac)
    ((pair, (verdict, votes)),) = outcome.items()
    assert set(pair) == {"b", "c"} and verdict == "tie"
    assert sorted(votes.values()) == ["chosen", "rejected", "skip", "tie"] and votes["annotator1"] == "tie"
    assert [word for _, word in lost] == ["unanswered", "unanswered"]
    assert {p.split for p in made} == {"train"} and {p.parent for p in made} == {data.id}


def test_more_answers_than_people_can_rank_are_refused_with_a_way_out() -> None:
    six = row(*"abcdef")
    with pytest.raises(UserError, match="6 different answers") as error:
        Compared.about([six])
    assert "ask: pairs" in error.value.hint and "num_generations" in error.value.hint
    assert len(Compared.about([six], "pairs").items) == 15


def test_nearly_finished_items_come_first_and_no_more_than_are_needed() -> None:
    missing = {"new": 3, "half": 1, "out": 3, "begun": 2}
    assert nearly_done(missing, 100, ["out"]) == ["half", "begun", "out", "new"]
    assert nearly_done(missing, 2) == ["half", "begun"]
    assert nearly_done(missing, 4, ["out"]) == ["half", "begun", "out"]
    assert nearly_done(missing, 0) == []
