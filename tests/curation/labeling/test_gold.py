"""Questions with known answers: mixed in, asked like all others, and never trained on; and when answers were given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from memory_log import Log

from curation.conversation import Answer, Candidates, Message, Preference
from curation.errors import UserError
from curation.labeling.agreement import Share
from curation.labeling.gold import mix_in, right
from curation.labeling.log import Book, Given
from curation.labeling.pace import Pace
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
    known = mix_in(question, GOLD, size)
    assert len(known) == wanted and len(question.items) == 20 + wanted


def test_more_gold_keeps_what_there_was_and_the_order_of_the_file_means_nothing() -> None:
    few, many = mix_in(asked(), GOLD, 3), mix_in(asked(), GOLD[::-1], 5)
    assert few.keys() < many.keys() and all(many[key] == few[key] for key in few)


def test_what_is_known_is_which_answer_was_chosen() -> None:
    question = asked()
    for key, ranks in mix_in(question, [*GOLD, gold("even", "tie")], 9).items():
        texts = [m.content for m in question.items[key].answers]
        assert ranks == ((1, 1) if "even" in texts[0] else tuple(1 if t.startswith("right") else 2 for t in texts))


def test_no_preference_comes_of_gold() -> None:
    question = asked(2)
    known = mix_in(question, GOLD, 3)
    said = {key: {"ann": "first", "bob": "second", "cy": "first"} for key in question.items}
    made, lost = question.preferences(said)
    assert len(made) == 2 and lost == [] and not any("gold" in p.prompt[0].content for p in made)
    assert len(known) == 3


def test_accuracy_is_counted_by_person_and_skips_are_no_answers() -> None:
    question = asked(2)
    known = mix_in(question, GOLD, 4)
    wrong = {(1, 2): "second", (2, 1): "first"}
    words = {(1, 2): "first", (2, 1): "second"}
    said = {key: {"ann": words[ranks], "bob": wrong[ranks], "cy": "skip"} for key, ranks in known.items()}
    first = next(iter(known))
    said[first]["ann"] = "tie"
    assert right(question.rankings(said), known) == {"ann": Share(3, 4), "bob": Share(0, 4)}


def test_what_is_asked_anyhow_is_no_gold_and_without_any_it_is_an_error() -> None:
    question = asked(1)
    same = Preference(
        prompt=(Message("user", "question 0"),),
        chosen=(Message("assistant", "yes 0"),),
        rejected=(Message("assistant", "no 0"),),
        verdict="chosen",
        decided_by="data set",
    )
    with pytest.raises(UserError, match="none of the gold pairs"):
        mix_in(question, [same], 1)
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
