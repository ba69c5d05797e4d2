"""Scores, map and samples of a step's rows on the page."""

from __future__ import annotations

import re

import made_up_run as made_up
import pytest

from rlhf.report.page import render
from rlhf.report.plots import data_map, histogram
from rlhf.report.rows import RowsView, bounds
from rlhf.report.steps import StepView

FOUND = {"score": "words", "low": 0.0, "high": 40.0, "log": False, "without": 7}


def heights(svg: str, kind: str) -> list[float]:
    return [float(h) for h in re.findall(rf'class="bin {kind}"[^>]* height="([\d.]+)"', svg)]


def test_bars_have_one_scale_above_and_below_the_line():
    drawn = histogram({**FOUND, "kept": [10, 20, 0, 40], "dropped": [20, 0, 0, 0]})
    kept, lost = heights(drawn.picture, "kept"), heights(drawn.picture, "lost")
    assert len(kept) == 3 and len(lost) == 1
    assert kept[1] == pytest.approx(lost[0], abs=0.1)
    assert kept[2] == pytest.approx(4 * kept[0], abs=0.3)
    assert drawn.note == "70 kept, 20 dropped with it, 7 dropped before"


def test_a_limit_stands_where_the_axis_has_its_value():
    drawn = histogram({**FOUND, "kept": [1, 1], "dropped": [0, 0]}, bounds=[20.0, 999.0])
    lines = re.findall(r'class="bound" x1="([\d.]+)"', drawn.picture)
    assert lines == ["170.0"]  # the middle of 340; what lies outside is not drawn


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors():
    drawn = histogram({"score": "ppl", "low": 1.0, "high": 10_000.0, "log": True, "kept": [1], "dropped": [0]})
    places = dict(re.findall(r'<text class="tick" x="([\d.]+)"[^>]*>([\d,]+)<', drawn.picture))
    by_value = {value: float(x) for x, value in places.items()}
    assert by_value["100"] - by_value["1"] == pytest.approx(by_value["10,000"] - by_value["100"], abs=0.2)


def test_a_short_logarithmic_axis_has_round_values_too_and_no_label_runs_off():
    drawn = histogram({"score": "words", "low": 12.0, "high": 810.0, "log": True, "kept": [1, 2], "dropped": [0, 0]})
    ticks = re.findall(r'<text class="tick" x="([\d.]+)"[^>]* text-anchor="(\w+)">([\d,]+)<', drawn.picture)
    assert [value for _, _, value in ticks] == ["20", "50", "100", "200", "500"]
    wide = histogram({"score": "w", "low": 1.0, "high": 1000.0, "log": True, "kept": [1], "dropped": [0]})
    anchors = re.findall(r'text-anchor="(\w+)">([\d,]+)<', wide.picture)
    assert anchors == [("start", "1"), ("middle", "10"), ("middle", "100"), ("end", "1,000")]


def test_limits_are_read_from_conditions_on_either_side():
    operators = [{"op": "keep", "condition": "words >= 16 and (2 > ifd or not words > 900)"}, {"op": "turns", "min": 2}]
    assert bounds(operators) == {"words": [16.0, 900.0], "ifd": [2.0]}
    assert bounds([{"op": "keep", "condition": "of another ( grammar"}]) == {}


def test_each_point_is_drawn_once_a_map_and_counted():
    points = "0,0,0,0 1000,1000,1,1 500,500,0,1"
    drawn = data_map({"points": points, "sources": ["a", "b"], "landmarks": [], "by": "x", "of": 9})
    for picture in (drawn.by_source, drawn.by_fate):
        assert picture.count("h0") == 3
    assert [(g.name, g.points) for g in drawn.sources] == [("a", 2), ("b", 1)]
    assert [(g.name, g.points) for g in drawn.fates] == [("kept", 1), ("dropped", 2)]
    assert drawn.note == "3 of 9 rows, placed by x"


def test_samples_say_how_many_rows_they_stand_for():
    view = RowsView(StepView("curated", {"state": "done"}, made_up.manifests()["curated"]))
    assert [(s.operator, s.reason, len(s.texts), s.rows) for s in view.samples] == [
        ("roles", "repeated_role", len(made_up.DROPPED_EXAMPLES), 4)
    ]
    assert view.bounded


def test_what_a_reason_rests_on_stands_with_the_row():
    manifests = made_up.manifests()
    sample = {"dropped by": "near_dedup", "reason": "near_duplicate", "text": "user: hi"}
    manifests["curated"]["examples"] = [{**sample, "evidence": "0.93 like <b>another</b>"}, sample]
    view = RowsView(StepView("curated", {"state": "done"}, manifests["curated"]))
    assert view.samples[0].texts == [("user: hi", "0.93 like <b>another</b>"), ("user: hi", "")]
    assert "0.93 like &lt;b&gt;another&lt;/b&gt;" in render(made_up.record(), manifests)


def test_names_on_pictures_are_text():
    page = render(made_up.record(), made_up.manifests())
    for hostile in made_up.HOSTILE[:3]:
        assert hostile not in page
    assert "&lt;script&gt;document.title = &#39;owned&#39;&lt;/script&gt;" in page


def test_a_row_of_a_megabyte_is_cut():
    page = render(made_up.record(), made_up.manifests())
    assert "996,000 more characters" in page
    assert len(page) < 250_000


def test_a_step_without_pictures_has_stairs_alone():
    manifests = made_up.manifests()
    manifests["curated"] |= {"pictures": {}, "examples": []}
    page = render(made_up.record(), manifests)
    assert "curated" in page and 'class="map"' not in page and 'class="spread"' not in page
