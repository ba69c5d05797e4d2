"""`math_answer` and `format`: what is right and has the form that was asked for, whatever else it says."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import ValidationError

from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.operators.format import AnswerFormat
from curation.operators.math_answer import MathAnswer


def answered(text: str, **meta: Any) -> Conversation:
    return Conversation(messages=(Message("user", "How much?"), Message("assistant", text)), meta=meta)


@pytest.mark.parametrize(
    ("said", "reference", "right"),
    [
        ("She sells 9 eggs at 2 dollars each.\n#### 18", "16 - 7 = <<16-7=9>>9, 9 * 2 = 18\n#### 18", 1.0),
        ("So it is 18.", "#### 18", 1.0),
        ("So it is 18 dollars, or $18.", "18", 1.0),
        (r"The result is $\boxed{\frac{1}{2}}$.", "0.5", 1.0),
        (r"$\boxed{x^2 + 2x + 1}$", "$(x+1)^2$", 1.0),
        ("#### 1,200", "1200", 1.0),
        ("First 18, but no: #### 17", "#### 18", 0.0),
        ("I do not know.", "18", 0.0),
        ("", "18", 0.0),
        ("#### -18", "18", 0.0),
    ],
)
def test_right_is_what_equals_the_reference(said: str, reference: str, right: float) -> None:
    assert MathAnswer().score([answered(said, answer=reference)]) == [right]


def test_the_reference_may_have_another_name_and_must_be_there() -> None:
    assert MathAnswer(reference="gold").score([answered("#### 3", gold=3)]) == [1.0]
    with pytest.raises(UserError, match="no reference answer 'answer' in the `meta` of row"):
        MathAnswer().score([answered("#### 3")])
    with pytest.raises(UserError, match="finds no expression"):
        MathAnswer().score([answered("#### 3", answer="nothing")])


def test_it_works_beside_the_main_thread_too() -> None:
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.extend(MathAnswer().score([answered("#### 3", answer="3")])))
    thread.start()
    thread.join(60)
    assert found == [1.0]


@pytest.mark.parametrize(
    ("pattern", "said", "has"),
    [
        (None, "<think>two\nlines</think>\nFour.", 1.0),
        (None, "<think>never closed", 0.0),
        (None, "Well, <think>late</think> four.", 0.0),
        (r".*#### -?[0-9][0-9,.]*", "Nine times two\n#### 18", 1.0),
        (r".*#### -?[0-9][0-9,.]*", "#### 18 dollars", 0.0),
        (r"yes|no", "yes", 1.0),
        (r"yes|no", "yes and no", 0.0),
        (r"\d+", "18\n", 0.0),
    ],
)
def test_the_whole_answer_must_have_the_form(pattern: str | None, said: str, has: float) -> None:
    scorer = AnswerFormat(**({} if pattern is None else {"pattern": pattern}))
    assert scorer.score([answered(said)]) == [has]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "no regular expression"),
        (r"(?=a)a", "look-around"),
        (r"(a)\1", "look-"),
        (r"(?P<a>a)(?P=a)", "look-"),
        (r"(a)(?(1)b|c)", "look-"),
    ],
)
def test_a_pattern_that_might_never_end_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnswerFormat(pattern=pattern)
