"""What an Argilla data set that somebody else made is taken for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from curation.errors import UserError
from curation.labeling.foreign import understood


def fields(**types: str) -> list[dict[str, Any]]:
    return [{"name": name, "settings": {"type": kind}} for name, kind in types.items()]


def question(name: str, kind: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "settings": {"type": kind, "options": [{"value": v} for v in values]}}


TWO = fields(prompt="text", response_1="text", response_2="text")


@pytest.mark.parametrize(
    ("names", "options", "places"),
    [
        (("response_1", "response_2"), ("response_1", "response_2"), (0, 1)),
        (("response-1", "response-2"), ("1", "2", "tie"), (0, 1, "tie")),
        (("response_0", "response_1"), ("0", "1"), (0, 1)),  # the fields' own numbers, not the first and the second
        (("answer_a", "answer_b"), ("A", "B", "equally good"), (0, 1, "tie")),
        (("answer_b", "answer_a"), ("a", "b", "unsure"), (1, 0, "skip")),
        (("response_1", "response_2"), ("Response 2 is better", "Response 1 is better"), (1, 0)),
        (("completion_x", "completion_y"), ("left", "right", "same"), (0, 1, "tie")),
    ],
)
def test_options_are_matched_with_answers(
    names: tuple[str, str], options: tuple[str, ...], places: tuple[int | str, ...]
) -> None:
    asked = [question("preference", "label_selection", *options), question("why", "text")]
    taken = understood(fields(prompt="text", **dict.fromkeys(names, "text")), asked)
    assert (taken.kind, taken.prompt, taken.answers) == ("choice", "prompt", names)
    assert dict(taken.options) == dict(zip(options, places, strict=True))
    assert "question why: left out" in taken.told


def test_a_ranking_a_rating_and_a_chat() -> None:
    three = fields(instruction="text", completion_1="text", completion_2="text", completion_3="text", notes="text")
    taken = understood(three, [question("rank", "ranking", "completion_1", "completion_2", "completion_3")])
    assert (taken.kind, taken.asks) == ("ranking", "compare")
    assert "field notes: left out" in taken.told
    taken = understood(fields(chat="chat"), [question("How-Helpful?", "rating", 1, 2, 3, 4, 5)])
    assert (taken.kind, taken.prompt, taken.answers, dict(taken.aspects)) == (
        "rating",
        None,
        ("chat",),
        {"How-Helpful?": "how_helpful"},
    )


@pytest.mark.parametrize(
    ("has", "asks", "said"),
    [
        (TWO, [question("topic", "label_selection", "sports", "news")], "no question says which of"),
        (TWO, [question("p", "label_selection", "response_1", "tie")], "no question says which of"),
        (fields(prompt="text", answer="text"), [question("q", "rating", *range(11))], "no question rates it"),
        (fields(picture="image"), [question("q", "rating", 1, 2)], "not clear which field"),
        (fields(one="text", two="text"), [question("q", "rating", 1, 2)], "not clear which field"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_what_there_is(has: Any, asks: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        understood(has, asks)
    assert f"{has[0]['name']} ({has[0]['settings']['type']})" in caught.value.hint


def test_fields_can_be_named() -> None:
    has = fields(one="text", two="text", three="text")
    asks = [question("which", "label_selection", "two", "three")]
    assert understood(has, asks, prompt="one", answers=["two", "three"]).answers == ("two", "three")
    with pytest.raises(UserError, match="no field 'four'"):
        understood(has, asks, prompt="four", answers=["two", "three"])
    with pytest.raises(UserError, match="no question 'why'"):
        understood(has, asks, prompt="one", answers=["two", "three"], question="why")
