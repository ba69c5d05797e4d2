"""The drawn graph: layers, left-out arrows, places."""

from __future__ import annotations

import itertools
import random

import made_up_run as made_up
import pytest

from rlhf.report.graph import BOX, GAP, RISE, TALL, Node, draw, drawn_edges, layers, layout

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c", "a"]}


def test_each_step_lies_below_all_that_it_needs():
    needs = made_up.NEEDS
    level = layers(needs)
    assert all(level[name] > level[before] for name in needs for before in needs[name])


def test_what_needs_nothing_sits_just_above_its_first_user():
    assert layers({"a": [], "b": ["a"], "late": [], "c": ["b", "late"]}) == {"a": 0, "b": 1, "late": 1, "c": 2}


def test_an_arrow_that_follows_from_others_is_left_out():
    assert sorted(drawn_edges(DIAMOND)) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def test_nothing_that_is_needed_becomes_unreachable():
    """The drawn arrows have the same reach as all of them."""

    def reach(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
        found = set(edges)
        while True:
            more = {(a, d) for a, b in found for c, d in found if b == c} - found
            if not more:
                return found
            found |= more

    needs = made_up.NEEDS
    assert reach(drawn_edges(needs)) == reach([(b, n) for n in needs for b in needs[n]])


def _random_recipe(seed: int) -> dict[str, list[str]]:
    rng = random.Random(seed)
    names = [f"s{i}" for i in range(rng.randint(1, 25))]
    return {n: rng.sample(names[:i], rng.randint(0, min(i, 3))) for i, n in enumerate(names)}


@pytest.mark.parametrize("seed", range(12))
def test_boxes_never_overlap_and_stay_inside(seed):
    needs = _random_recipe(seed)
    placed = layout(needs)
    assert set(placed.places) == set(needs)
    for x, y in placed.places.values():
        assert BOX / 2 - 1e-6 <= x <= placed.width - BOX / 2 + 1e-6
        assert TALL / 2 - 1e-6 <= y <= placed.height - TALL / 2 + 1e-6
    for a, b in itertools.combinations(needs, 2):
        (ax, ay), (bx, by) = placed.places[a], placed.places[b]
        if ay == by:
            assert abs(ax - bx) >= BOX + GAP - 1e-6


def test_a_chain_is_drawn_as_a_straight_line():
    placed = layout({"a": [], "b": ["a"], "c": ["b"]})
    assert placed.places == {
        "a": (BOX / 2, TALL / 2),
        "b": (BOX / 2, TALL * 1.5 + RISE),
        "c": (BOX / 2, TALL * 2.5 + 2 * RISE),
    }


def test_arrows_start_and_end_at_their_boxes():
    placed = layout(DIAMOND)
    ends = {(path[0], path[-1]) for path in placed.paths}
    assert ends == {(placed.places[a], placed.places[b]) for a, b in drawn_edges(DIAMOND)}


def test_the_quickstart_fits_a_phone():
    svg = draw([Node(n, "x", "done", "✓") for n in made_up.NEEDS], made_up.NEEDS)
    assert 'class="graph fits"' in svg


def test_names_are_escaped_and_shortened():
    svg = str(draw([Node("<b>" + "x" * 40, "sft · 3 s", "done", "✓")], {}))
    assert "<b>" not in svg
    assert "…" in svg


def test_a_recipe_without_steps_is_an_empty_picture():
    assert "<svg" in draw([], {})
