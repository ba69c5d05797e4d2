"""The loop in which a model plays the user: the same rows whatever goes on at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_writer import FakeWriter, last_words

from curation.errors import UserError
from curation.synthesis.magpie import Magpie, Plan
from curation.synthesis.writers import Question, Written

TURNS = ["a?", "b?", "a?", "", "mute?", "c?", "d?", "e?", "f?", "g?"]


def plays(question: Question) -> str:
    if question.text is None:
        return "" if last_words(question) == "mute?" else f"Answer to {last_words(question)}"
    return TURNS[question.sample] if question.sample < len(TURNS) else f"{question.sample}?"


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_rows_do_not_depend_on_how_much_goes_on_at_once(at_once: int) -> None:
    loop = Magpie(FakeWriter(plays, at_once), Plan(4, "user: ", ("end",)))
    made = loop.run()
    assert [row.messages[0].content for row in made.rows] == ["a?", "b?", "c?", "d?"]
    assert [(lost.row.messages[0].content, lost.reason) for lost in made.dropped] == [
        ("a?", "repeated_prompt"),
        ("mute?", "no_answer"),
    ]
    assert [(piece.question, piece.reason) for piece in made.unread] == [(3, "no_prompt")] and loop.draws == 7
    assert [row.source.index for row in made.rows] == [0, 1, 5, 6]
    assert made.ledger("magpie", "fake", loop.draws).problems() == []


class Broken(FakeWriter):
    """Fails from its fifth call on, and knows some of the answers."""

    calls = 0

    def write(self, questions: list[Question], what: str) -> list[Written]:  # type: ignore[override]
        self.calls += 1
        if self.calls > 4:
            raise UserError("the server is down")
        return super().write(questions, what)

    def known(self, questions: list[Question]) -> list[Written | None]:  # type: ignore[override]
        return [Written(plays(q)) if q.sample < 6 else None for q in questions]


def test_what_is_known_counts_when_the_server_fails() -> None:
    loop = Magpie(Broken(plays, 2), Plan(4, "user: ", ()))
    with pytest.raises(UserError, match="3 of 4 chats are there, 1 are missing: the server is down"):
        loop.run()
    assert [row.messages[0].content for row in loop.made.rows] == ["a?", "b?", "c?"]
