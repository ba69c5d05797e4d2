"""Where things are drawn: places follow from the values by a straight line."""

from __future__ import annotations

import math
import re

import pytest

from rlhf.report import figures


def test_a_scale_is_a_straight_line_cut_at_its_ends():
    scale = figures.Scale(10, 20, 100, 300)
    assert [scale(v) for v in (10, 15, 20, 0, 99)] == [100, 200, 300, 100, 300]


def test_an_upright_scale_grows_downwards():
    assert figures.Scale(0, 1, 150, 50)(0.25) == 125


def test_an_interval_lies_at_its_percent():
    svg = str(figures.interval_track(0.77, 0.7, 0.83, "win rate"))
    assert 'class="interval" x1="70.0%" x2="83.0%"' in svg
    assert 'class="mean" cx="77.0%"' in svg
    assert 'class="even" x1="50.0%" x2="50.0%"' in svg


def test_a_mean_without_bounds_is_drawn_alone():
    svg = figures.interval_track(0.3, None, None, "length alone")
    assert "interval" not in svg
    assert 'cx="30.0%"' in svg


def test_a_bar_has_the_share_of_the_whole():
    svg = figures.bar(50, 25, 200, "lost", "x")
    assert 'x="25.0%"' in svg
    assert 'width="12.5%"' in svg


def test_a_bar_of_nothing_is_no_division_by_zero():
    assert 'width="0.0%"' in figures.bar(0, 0, 0, "all", "empty")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0, 0.7, [0, 0.2, 0.4, 0.6]),
        (1.66, 2.4, [1.8, 2.0, 2.2, 2.4]),
        (0, 1000, [0, 500, 1000]),
        (-3, 3, [-2, 0, 2]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert figures.ticks(low, high) == pytest.approx(expected)


def test_a_line_goes_through_the_places_of_its_points():
    svg = str(figures.line_chart({"loss": [(0, 0.0), (5, 1.0), (10, 0.5)]}, "loss", y_range=(0.0, 1.0)))
    left, right = figures.LEFT, figures.WIDTH - figures.RIGHT
    floor, top = figures.HEIGHT - figures.BOTTOM, figures.TOP
    middle, half = (left + right) / 2, (floor + top) / 2
    found = re.search(r'points="([^"]+)"', svg)
    assert found is not None
    assert found.group(1) == f"{left:.1f},{floor:.1f} {middle:.1f},{top:.1f} {right:.1f},{half:.1f}"


def test_the_axis_gives_the_values_five_percent_of_air():
    x, y = figures.chart_scales([(1, 2.0), (9, 4.0)])
    assert (x.low, x.high) == (1, 9)
    assert (y.low, y.high) == pytest.approx((1.9, 4.1))


def test_a_value_that_is_no_number_breaks_the_line():
    svg = str(figures.line_chart({"loss": [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0), (4, math.inf), (5, 2.0)]}, "x"))
    assert svg.count("<polyline") == 1
    assert svg.count("dot") == 2
    assert "nan" not in svg


def test_no_values_and_one_value_are_drawn_too():
    assert "no values" in figures.line_chart({"loss": []}, "loss")
    assert "dot" in figures.line_chart({"loss": [(3, 1.0)]}, "loss")


def test_thinning_keeps_ends_and_extremes():
    points = [(float(i), math.sin(i / 50)) for i in range(5000)]
    points[3210] = (3210.0, 99.0)
    points[77] = (77.0, -99.0)
    thin = figures.thinned(points, 100)
    assert len(thin) <= 100
    assert thin[0] == points[0]
    assert thin[-1] == points[-1]
    assert {points[3210], points[77]} <= set(thin)
    assert thin == sorted(thin)


def test_labels_are_escaped_and_titles_say_what_is_shown():
    svg = str(figures.line_chart({"<b>": [(0, 1), (1, 2)], "b": [(0, 2), (1, 1)]}, 'a "<i>" title', x_label="<u>"))
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "<u>" not in svg
    assert 'role="img"' in svg
    assert "<title>a &#34;&lt;i&gt;&#34; title</title>" in svg
