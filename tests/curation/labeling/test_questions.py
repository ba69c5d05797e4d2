"""The ways of asking: what is shown, what comes back from a form or a server, and what the log keeps."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from memory_log import Log

from curation.conversation import Message
from curation.labeling import file
from curation.labeling.across import Across
from curation.labeling.log import Book, Given, shown_of, standing
from curation.labeling.pair import Pair
from curation.labeling.question import Item, Question, Shown
from curation.labeling.ranking import Ranking
from curation.labeling.rating import Rating
from curation.labeling.review import Review

PROMPT = (Message("system", "Be brief."), Message("user", "Why is the sky blue? 京塔 العربية"))
ANSWERS = [Message("assistant", text) for text in ("Dust.", "=SUM(A1)", "Air 😀", "It is not.", "Ask\nagain")]
ASPECTS = (("help", "one can go on with it"), ("truth", "it is so"))


def items(answers: int = 4) -> list[Item]:
    """One of each question."""
    return [
        Pair.item(PROMPT, *ANSWERS[:2]),
        Ranking.item(PROMPT, ANSWERS[:answers]),
        Item(Rating(ASPECTS), PROMPT, (ANSWERS[1],), '[{"name":"add"}]'),
        Item(Review(("wrong", "unclear")), PROMPT, (ANSWERS[1],)),
        Across.item_of((*PROMPT, ANSWERS[0]), (Message("user", "=1+1 <b>京塔</b>"), ANSWERS[1])),
    ]


@pytest.mark.parametrize("item", items(), ids=lambda item: item.question.name)
def test_a_record_comes_back_from_the_log_whole(item: Item) -> None:
    shown = item.shown(3, "guidelines")
    again = shown_of(json.loads(json.dumps(shown.line())))
    assert again == shown and again.item.id == item.id
    assert shown.code[0] == item.question.letter and len(shown.code) == 16


def test_every_question_names_its_records_by_a_letter_of_its_own() -> None:
    assert len({item.question.letter for item in items()}) == len(items())
    assert len({item.id for item in items()}) == len(items())


def test_a_ranking_is_the_same_item_in_whichever_order_its_answers_come() -> None:
    ids = {Ranking.item(PROMPT, order).id for order in itertools.permutations(ANSWERS[:3])}
    assert len(ids) == 1 and ids != {Ranking.item(PROMPT, ANSWERS[:4]).id}


def test_each_answer_of_a_ranking_stands_first_equally_often_and_for_each_person_in_turn() -> None:
    many = [Ranking.item(PROMPT, [Message("assistant", f"{x}{n}") for x in "abcd"]) for n in range(1000)]
    first = Counter(item.shown(1, "").order[0] for item in many)
    assert all(209 < first[place] < 291 for place in range(4))  # 3 standard deviations of 1 in 4 are 41
    assert {item.shown(n, "").order[0] for n in range(4) for item in many[:1]} == {0, 1, 2, 3}


def cells(question: Question, **said: str) -> dict[str, str]:
    return {**dict.fromkeys(question.filled, ""), **said}


def test_ranks_on_the_screen_become_ranks_of_the_answers() -> None:
    shown = Ranking.item(PROMPT, ANSWERS[:4]).shown(1, "")
    place = {letter: shown.order[n] for n, letter in enumerate("abcd")}
    ranks = shown.question.parse(shown, cells(shown.question, verdict=" C > a=D >b "))
    assert isinstance(ranks, tuple)
    assert (ranks[place["c"]], ranks[place["a"]], ranks[place["d"]], ranks[place["b"]]) == (1, 2, 2, 3)
    # Argilla gives the list in any order, and people leave places free; only the ranks count.
    values = [("answer_b", 4), ("answer_d", 3), ("answer_c", 1), ("answer_a", 3)]
    given = {"ranking": [{"value": value, "rank": rank} for value, rank in values]}
    assert shown.question.read(shown, given) == ranks
    assert shown.question.read(shown, {"ranking": given["ranking"][:3]}) is None
    said = {one["value"]: one["rank"] for one in shown.question.suggestion(shown, ranks)["ranking"]}
    assert said == {"answer_a": 2, "answer_b": 3, "answer_c": 1, "answer_d": 2}


@pytest.mark.parametrize("said", ["a > b", "a > b > c > d > e", "a > a > b > c", "best", "a > b > c >"])
def test_what_is_no_ranking_is_refused_with_an_example(said: str) -> None:
    shown = Ranking.item(PROMPT, ANSWERS[:4]).shown(1, "")
    with pytest.raises(Exception, match="is no ranking; write all letters, the best first, like `b > a = c > d`"):
        shown.question.parse(shown, cells(shown.question, verdict=said))


def test_points_are_read_from_forms_and_servers() -> None:
    shown = items()[2].shown(1, "")
    ask = shown.question
    assert ask.parse(shown, cells(ask, help="4", truth="5.0")) == {"help": 4, "truth": 5}
    assert ask.parse(shown, cells(ask, help="Skip")) == "skip"
    assert ask.parse(shown, cells(ask)) is None
    assert ask.read(shown, {"help": 1, "truth": 3, "note": "x"}) == {"help": 1, "truth": 3}
    assert ask.read(shown, {"help": 1}) is None
    for wrong, what in (({"help": "6", "truth": "1"}, "'6' are no points for `help`"), ({"help": "4"}, "for `truth`")):
        with pytest.raises(Exception, match=what):
            ask.parse(shown, cells(ask, **wrong))


def test_what_an_aspect_means_is_part_of_the_question_and_not_of_the_item() -> None:
    one, other = (Item(Rating((("help", what),)), PROMPT, (ANSWERS[0],)) for what in ("a", "b"))
    assert one.id == other.id and one.shown(1, "g").guidelines != other.shown(1, "g").guidelines


def test_a_review_accepts_drops_for_a_reason_or_puts_right() -> None:
    shown = items()[3].shown(1, "")
    ask = shown.question
    assert ask.parse(shown, cells(ask, verdict="Accept")) == {"action": "accept"}
    assert ask.parse(shown, cells(ask, verdict="drop", reason="Bad language!")) == {
        "action": "drop",
        "reason": "bad_language",
    }
    assert ask.parse(shown, cells(ask, verdict="drop")) == {"action": "drop", "reason": "no_reason"}
    # The cell that a form shows begins with a quote, so that no spreadsheet computes it; a copy has it too.
    assert ask.parse(shown, cells(ask, verdict="edit", edited="'=SUM(A1) is 2")) == {
        "action": "edit",
        "text": "=SUM(A1) is 2",
    }
    assert ask.read(shown, {"action": "accept", "edited": "=SUM(A1)\n"}) == {"action": "accept"}
    assert ask.read(shown, {"action": "edit", "edited": "=SUM(A1)"}) == {"action": "accept"}
    assert ask.read(shown, {"action": "accept", "edited": "Better."}) == {"action": "edit", "text": "Better."}
    assert ask.prefilled(shown) == {"edited": "=SUM(A1)"}
    for wrong in ({"verdict": "edit"}, {"verdict": "maybe"}, {"edited": "words"}):
        with pytest.raises(Exception, match="edit"):
            ask.parse(shown, cells(ask, **wrong))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        return list(csv.DictReader(f))


def save(path: Path, rows: list[dict[str, Any]], delimiter: str = ",", encoding: str = "utf-8") -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


FILLED: list[tuple[int, dict[str, str], Any]] = [
    (0, {"verdict": "tie"}, "tie"),
    (1, {"verdict": "a=b=c=d"}, (1, 1, 1, 1)),
    (2, {"help": "1", "truth": "5"}, {"help": 1, "truth": 5}),
    (4, {"verdict": "Tie"}, "tie"),
    (3, {"verdict": "edit", "edited": 'He said "ü",\r\nthen; left\t😀'}, {"action": "edit"}),
]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize(("number", "said", "verdict"), FILLED)
def test_forms_of_every_question_go_round(
    tmp_path: Path, format: Any, number: int, said: dict[str, str], verdict: Any
) -> None:
    shown = items()[number].shown(1, "")
    path = file.write(tmp_path, 1, [shown], format)
    assert file.read(tmp_path, {shown.code: shown}).given == []
    if format == "csv":
        (row,) = table(path)
        assert [c for c in row.values() if c[:1] in ("=", "+", "-", "@")] == []
        save(path, [row | said], ";", "utf-16")
    else:
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | said), encoding="utf-8")
    reading = file.read(tmp_path, {shown.code: shown})
    (given,) = reading.given
    assert reading.problems == []
    if number == 3:
        assert isinstance(given.verdict, dict) and given.verdict["text"].split() == said["edited"].split()
    else:
        assert given.verdict == verdict


def test_forms_of_several_questions_lie_in_one_folder_and_each_lost_column_is_named(tmp_path: Path) -> None:
    shown = [item.shown(1, "") for item in items()]
    paths = [file.write(tmp_path, 1, [one]) for one in shown]
    assert len(set(paths)) == len(items())
    (row,) = table(paths[2])
    save(paths[2], [{k: v for k, v in row.items() if k != "truth"}])
    reading = file.read(tmp_path, {s.code: s for s in shown})
    assert len(reading.problems) == 1 and "there is no column `truth`" in reading.problems[0]
    assert reading.where.keys() == {s.code for s in shown} - {shown[2].code}


@pytest.mark.parametrize(
    ("number", "verdicts"),
    [
        (1, [(1, 2, 3, 4), (4, 3, 2, 1), (1, 1, 1, 1)]),
        (2, [{"help": 1, "truth": 2}, {"help": 5, "truth": 5}, {"help": 1, "truth": 3}]),
        (3, [{"action": "accept"}, {"action": "edit", "text": "x"}, {"action": "drop", "reason": "wrong"}]),
    ],
)
def test_the_log_keeps_every_word_once_and_the_last_one_stands(number: int, verdicts: list[Any]) -> None:
    shown: Shown = items()[number].shown(0, "g")
    log = Log()
    for verdict in (*verdicts, verdicts[-1], verdicts[0]):
        Book(log).take([Given(shown, "ann", verdict, form="f")])
    name = shown.question.name
    assert len(log.read(name)) == 4
    assert standing(log.read(name), shown.guidelines) == {shown.item.id: {"ann": verdicts[0]}}
    assert Book(log).standing(shown.question, "g") == {shown.item.id: {"ann": verdicts[0]}}
    assert Book(log).standing(shown.question, "other") == {}


OLD = """\
{"guidelines": "g", "item": "ITEM", "left": "second", "prompt": [{"content": "Why?", "role": "user"}], \
"question": "preference_items", "record": "p0123456789abcde", "first": {"content": "x", "role": "assistant"}, \
"second": {"content": "y", "role": "assistant"}}
{"annotator": "ann", "form": "annotator1.csv", "guidelines": "g", "item": "ITEM", "left": "second", "note": "", \
"question": "preference", "record": "p0123456789abcde", "turn": 0, "verdict": "first"}"""


def test_lines_of_pairs_from_before_there_were_other_questions_are_read() -> None:
    item = Pair.item((Message("user", "Why?"),), Message("assistant", "x"), Message("assistant", "y"))
    log = Log()
    log.append([json.loads(line.replace("ITEM", item.id)) for line in OLD.split("\n")])
    book = Book(log)
    assert book.known["p0123456789abcde"].answers == (Message("assistant", "y"), Message("assistant", "x"))
    assert book.standing(Pair(), "g") == {item.id: {"ann": "first"}}
    shown = book.known["p0123456789abcde"]
    assert book.take([Given(shown, "ann", "first", form="annotator1.csv")]) == 0


def test_an_answer_that_followed_a_suggestion_is_marked() -> None:
    shown, log = items()[2].shown(0, ""), Log()
    Book(log).take([Given(shown, "ann", {"help": 1, "truth": 1}, form="f", suggested=True)])
    Book(log).take([Given(shown, "bo", {"help": 1, "truth": 1}, form="g")])
    assert [line.get("suggested") for line in log.read("rating")] == [True, None]
