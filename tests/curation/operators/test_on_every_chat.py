"""`on: prompt | chosen | rejected | reply`, for every operator that takes it.

What it does there is what it does to that chat by itself, and nothing else of the row changes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mixed_rows import ROWS
from shown_operators import SHOWN, alone

from curation.conversation import Answer, Candidates, Conversation, Preference
from curation.errors import RecipeError, UserError
from curation.operator import Filter, Mapper, Operator, Scorer, Selector
from curation.pipeline import check_operators, curate

PLACES = [("preferences", on) for on in ("prompt", "chosen", "rejected")]
PLACES += [("candidates", on) for on in ("prompt", "reply")]


def operator(name: str, on: str) -> Operator:
    shown = next(o for o in SHOWN[name] if o.op == name)
    return shown.model_copy(update={"on": on})


TAKES_ON = [
    name
    for name, shown in SHOWN.items()
    if alone(shown) and not check_operators([operator(name, "prompt")], "preferences")
]
CASES = [
    (name, kind, on) for name in TAKES_ON for kind, on in PLACES if not check_operators([operator(name, on)], kind)
]


def chats(row: Any, on: str) -> list[Conversation]:
    """What `on` means of a row."""
    if on == "prompt":
        return [Conversation(messages=row.prompt, source=row.source, parent=row.id, split=row.split, meta=row.meta)]
    if on == "reply":
        return list(row.conversations())
    return [row.conversations()[on == "rejected"]]


def with_chats(row: Any, on: str, made: list[Conversation | None]) -> Any:
    """The row with other texts where `on` looks; None takes an answer out."""
    if on == "prompt":
        return row.with_(prompt=made[0].messages) if made[0] else None
    if on == "reply":
        answers = [
            Answer(chat.messages[-1].content, a.policy, a.finished, chat.messages[-1].extra)
            for a, chat in zip(row.answers, made, strict=True)
            if chat
        ]
        return row.with_(answers=tuple(answers)) if answers else None
    return row.with_(**{on: made[0].messages[len(row.prompt) :]}) if made[0] else None


def key(row: Any) -> tuple[str, int]:
    return row.source.digest, row.source.index


def test_many_take_it() -> None:
    assert {"boilerplate", "exact_dedup", "length", "normalize", "words"} <= set(TAKES_ON)
    assert not {"identical_pair", "keep"} & set(TAKES_ON)


@pytest.mark.parametrize(("name", "kind", "on"), CASES)
def test_it_does_there_what_it_does_to_that_chat(name: str, kind: str, on: str) -> None:
    there = operator(name, on)
    rows = [
        row.with_(scores={**row.scores, **dict.fromkeys(there.reads(), i % 7.0)})
        for i, row in enumerate(ROWS[kind]()[::4])
    ]
    there.prepare()
    if isinstance(there, Selector):
        selected(rows, there, on)
        return
    wanted: dict[tuple[str, int], Any] = {}
    reasons: dict[tuple[str, int], str] = {}
    for row in rows:
        given: list[Any] = chats(row, on)
        made: list[Any] = given
        if isinstance(there, Mapper):
            children = [there.map(chat) for chat in given]
            if any(
                len(c) > 1 or len(c[0].messages) != len(chat.messages) for c, chat in zip(children, given, strict=True)
            ):
                with pytest.raises(UserError, match=f"on: {on} takes edits of texts only|added or removed messages"):
                    curate(rows, [there])
                return
            edited = with_chats(row, on, [c[0] for c in children])
            made = chats(edited, on)  # the prompt of an answer stays as it is
        words = [there.reason(chat) if isinstance(there, Filter) else None for chat in made]
        wanted[key(row)] = with_chats(row, on, [None if w else chat for w, chat in zip(words, made, strict=True)])
        if wanted[key(row)] is None:
            reasons[key(row)] = next(w for w in words if w) if words else "no_answers"
        elif isinstance(there, Scorer):
            scores = {**row.scores, there.column: there.score(made)[0]}
            wanted[key(row)] = row.with_(scores=scores)
    curated = curate(rows, [there])
    assert {key(row): row for row in curated.kept.rows()} == {k: row for k, row in wanted.items() if row is not None}
    frame = curated.dropped.frame()
    lost = {key(row): reason for row, reason in zip(curated.dropped.rows(), frame["reason"], strict=True)}
    assert lost == reasons
    assert {key(row): row for row in curated.dropped.rows()}.items() <= {
        key(row): row for row in rows
    }.items() or isinstance(there, Mapper)


def selected(rows: list[Any], there: Operator, on: str) -> None:
    """Who decides over all rows decides on that chat alone, and keeps rows as they were, but for a split or label."""
    curated = curate(rows, [there])
    before = {key(row): row for row in rows}
    for row in curated.kept.rows():
        assert row.with_(split=None, scores={}) == before[key(row)].with_(split=None, scores={})
    others = []
    for i, row in enumerate(rows):  # the rest of the row says something else
        if isinstance(row, Preference):
            other = {"chosen": "rejected", "rejected": "chosen", "prompt": "chosen"}[on]
            mine = getattr(row, other)
            others.append(row.with_(**{other: tuple(m.__class__(m.role, f"{i} else") for m in mine)}))
        elif isinstance(row, Candidates):
            others.append(row.with_(answers=(Answer(f"{i} else"),)))
    assert curate(others, [there]).ledger.dropped() == curated.ledger.dropped()


@pytest.mark.parametrize("name", TAKES_ON)
def test_pairs_and_candidates_are_refused_where_nobody_says_which_chat(name: str) -> None:
    bare = operator(name, "prompt").model_copy(update={"on": None})
    for kind, hint in (("preferences", "`on: chosen`"), ("candidates", "`on: reply`")):
        if kind not in bare.rows:
            with pytest.raises(RecipeError, match="hold several") as caught:
                curate(ROWS[kind](), [bare])
            assert (hint if bare.takes_on else "take it out") in caught.value.hint
