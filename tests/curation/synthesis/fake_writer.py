"""A writer that answers by a function, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from curation.synthesis.writers import Question, Written

Says = Callable[[Question], "str | Written"]


class FakeWriter:
    name = "fake"
    policy = "fake"

    def __init__(self, says: Says, at_once: int = 4) -> None:
        self.says, self.at_once = says, at_once
        self.asked: list[Question] = []

    def write(self, questions: Sequence[Question], what: str) -> list[Written]:
        self.asked += questions
        said = [self.says(question) for question in questions]
        return [Written(one) if isinstance(one, str) else one for one in said]

    def known(self, questions: Sequence[Question]) -> list[Written | None]:
        return [None] * len(questions)

    def close(self) -> None:
        pass


def last_words(question: Question) -> str:
    return question.messages[-1].content if question.text is None else question.text
