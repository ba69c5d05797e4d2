"""What people's answers bought: the curve of a step that asked in batches, as the page shows it."""

from __future__ import annotations

import copy
import re
from html import unescape
from pathlib import Path
from typing import Any

import made_up_run as made_up
import pytest

from rlhf.report import build

POINTS = [
    {"answers": 60, "accuracy": 0.5, "low": 0.37, "high": 0.63, "length": 0.55},
    {"answers": 80, "accuracy": 0.7, "low": 0.6, "high": 0.8, "length": 0.55},
    {"answers": 100, "accuracy": 0.72, "low": 0.61, "high": 0.81, "length": 0.55},
]


def page(tmp_path: Path, points: list[dict[str, Any]] | None) -> str:
    manifests = copy.deepcopy(made_up.manifests())
    if points is not None:
        drawn = {"strategy": "d_optimal", "stopped": "everything had been asked", "points": points}
        manifests["pairs"]["pictures"] = {"label_budget": drawn}
    return unescape(build(made_up.record(), manifests, tmp_path / "page.html").read_text(encoding="utf-8"))


def places(text: str, kind: str) -> list[tuple[float, float]]:
    (found,) = re.findall(rf'class="{kind}" points="([^"]*)"', text.partition('id="budget"')[2].partition("</svg>")[0])
    return [tuple(map(float, place.split(","))) for place in found.split()]  # type: ignore[misc]


def test_the_curve_lies_in_its_interval_and_length_beside_it(tmp_path: Path) -> None:
    text = page(tmp_path, POINTS)
    curve, length, band = places(text, "curve c0"), places(text, "curve c1"), places(text, "band")
    assert len(curve) == len(length) == 3 and len(band) == 6
    for (x, y), low, high in zip(curve, band[:3], reversed(band[3:]), strict=True):
        assert x == low[0] == high[0] and low[1] > y > high[1]  # a picture counts down from its top
    # 0.72 lies as far above 0.5 as the picture's height says: both axes are straight and go from 0 to 1.
    assert (curve[0][1] - curve[2][1]) / (length[0][1] - curve[1][1]) == pytest.approx(0.22 / 0.15, abs=0.02)
    assert len({y for _, y in length}) == 1


def test_it_says_what_the_curve_came_to_and_why_asking_ended(tmp_path: Path) -> None:
    text = page(tmp_path, POINTS)
    assert "batches chosen by d_optimal" in text
    assert "After 100 answers 0.72 [0.61, 0.81], more than length alone (55%)." in text
    assert "Asking ended because everything had been asked." in text
    assert "0.50 [0.37, 0.63], which does not tell it from length alone (55%)" in page(tmp_path, POINTS[:1])
    worse = [{**POINTS[0], "length": 0.9}]
    assert "less than length alone (90%)" in page(tmp_path, worse)


def test_without_anything_measured_it_says_so_and_without_batches_nothing(tmp_path: Path) -> None:
    assert "No held-out record has a winner" in page(tmp_path, [])
    assert "What the answers bought" not in page(tmp_path, None)
