"""Questions with known answers: mixed in, asked like all others, and never trained on; and when answers were given."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from memory_log import Log

from curation.conversation import Answer, Candidates, Message, Preference
from curation.errors import UserError
from curation.labeling import goldfile
from curation.labeling.agreement import Share
from curation.labeling.gold import is_right, mix_in, of_pairs, right
from curation.labeling.log import Book, Given
from curation.labeling.pace import Pace
from curation.labeling.ranking import Ranking
from curation.labeling.rating import Rating
from curation.labeling.review import Review
from curation.labeling.tasks import Compared
from curation.labeling.timing import paces_of
from curation.labeling.votes import pseudonyms, votes_of


def asked(count: int = 20) -> Compared:
    rows = [
        Candidates(prompt=(Message("user", f"question {n}"),), answers=(Answer(f"yes {n}"), Answer(f"no {n}")))
        for n in range(count)
    ]
    return Compared.about(rows)


def gold(name: str, verdict: str = "chosen") -> Preference:
    return Preference(
        prompt=(Message("user", f"gold {name}"),),
        chosen=(Message("assistant", f"right {name}"),),
        rejected=(Message("assistant", f"wrong {name}"),),
        verdict=verdict,
        decided_by="data set",
    )


GOLD = [gold(str(n)) for n in range(8)]


@pytest.mark.parametrize(("size", "wanted"), [(0.1, 2), (0.2, 4), (3, 3), (0.001, 1), (100, 8)])
def test_so_many_are_mixed_in(size: float, wanted: int) -> None:
    """A share of twenty questions, or a number; never more than there are."""
    question = asked()
    known = mix_in(question, of_pairs(GOLD), size)
    assert len(known) == wanted and len(question.items) == 20 + wanted


def test_more_gold_keeps_what_there_was_and_the_order_of_the_file_means_nothing() -> None:
    few, many = mix_in(asked(), of_pairs(GOLD), 3), mix_in(asked(), of_pairs(GOLD[::-1]), 5)
    assert few.keys() < many.keys() and all(many[key] == few[key] for key in few)


def test_what_is_known_is_which_answer_was_chosen() -> None:
    question = asked()
    for key, ranks in mix_in(question, of_pairs([*GOLD, gold("even", "tie")]), 9).items():
        texts = [m.content for m in question.items[key].answers]
        assert ranks == ((1, 1) if "even" in texts[0] else tuple(1 if t.startswith("right") else 2 for t in texts))


def test_no_preference_comes_of_gold() -> None:
    question = asked(2)
    known = mix_in(question, of_pairs(GOLD), 3)
    said = {key: {"ann": "first", "bob": "second", "cy": "first"} for key in question.items}
    made, lost = question.preferences(said)
    assert len(made) == 2 and lost == [] and not any("gold" in p.prompt[0].content for p in made)
    assert len(known) == 3


def test_accuracy_is_counted_by_person_and_skips_are_no_answers() -> None:
    question = asked(2)
    known = mix_in(question, of_pairs(GOLD), 4)
    wrong = {(1, 2): "second", (2, 1): "first"}
    words = {(1, 2): "first", (2, 1): "second"}
    said = {key: {"ann": words[ranks], "bob": wrong[ranks], "cy": "skip"} for key, ranks in known.items()}
    first = next(iter(known))
    said[first]["ann"] = "tie"
    assert right(said, known) == {"ann": Share(3, 4), "bob": Share(0, 4)}


def test_what_is_asked_anyhow_is_no_gold_and_without_any_it_is_an_error() -> None:
    question = asked(1)
    same = Preference(
        prompt=(Message("user", "question 0"),),
        chosen=(Message("assistant", "yes 0"),),
        rejected=(Message("assistant", "no 0"),),
        verdict="chosen",
        decided_by="data set",
    )
    with pytest.raises(UserError, match="none of the gold questions"):
        mix_in(question, of_pairs([same]), 1)
    assert len(question.items) == 1


def test_times_in_the_log_are_those_of_the_first_answer() -> None:
    """Two texts of 61 words new in each record; ann takes 30 s each, bob 3 s, and cy fills in a form."""
    rows = [
        Candidates(
            prompt=(Message("user", f"q{n}"),), answers=(Answer(f"a{n} " + "w " * 59), Answer(f"b{n} " + "v " * 59))
        )
        for n in range(6)
    ]
    question, log = Compared.about(rows), Log()
    book = Book(log)
    for n, item in enumerate(question.items.values()):
        shown = item.shown(0, "")
        book.show([shown])
        book.take([Given(shown, "ann", "first", form="s:ann", at=f"2026-03-01T10:0{n // 2}:{n % 2 * 30:02}.25")])
        book.take([Given(shown, "bob", "first", form="s:bob", at=f"2026-03-01T10:00:{n * 3:02}Z")])
        book.take([Given(shown, "cy", "first", form="annotator1.csv")])
    late = next(iter(question.items.values())).shown(0, "")
    book.take([Given(late, "ann", "tie", form="s:ann", at="2026-03-01T10:59:00")])  # a change of mind
    assert paces_of(Book(log), question.items) == {"ann": Pace(5, 0, 30), "bob": Pace(5, 5, 3)}


def test_a_person_keeps_the_pseudonym_and_it_is_not_the_name() -> None:
    log = Log()
    assert pseudonyms(log, ["zoe", "ann"]) == {"ann": "annotator1", "zoe": "annotator2"}
    assert pseudonyms(log, ["bob", "zoe"]) == {"ann": "annotator1", "zoe": "annotator2", "bob": "annotator3"}
    forms = Log()
    assert pseudonyms(forms, ["annotator2"]) == {"annotator2": "annotator2"}
    assert pseudonyms(forms, ["zoe", "annotator1"]) == {
        "annotator2": "annotator2",
        "annotator1": "annotator1",
        "zoe": "annotator3",
    }
    question = asked(1)
    made, _ = question.preferences(
        {key: {"zoe": "first", "bob": "skip"} for key in question.items}, None, pseudonyms(log, [])
    )
    assert made[0].meta["votes"] == {"annotator2": "chosen", "annotator3": "skip"}
    assert votes_of(made[0]) == {"annotator2": "chosen"}
    assert votes_of(made[0].with_(meta={"votes": {"chosen": 2}})) == {}, "counts alone say nothing of people"


def decided(prompt: str, better: str, worse: str, verdict: str = "chosen") -> Preference:
    sides = ((Message("assistant", text),) for text in (better, worse))
    return Preference(prompt=(Message("user", prompt),), chosen=next(sides), rejected=next(sides), verdict=verdict)


def ranked(count: int) -> Compared:
    rows = [Candidates(prompt=(Message("user", f"q{n}"),), answers=tuple(map(Answer, "abcd"[:count]))) for n in "12"]
    return Compared.about(rows)


WHOLE = [decided("known", *two) for two in ("ab", "ac", "bc")]


def test_where_people_rank_gold_is_rankings_and_no_pair_stands_out_among_them() -> None:
    question = ranked(3)
    circle = [decided("circle", *two) for two in ("ab", "bc", "ca")]
    part = [decided("part", *two) for two in ("ab", "bc")]
    ((key, ranks),) = mix_in(question, of_pairs([*WHOLE, *circle, *part]), 5).items()
    item = question.items[key]
    assert item.question == question.questions[0] and len(question.questions) == 1
    assert isinstance(ranks, tuple)
    assert dict(zip((m.content for m in item.answers), ranks, strict=True)) == {"a": 1, "b": 2, "c": 3}


def test_gold_of_another_shape_says_which_was_seen_and_which_fits() -> None:
    with pytest.raises(UserError) as error:
        mix_in(ranked(4), of_pairs(WHOLE), 5)
    assert error.value.hint == (
        "people are asked about rankings of 4 answers; the gold holds pairs of answers and rankings of 3 answers"
    )


@pytest.mark.parametrize(
    ("verdict", "known", "found"),
    [
        ((1, 2, 3), (1, 2, 3), True),
        ((1, 2, 2), (1, 2, 3), False),
        ((2, 1, 3), (1, 1, 2), True),  # the first two share a rank, and may come in any order
        ((1, 3, 2), (1, 1, 2), False),
        ("skip", (1, 2, 3), None),
        ("tie", (1, 1), True),
        ("first", (1, 1), False),
        ({"help": 4, "truth": 2}, {"help": frozenset({4, 5})}, True),
        ({"help": 4, "truth": 2}, {"help": frozenset({4}), "truth": frozenset({1})}, False),
        ({"action": "drop", "reason": "wrong"}, frozenset({"drop"}), True),
        ({"action": "accept"}, frozenset({"drop"}), False),
        ("skip", frozenset({"drop"}), None),
    ],
)
def test_what_is_right(verdict: object, known: object, found: bool | None) -> None:
    assert is_right(verdict, known) is found  # type: ignore[arg-type]


def test_a_bare_file_holds_gold_of_every_question() -> None:
    chat = '"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'
    pair = '{"prompt": "p", "chosen": "x", "rejected": "y"}\n\n{"prompt": "p2", "chosen": "x", "rejected": "y", '
    pairs = goldfile.read(f'\ufeff{pair}"verdict": "tie"}}\n', "f.jsonl", "compare")
    assert [known for _, known in pairs][1] == (1, 1) and len(pairs) == 2
    line = '{"prompt": "p", "answers": ["x", "y", "z"], "ranks": [3, 1, 1]}'
    ((item, ranks),) = goldfile.read(line, "f.jsonl", "compare")
    assert isinstance(ranks, tuple) and isinstance(item.question, Ranking)
    assert dict(zip((m.content for m in item.answers), ranks, strict=True)) == {"x": 2, "y": 1, "z": 1}
    rating, review = Rating((("help", ""), ("truth", ""))), Review(("wrong",))
    line = f'{{{chat}, "points": {{"help": 5, "truth": [1, 2]}}}}'
    assert goldfile.read(line, "f", "rate", rating)[0][1] == {"help": {5}, "truth": {1, 2}}
    assert goldfile.read(f'{{{chat}, "verdict": ["drop", "edit"]}}', "f", "review", review)[0][1] == {"drop", "edit"}


CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
THREE = {"prompt": "p", "answers": ["x", "y", "z"]}


@pytest.mark.parametrize(
    ("asks", "record", "words"),
    [
        ("compare", "{", "line 2: '{' is no JSON object"),
        ("compare", {**CHAT, "points": {"help": 1}}, "line 2: it holds `messages`, `points`, which is no pair"),
        ("compare", THREE, "`ranks` must hold a number for each of the 3 answers"),
        ("compare", {**THREE, "ranks": [1, 2]}, "for each of the 3 answers"),
        ("compare", {**THREE, "ranks": [1, 1, 1]}, "whatever people say is right"),
        ("compare", {**THREE, "answers": ["x", "x", "z"], "ranks": [1, 1, 2]}, "here are 2"),
        ("rate", CHAT, "there is no `points`"),
        ("rate", {**CHAT, "points": {"hlp": 1}}, "no aspect 'hlp'; people rate help"),
        ("rate", {**CHAT, "points": {"help": 6}}, "6 are no points for 'help'"),
        ("rate", {"prompt": "p", "chosen": "x", "rejected": "y"}, "which is no chat"),
        ("review", {**CHAT, "verdict": "ok"}, "`verdict` is accept, edit, drop or a list of them, not 'ok'"),
        ("review", {"messages": CHAT["messages"][:1], "verdict": "drop"}, "does not end on an answer"),
    ],
)
def test_a_line_of_the_wrong_shape_is_named_with_what_was_seen(asks: str, record: object, words: str) -> None:
    question = {"rate": Rating((("help", ""),)), "review": Review(("wrong",))}.get(asks)
    text = "\n" + (record if isinstance(record, str) else json.dumps(record))
    with pytest.raises(UserError, match=re.escape(words)) as error:
        goldfile.read(text, "known.jsonl", asks, question)  # type: ignore[arg-type]
    assert error.value.what.startswith("known.jsonl, line 2: ") and error.value.hint
