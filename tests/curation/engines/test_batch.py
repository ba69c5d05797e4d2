"""One operator on one batch: every row is accounted for, and an operator that breaks a rule is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl
import pytest

from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from curation.engines.batch import Batch, joined, through
from curation.errors import UserError
from curation.frame import row_type, to_frame, to_rows, with_ids
from curation.ledger import Entry
from curation.operator import Filter, Mapper, Operator, Scorer
from curation.operators.length import Length
from curation.operators.normalize import Normalize


def chat(reply: str, **shared: Any) -> Conversation:
    return Conversation(messages=(Message("user", "q"), Message("assistant", reply)), **shared)


def after(rows: list[Any], *operators: Operator) -> tuple[list[Any], list[Entry], Batch]:
    batch = through(Batch(to_frame(rows, type(rows[0]))), operators)
    assert [entry.problem() for entry in batch.entries] == [None] * len(operators)
    assert batch.frame["id"].equals(with_ids(batch.frame)["id"])
    return to_rows(batch.frame), batch.entries, batch


class Halves(Mapper):
    """Splits an answer at each bar; removes the mark # of one that has none."""

    op: Literal["halves"] = "halves"

    def map(self, row: Conversation) -> Sequence[Conversation]:
        parts = row.reply.split("|")
        return [chat(p, scores=row.scores) for p in parts] if len(parts) > 1 else [chat(row.reply.strip("#"))]


class Words(Scorer):
    op: Literal["some_words"] = "some_words"
    wrong: Any = None

    def score(self, conversations: list[Conversation]) -> list[float]:
        return self.wrong if self.wrong is not None else [float(len(c.reply.split())) for c in conversations]


class Says(Filter):
    op: Literal["says"] = "says"
    word: str | None = None

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        return pl.Series([self.word] * len(frame), dtype=pl.String)


def test_children_name_their_parent_and_the_parent_gives_way() -> None:
    top = chat("a|b|c", scores={"s": 2.0})
    rows, entries, _ = after([top, chat("#d"), chat("e")], Halves())
    assert [(r.reply, r.parent) for r in rows] == [
        ("a", top.id),
        ("b", top.id),
        ("c", top.id),
        ("d", None),
        ("e", None),
    ]
    assert rows[0].scores == {"s": 2.0}
    entry = entries[0].model_copy(update={"seconds": 0})
    assert entry == Entry(operator="halves", made=3, children=3, kept=5, replaced=1, edited=1)


def test_a_child_that_is_already_there_confuses_no_count() -> None:
    top = chat("a|b")
    child = chat("#a", parent=top.id)  # its parent splits in the same batch, while it is edited itself
    _, entries, _ = after([top, child, top], Halves())
    assert (entries[0].children, entries[0].replaced, entries[0].edited) == (4, 2, 1)


class Loses(Mapper):
    op: Literal["loses"] = "loses"

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.head(1)


class Doubles(Mapper):
    op: Literal["doubles"] = "doubles"

    def map(self, row: Any) -> Sequence[Any]:
        return [row, row][: 0 if row.reply == "gone" else 2]


class AddsTurn(Mapper):
    op: Literal["adds_turn"] = "adds_turn"

    def map(self, row: Conversation) -> Sequence[Conversation]:
        return [row.with_(messages=(*row.messages, Message("user", "more")))]


class AddsColumn(Mapper):
    op: Literal["adds_column"] = "adds_column"

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.lit(1).alias("loose"))


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        (Loses(), "loses made 1 rows of 2 and lost some"),
        (Doubles(), "lost some on the way"),
        (AddsColumn(), r"rows of another shape \['loose'\]"),
        (Words(wrong=[1.0]), "gave 1 scores for 2 chats"),
        (Words(wrong=[1.0, float("nan")]), "scored the chat .* nan"),
        (Words(wrong=[1.0, None]), "scored the chat .* None"),
        (Says(word="Too Long"), "gave the reason 'Too Long'"),
    ],
)
def test_an_operator_that_breaks_a_rule_is_named(operator: Operator, said: str) -> None:
    with pytest.raises(UserError, match=said):
        after([chat("x"), chat("gone")], operator)


def test_dropped_rows_keep_everything_and_say_who_and_why() -> None:
    row = chat("one two three", scores={"s": 1.0}, meta={"tree": 1}, split="test")
    _, entries, batch = after([row], Words(), Length(max_words=2))
    assert entries[1].dropped == {"too_many_words": 1}
    lost = batch.dropped[0]
    assert lost.select("dropped_by", "reason").row(0) == ("length", "too_many_words")
    assert to_rows(lost) == [row.with_(scores={"s": 1.0, "some_words": 3.0})]


def pair(chosen: str, rejected: str) -> Preference:
    return Preference(
        prompt=(Message("user", " q "),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected),),
    )


def test_filters_and_scorers_look_where_on_says() -> None:
    rows, _, batch = after(
        [pair("one", "one two"), pair("one two", "one")],
        Words(on="chosen"),
        Words(on="rejected"),
        Length(on="chosen", max_words=1),
    )
    assert [r.scores for r in rows] == [{"some_words_chosen": 1.0, "some_words_rejected": 2.0}]
    assert batch.dropped[0]["dropped_by"].to_list() == ["length(chosen)"]


def test_a_mapper_on_an_answer_leaves_the_prompt_and_the_other_answer() -> None:
    rows, entries, _ = after([pair(" a ", " b ")], Normalize(on="chosen"))
    assert rows == [pair("a", " b ")]
    assert entries[0].edited == 1
    rows, _, _ = after([pair(" a ", " b ")], Normalize(on="prompt"))
    assert rows == [pair(" a ", " b ").with_(prompt=(Message("user", "q"),))]
    with pytest.raises(UserError, match="added or removed messages"):
        after([pair("a", "b")], AddsTurn(on="chosen"))


def candidates(*answers: str) -> Candidates:
    return Candidates(prompt=(Message("user", "q"),), answers=tuple(Answer(a, "p", False) for a in answers))


def test_a_filter_on_replies_takes_answers_and_a_row_goes_with_its_last() -> None:
    rows, entries, batch = after(
        [
            candidates("one", "one two three", "two words"),
            candidates("1 2 3", "x x x x"),
            candidates(),
            candidates("fine"),
        ],
        Length(on="reply", max_words=2),
    )
    assert rows == [candidates("one", "two words"), candidates("fine")]
    assert entries[0].dropped == {"no_answers": 1, "too_many_words": 1}
    assert entries[0].removed == {"too_many_words": 1}  # of rows that stayed
    assert entries[0].edited == 1
    assert sorted(map(str, to_rows(batch.dropped[0]))) == sorted(
        map(str, [candidates("1 2 3", "x x x x"), candidates()])
    )


def test_a_mapper_on_replies_edits_each_answer() -> None:
    rows, entries, _ = after([candidates(" a ", "b"), candidates("c"), candidates()], Normalize(on="reply"))
    assert rows == [candidates("a", "b"), candidates("c"), candidates()]
    assert entries[0].edited == 1


class HalvesOrDrops(Halves, Filter):
    """Splits and edits, and drops of what it made the parts that are empty."""

    op: Literal["halves_or_drops"] = "halves_or_drops"

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        return pl.Series(["empty_part" if not row.reply else None for row in to_rows(frame)], dtype=pl.String)


class StripsOrDrops(Normalize, Filter):
    """Normalizes texts, and drops the empty ones."""

    op: Literal["strips_or_drops"] = "strips_or_drops"

    def reason(self, row: Conversation) -> str | None:
        return None if row.reply else "empty"


def test_a_mapper_that_is_a_filter_drops_of_what_it_made_and_both_are_one_line() -> None:
    top = chat("a||c")
    rows, entries, batch = after([top, chat("#d"), chat("#"), chat("e"), chat("")], HalvesOrDrops(), Words())
    assert [(r.reply, r.parent) for r in rows] == [("a", top.id), ("c", top.id), ("d", None), ("e", None)]
    entry = entries[0].model_copy(update={"seconds": 0})
    lost = {"empty_part": 3}
    assert entry == Entry(operator="halves_or_drops", made=5, children=3, kept=4, dropped=lost, replaced=1, edited=1)
    assert [(r.reply, r.parent) for r in to_rows(batch.dropped[0])] == [("", top.id), ("", None), ("", None)]


def test_a_mapper_that_is_a_filter_drops_on_a_chat_of_a_row_too() -> None:
    rows, entries, _ = after([pair(" a ", "b"), pair("  ", "b"), pair("a", "b")], StripsOrDrops(on="chosen"))
    assert rows == [pair("a", "b"), pair("a", "b")]
    assert (entries[0].made, entries[0].kept, entries[0].dropped, entries[0].edited) == (3, 2, {"empty": 1}, 1)
    given = [candidates(" a ", "b"), candidates("c", ""), candidates("c"), candidates(" ")]
    rows, entries, _ = after(given, StripsOrDrops(on="reply"))
    assert rows == [candidates("a", "b"), candidates("c"), candidates("c")]
    entry = entries[0]
    assert (entry.made, entry.kept, entry.dropped, entry.removed, entry.edited) == (4, 3, {"empty": 1}, {"empty": 1}, 2)


def test_operators_take_batches_without_rows() -> None:
    for kind in (Conversation, Preference, Candidates):
        frame = to_frame([], kind)
        on: Any = {Conversation: None, Preference: "chosen", Candidates: "reply"}[kind]
        batch = through(Batch(frame), [Normalize(), Length(on=on, max_words=1)])
        assert row_type(batch.frame) is kind and [e.kept for e in batch.entries] == [0, 0]


def test_the_lines_of_batches_add_up() -> None:
    one = [Entry(operator="a", made=2, kept=1, dropped={"x": 1}, seconds=1.0)]
    two = [Entry(operator="a", made=4, kept=1, dropped={"x": 1, "b": 2}, removed={"r": 1}, seconds=0.5)]
    assert joined([one, two]) == [
        Entry(operator="a", made=6, kept=2, dropped={"b": 2, "x": 2}, removed={"r": 1}, seconds=1.5)
    ]
