"""What comes of rating and reviewing chats: every row is in one place, with what people said of it."""

from __future__ import annotations

from typing import Any

import pytest

from curation.conversation import Conversation, Message
from curation.labeling.chats import Rated, Reviewed

ASPECTS = {"help": "one can go on with it", "truth": "it is so"}


def chat(prompt: str, *answer: str, **more: Any) -> Conversation:
    return Conversation(
        messages=(Message("user", prompt), *(Message("assistant", text) for text in answer)), split="train", **more
    )


ROWS = [chat("one", "1", scores={"words": 1.0}), chat("two", "2"), chat("three"), chat("one", "1"), chat("four", "4")]


def key(asked: Any, prompt: str) -> str:
    return next(item for item, number in asked.row_of.items() if asked.rows[number].messages[0].content == prompt)


def test_a_chat_gets_the_mean_of_each_aspect_and_equal_chats_are_asked_about_once() -> None:
    asked = Rated.about(ROWS, ASPECTS)
    assert len(asked.items) == 3
    said: dict[str, dict[str, Any]] = {
        key(asked, "one"): {"ann": {"help": 5, "truth": 2}, "bo": {"help": 2, "truth": 3}, "cy": "skip"},
        key(asked, "two"): {"ann": "skip"},
    }
    made, lost = asked.scored(said)
    assert [dict(row.scores) for row in made] == [
        {"words": 1.0, "help": 3.5, "truth": 2.5},
        {"help": 3.5, "truth": 2.5},
    ]
    assert [row.meta for row in made] == [{"rated_by": "people", "ratings": 2, "skips": 1}] * 2
    assert [row.id for row in made] == [ROWS[0].id, ROWS[3].id] and {row.split for row in made} == {"train"}
    assert [(row.messages[0].content, word) for row, word in lost] == [
        ("two", "skipped"),
        ("three", "no_answer"),
        ("four", "unanswered"),
    ]


def test_scores_that_rows_have_can_be_suggested_where_they_are_points() -> None:
    rows = [
        chat("one", "1", scores={"help": 4.4, "truth": 1.0}),
        chat("two", "2", scores={"help": 4.0}),
        chat("three", "3", scores={"help": 0.2, "truth": 2.0}),
    ]
    assert Rated.about(rows, ASPECTS).suggested == {}
    asked = Rated.about(rows, ASPECTS, suggestions=True)
    assert asked.suggested == {key(asked, "one"): {"help": 4, "truth": 1}}


ACCEPT = {"action": "accept"}


def edit(text: str) -> dict[str, str]:
    return {"action": "edit", "text": text}


def drop(reason: str) -> dict[str, str]:
    return {"action": "drop", "reason": reason}


@pytest.mark.parametrize(
    ("verdicts", "becomes"),
    [
        ([ACCEPT], "4"),
        ([edit("IV")], "IV"),
        ([drop("wrong")], "dropped: wrong"),
        ([drop("wrong"), ACCEPT], "4"),  # one against one: it stays
        ([drop("wrong"), drop("unclear"), drop("wrong"), ACCEPT], "dropped: wrong"),
        ([drop("wrong"), drop("unclear")], "dropped: unclear"),
        ([edit("IV"), ACCEPT], "4"),
        ([edit("IV"), edit("four"), edit("four"), ACCEPT], "four"),
        ([edit("b"), edit("a")], "a"),
        (["skip", edit("IV")], "IV"),
        (["skip"], "dropped: skipped"),
        ([], "dropped: unanswered"),
    ],
)
def test_what_several_people_make_of_a_chat(verdicts: list[Any], becomes: str) -> None:
    asked = Reviewed.about([ROWS[4]], ("wrong", "unclear"))
    (item,) = asked.items
    out = asked.outcome({item: {f"person {n}": v for n, v in enumerate(verdicts)}} if verdicts else {})
    places = [*out.accepted, *out.edited, *(row for row, _ in out.lost)]
    assert len(places) == 1
    if becomes.startswith("dropped"):
        assert [f"dropped: {word}" for _, word in out.lost] == [becomes]
        return
    (row,) = places
    assert row.reply == becomes
    assert row.parent == (ROWS[4].id if out.edited else None) and bool(out.edited) == (becomes != "4")


def test_an_edit_keeps_the_chat_and_its_tools_and_says_what_people_said() -> None:
    row = chat("q", "no", tools='[{"name":"f"}]', scores={"words": 1.0})
    asked = Reviewed.about([row], ("wrong",))
    (item,) = asked.items
    (edited,) = asked.outcome({item: {"ann": edit("yes"), "bo": "skip"}}).edited
    assert (edited.prompt, edited.tools, edited.split) == (row.prompt, row.tools, "train")
    assert edited.meta == {"reviewed_by": "people", "review": {"edit": 1, "skip": 1}}
