"""What a plugin author gets: ten lines are an operator, one behaviour gives the other, and settings are checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, Any, Literal

import polars as pl
import pytest
from pydantic import BaseModel, Field, ValidationError

from curation.artifact import identity
from curation.conversation import Conversation, Message
from curation.errors import RecipeError
from curation.frame import to_frame, to_rows
from curation.operator import OPERATOR_FIELD, SCORER_FIELD, Filter, Mapper, Operator, Scorer, scorer_key
from curation.operators.keep import Keep
from curation.operators.words import Words
from curation.pipeline import curate
from curation.registry import OPERATORS, builtin_names, lookup
from curation.settings import UNLESS_DEFAULT, Settings


class Shouting(Scorer):
    """How much a reply shouts; 0 is calm."""

    op: Literal["acme/shouting"] = "acme/shouting"

    def score(self, conversations: list[Conversation]) -> list[float]:
        return [c.reply.count("!") for c in conversations]


def chat(reply: str) -> Conversation:
    return Conversation(messages=(Message("user", "Well?"), Message("assistant", reply)))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> str:
    """`acme_ops:Shouting` can be imported."""
    module = ModuleType("acme_ops")
    module.Shouting = Shouting  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_ops", module)
    return "acme_ops:Shouting"


def test_a_scorer_of_ten_lines_is_a_reward_and_a_column_that_is_decided_on(installed: str) -> None:
    rows = [chat("Yes."), chat("Yes!"), chat("YES!!!")]
    assert Shouting().score(rows) == [0, 1, 3]
    operator = OPERATOR_FIELD.parse(installed)
    curated = curate(rows, [operator, Keep(condition="shouting < 2")])
    assert {r.reply: r.scores["shouting"] for r in curated.kept.rows()} == {"Yes.": 0.0, "Yes!": 1.0}
    assert curated.ledger.dropped() == {"keep(shouting < 2): high_shouting": 1}


def test_a_column_is_named_for_the_operator_where_it_looks_or_as_the_user_says() -> None:
    assert Shouting().column == "shouting"
    assert Shouting(on="chosen").column == "shouting_chosen"
    assert Words.model_validate({"as": "n", "on": "chosen"}).column == "n"


def test_every_built_in_name_is_an_operator_of_that_name() -> None:
    for name in builtin_names(OPERATORS):
        cls = lookup(OPERATORS, name)
        assert cls.model_fields["op"].default == name
        assert cls.__doc__ and not cls.__doc__.startswith(Operator.__doc__ or "-")


class RowByRow(Filter):
    op: Literal["row_by_row"] = "row_by_row"

    def reason(self, row: Conversation) -> str | None:
        return "short" if len(row.reply) < 4 else None


class WholeFrame(Filter):
    op: Literal["whole_frame"] = "whole_frame"

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        reply = pl.col("messages").list.last().struct.field("content")
        return frame.select(pl.when(reply.str.len_chars() < 4).then(pl.lit("short")).alias("r"))["r"]


class Neither(Filter):
    op: Literal["neither"] = "neither"


class Cut(Mapper):
    op: Literal["cut"] = "cut"

    def map(self, row: Conversation) -> Sequence[Conversation]:
        halves = row.reply.split("|")
        return [row] if len(halves) == 1 else [row.with_(messages=(Message("assistant", h),)) for h in halves]


class CutFrame(Mapper):
    op: Literal["cut_frame"] = "cut_frame"

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        return Cut().map_frame(frame)


def test_a_filter_by_row_and_one_by_frame_answer_both_ways() -> None:
    rows = [chat("yes"), chat("certainly")]
    for operator in (RowByRow(), WholeFrame()):
        assert [operator.reason(r) for r in rows] == ["short", None]
        assert operator.reasons(to_frame(rows, Conversation)).to_list() == ["short", None]


def test_a_mapper_by_row_and_one_by_frame_answer_both_ways() -> None:
    row = chat("a|b")
    for operator in (Cut(), CutFrame()):
        assert [r.reply for r in operator.map(row)] == ["a", "b"]
        assert operator.map_frame(to_frame([row, chat("c")], Conversation))["row"].to_list() == [0, 0, 1]
        assert operator.map(chat("c")) == [chat("c")]
    assert {r.parent for r in CutFrame().map(row)} == {row.id}


def test_a_scorer_by_frame_scores_rows() -> None:
    assert Words().score([chat("one two"), chat("")]) == [2.0, 0.0]
    assert Words().score([]) == []


def test_an_operator_that_gives_neither_behaviour_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Neither needs reason\(\) or reasons\(\)"):
        Neither().reason(chat("x"))


def test_a_scorer_key_is_its_meaning_and_not_the_name_of_its_column() -> None:
    class Later(Shouting):
        revision = 2

    key = scorer_key(Shouting())
    assert key == scorer_key(Shouting.model_validate({"as": "x", "on": "chosen"}))
    assert key != scorer_key(Words())
    assert key != scorer_key(Later())


class Holder(BaseModel):
    operators: list[Annotated[Operator, OPERATOR_FIELD]]


class Judge(BaseModel):
    by: Annotated[Scorer, SCORER_FIELD]


def test_operators_are_written_as_names_or_as_single_key_maps() -> None:
    held = Holder.model_validate(
        {"operators": ["words", {"turns": {"max": 4}}, {"keep": "words > 1"}, {"words": None}]}
    )
    assert [o.op for o in held.operators] == ["words", "turns", "keep", "words"]
    assert held.model_dump()["operators"][:3] == [
        {"words": {}},
        {"turns": {"max": 4}},
        {"keep": {"condition": "words > 1"}},
    ]
    assert Holder.model_validate(held.model_dump()) == held
    assert Judge.model_validate({"by": Shouting()}).by == Shouting()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("wrods", "did you mean 'words'"),
        ({"words": {}, "turns": {}}, "one name with its settings"),
        ({"turns": {"mn": 2}}, "wrong settings"),
        (3, "is a name"),
    ],
)
def test_what_is_no_operator_is_refused(written: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Holder.model_validate({"operators": [written]})


def test_a_filter_is_no_judge() -> None:
    with pytest.raises(ValidationError, match="'turns' is no scorer"):
        Judge.model_validate({"by": "turns"})


def test_settings_are_frozen_and_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValidationError):
        Words().of = "chat"  # type: ignore[misc]
    with pytest.raises(RecipeError, match="cannot be imported"):
        lookup(OPERATORS, "no_such_module:X")


def test_rows_survive_a_mapper_that_changes_nothing() -> None:
    rows = [chat("a").with_(scores={"s": 1.0}, meta={"tree": 3}), chat("b")]
    assert to_rows(Cut().map_frame(to_frame(rows, Conversation)).drop("row")) == rows


def test_a_field_that_came_later_leaves_the_keys_of_before() -> None:
    class Before(Settings):
        rank: int = 8

    class After(Before):
        layers: Annotated[list[str], UNLESS_DEFAULT] = Field(default_factory=list)
        alpha: int = 16

    assert identity(After()) == {**identity(Before()), "alpha": 16}
    assert identity(After(layers=["q"])) == {"rank": 8, "alpha": 16, "layers": ["q"]}
