"""YAML 1.2 and nothing else, with a line for everything."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import RecipeError
from rlhf.recipe.document import head_comment, merged, parse, read, scalar
from rlhf.recipe.problem import Place, RecipeProblems

HERE = Place(Path("r.yaml"))


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(RecipeProblems) as caught:
        parse(text, HERE)
    return [(p.place.line, p.what) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [  # the tables of YAML 1.2.2, chapter 10.3.2, and the traps of 1.1
        ("2e-4", 2e-4),
        ("1e3", 1000.0),
        ("12e03", 12000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        (".Inf", math.inf),
        ("0o14", 12),
        ("0xC", 12),
        ("+12", 12),
        ("-19", -19),
        ("012", 12),
        ("~", None),
        ("Null", None),
        ("", None),
        ("True", True),
        ("FALSE", False),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("190:20:30", "190:20:30"),
        ("2001-12-14", "2001-12-14"),
        ("0b1010", "0b1010"),
        ("1.2.3", "1.2.3"),
        ("tRUE", "tRUE"),
    ],
)
def test_plain_scalars_mean_what_the_core_schema_says(text: str, value: Any) -> None:
    found = scalar(text)
    assert found == value and type(found) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(scalar(".nan"))


def test_quotes_make_text() -> None:
    assert parse("a: '12'\nb: \"true\"\nc: |\n  1\n", HERE).plain() == {"a": "12", "b": "true", "c": "1\n"}


def test_every_value_knows_its_line() -> None:
    tree = parse("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n", HERE)
    assert [tree.find(p).place.line for p in [("a",), ("a", "b"), ("a", "c", 1, "d"), ("a", "c", 0)]] == [1, 2, 5, 4]


def test_all_double_names_and_tags_are_reported_together() -> None:
    text = "a: 1\nb: {x: 1, x: 2}\na: 3\nc: !!python/object:os.system x\n"
    assert [line for line, _ in problems(text)] == [2, 3, 4]
    assert "first in line 1" in problems(text)[1][1]
    assert "!!python/object:os.system" in problems(text)[2][1]


def test_aliases_stand_for_their_anchor_and_may_be_merged() -> None:
    tree = parse("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [*x, {r: 4, p: 9}]}\n", HERE)
    assert tree.plain() == {
        "a": {"p": 1, "q": 2},
        "b": {"p": 1, "q": 2},
        "c": {"p": 1, "q": 3},
        "d": {"p": 1, "q": 2, "r": 4},
    }


def test_a_few_lines_that_would_be_billions_are_refused() -> None:
    """The billion laughs: nine levels of ten aliases each."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "aliases spelled out" in problems("\n".join(lines))[0][1]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: &a [*a]", 1, "inside of what it names"),
        ("a: *b", 1, "no anchor &b"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a:\n\tb: 1", 2, "\\t"),
        ("a: [1", 1, "not YAML"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a: 1\n? [x]\n: 2", 2, "a name must be text"),
        ("a: 1\nb: \x00", 2, "not YAML"),
        ("[" * 100, 1, "deeper than"),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, line: int, said: str) -> None:
    found = problems(text)
    assert found[0][0] == line and said in found[0][1]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x89PNG\r\n\x1a\n\xff", "UTF-8"), (b"a: 1\n" * 300_000, "larger than")],
)
def test_files_that_are_no_recipe(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        read(tmp_path / "x.yaml")


def test_merging_lays_maps_over_maps_and_replaces_the_rest() -> None:
    below = parse("a: {x: 1, y: [1, 2]}\nb: 1\n", HERE)
    above = parse("a: {y: [3]}\nc: 2\n", Place(Path("above.yaml")))
    both = merged(below, above)
    assert both.plain() == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 2}
    assert [both.find(p).place.file for p in [("a", "x"), ("a", "y")]] == [Path("r.yaml"), Path("above.yaml")]


def test_the_head_comment_is_the_one_that_opens_the_file() -> None:
    assert head_comment("# one\n#  two\n\n# three\na: 1 # four\n") == "one\n two"


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_no_text_does_anything_but_parse_or_complain(text: str) -> None:
    with suppress(RecipeProblems):
        parse(text, HERE).plain()


_text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=8)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=50)
@given(_values)
def test_json_is_yaml(value: Any) -> None:
    """JSON is a subset of YAML 1.2, so the standard library's writer is the other opinion."""
    assert parse(json.dumps(value, ensure_ascii=False), HERE).plain() == value
