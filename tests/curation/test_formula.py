"""Formulas over scores: arithmetic as anybody reads it, and a place for each mistake."""

from __future__ import annotations

import polars as pl
import pytest

from curation.errors import RecipeError
from curation.formula import as_polars, names, parse

A, B = 6.0, 4.0


def value(text: str, a: float | None = A, b: float | None = B) -> float | None:
    frame = pl.DataFrame(
        {"a": [a], "b": [b], "my-score.x": [10.0]}, schema_overrides={"a": pl.Float64, "b": pl.Float64}
    )
    return frame.select(as_polars(parse(text), pl.col).alias("it"))["it"][0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a", 6),
        ("a * b", 24),
        ("a + b * 2", 14),
        ("(a + b) * 2", 20),
        ("a - b - 1", 1),
        ("a / b / 2", 0.75),
        ("-a", -6),
        ("-(a + .5) * 2e1", -130),
        ("a - -b", 10),
        ("my-score.x - a", 4),
        ("2 * - a", -12),
    ],
)
def test_it_is_arithmetic(text: str, wanted: float) -> None:
    assert value(text) == wanted


def test_what_has_no_finite_value_has_none() -> None:
    assert value("a / (b - 4)") is None and value("(b - 4) / (b - 4)") is None
    assert value("a * b", a=None) is None and value("0 * a", a=None) is None
    assert value("a", a=float("nan")) is None


def test_its_names_are_those_of_scores() -> None:
    assert names(parse("quality * (complexity - 2) + quality")) == ["quality", "complexity"]
    assert names(parse("a-b")) == ["a-b"] and names(parse("a - b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at character 1: expected a number or a name"),
        ("a +", "at character 4: expected a number or a name"),
        ("a b", "at character 3: 'b' was not expected here"),
        ("(a", "at character 3: a closing bracket is missing"),
        ("a ** 2", "at character 4: expected a number or a name, not '*'"),
        ("a > 1", "at character 3: '>' cannot be read"),
        ("__import__('os')", "cannot be read"),
        ("(" * 101 + "a" + ")" * 101, "more than 100 brackets"),
    ],
)
def test_a_mistake_is_shown_with_its_place(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse(text)
    assert said in error.value.what and "complexity * quality" in error.value.hint
