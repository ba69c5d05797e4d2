"""Conditions mean what they mean in Python, over rows and metrics; a missing number never lets anything through."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import RecipeError, UserError
from curation.expression import All, AnyOf, Compare, Not, as_polars, explain, holds, names, parse

NAMES = ["a", "b", "c"]
OPERANDS = st.sampled_from(NAMES) | st.integers(-3, 3).map(str) | st.sampled_from(["0.5", "-1.5", "2e0"])
COMPARISONS = st.builds(
    lambda left, pairs: " ".join([left, *(f"{sign} {right}" for sign, right in pairs)]),
    OPERANDS,
    st.lists(st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), OPERANDS), min_size=1, max_size=2),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map(lambda x: f"not {x}"),
        inner.map(lambda x: f"({x})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
    ),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries({n: st.integers(-2, 2).map(float) for n in NAMES})


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, VALUES)
def test_a_condition_means_what_it_means_in_python(text: str, values: dict[str, float]) -> None:
    assert holds(text, values) == bool(eval(text, {}, dict(values)))  # the text is Python too


@settings(max_examples=60, deadline=None)
@given(CONDITIONS, st.lists(st.fixed_dictionaries({n: st.none() | st.integers(-2, 2).map(float) for n in NAMES})))
def test_over_columns_it_means_the_same_for_missing_values_too(text: str, rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(NAMES, pl.Float64))
    frame = frame.with_columns(as_polars(parse(text), pl.col).fill_null(False).alias("holds"))
    assert frame["holds"].to_list() == [holds(text, row) for row in rows]


def test_and_binds_closer_than_or_and_not_closest() -> None:
    a, b, c = (Compare(n, ">", 0.0) for n in NAMES)
    assert parse("a > 0 or b > 0 and not c > 0") == AnyOf((a, All((b, Not(c)))))
    assert parse("(a > 0 or b > 0) and c > 0") == All((AnyOf((a, b)), c))
    assert parse("0 < a < 1") == All((Compare(0.0, "<", "a"), Compare("a", "<", 1.0)))


@pytest.mark.parametrize("text", ["x > 1", "not x > 1", "x > 1 or x <= 1", "x != 1"])
def test_what_is_unknown_does_not_hold(text: str) -> None:
    assert not holds(text, {"x": None})


def test_what_is_known_decides_where_it_can() -> None:
    assert holds("x > 1 or y > 1", {"x": None, "y": 2})
    assert not holds("not (x > 1 and y > 1)", {"x": None, "y": 2})
    assert holds("not (x > 1 and y > 1)", {"x": None, "y": 0})


def test_names_may_reach_into_nested_metrics() -> None:
    metrics = {"dpo": {"win_rate": {"low": 0.61, "high": 0.8}}, "sft-2": {"loss": 1.5}}
    assert names(parse("dpo.win_rate.low > 0.5 and sft-2.loss < 2 and dpo.win_rate.low < 1")) == [
        "dpo.win_rate.low",
        "sft-2.loss",
    ]
    assert holds("dpo.win_rate.low > 0.5 and sft-2.loss < 2", metrics)
    assert explain("dpo.win_rate.low > 0.5", metrics) is None


def test_a_gate_that_does_not_hold_is_explained_with_its_numbers() -> None:
    said = explain("dpo.win_rate.low > 0.5", {"dpo": {"win_rate": {"low": 0.4375}}})
    assert said == "dpo.win_rate.low > 0.5 does not hold: dpo.win_rate.low = 0.4375"
    assert "dpo.low = unknown" in str(explain("dpo.low > 0.5", {"dpo": {"low": None}}))


def test_a_name_that_is_not_there_is_an_error_with_the_closest_one() -> None:
    with pytest.raises(UserError, match=r"no number called 'dpo.win_rate.lo'") as caught:
        holds("dpo.win_rate.lo > 0.5", {"dpo": {"win_rate": {"low": 1.0}}})
    assert "dpo.win_rate.low" in caught.value.hint
    with pytest.raises(UserError, match="no number"):
        holds("a > 1", {"a": "text"})


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", 1, "expected a number or a name"),
        ("words", 6, "expected one of"),
        ("words >", 8, "expected a number or a name"),
        ("words > 1 ifd < 2", 11, "'ifd' was not expected"),
        ("(words > 1", 11, "closing bracket"),
        ("words > 1)", 10, r"'\)' was not expected"),
        ("words ? 1", 7, "cannot be read"),
        ("words = 1", 7, "cannot be read"),
        ("exit()", 5, "expected one of"),
        ("__import__('os')", 12, "cannot be read"),
        ("1.2.3 < a", 1, "cannot be read"),
        ("and > 1", 1, "expected a number or a name"),
        ("(" * 101 + "a > 1" + ")" * 101, 1, "brackets"),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused_with_its_place(text: str, place: int, what: str) -> None:
    with pytest.raises(RecipeError, match=what) as caught:
        parse(text)
    assert f"at character {place}:" in caught.value.what
