"""Pictures of rows as plain SVG text: how a score is spread, and the map of a sample.

Both are drawn from the counts and places that lie in a manifest. A map draws all points of one colour as one path of
dots, so that a thousand points cost a few kilobytes. Colours are classes; labels are escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from rlhf.report.figures import Scale, ticks
from rlhf.report.words import count, number

WIDTH, HEIGHT = 340, 170
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 14, 22
SIDE = 1000
"""Side of a map in its own units: places are whole numbers up to it."""
_MARGIN = 24


@dataclass(frozen=True)
class Histogram:
    """A drawn score."""

    score: str
    picture: Markup
    note: str


def histogram(found: Mapping[str, Any], bounds: Sequence[float] = ()) -> Histogram:
    """How a score is spread: rows that stayed rise from the axis, rows that went hang from it, on one scale.

    Args:
        found: `score`, `low`, `high`, `log`, `kept` and `dropped` (counts a bin), `without`.
        bounds: Values that a condition compares the score with: drawn as lines.
    """
    name, log = str(found["score"]), bool(found.get("log"))
    kept, gone = ([int(n) for n in found[key]] for key in ("kept", "dropped"))
    low, high = float(found["low"]), float(found["high"])
    ends = (math.log(low), math.log(high)) if log else (low, high)
    x = Scale(*ends, LEFT, WIDTH - RIGHT)

    def at(value: float) -> float:
        return x(math.log(value) if log else value)

    up, down = max(kept, default=0), max(gone, default=0)
    unit = (HEIGHT - TOP - BOTTOM) / max(up + down, 1)
    floor = TOP + up * unit
    wide = (WIDTH - LEFT - RIGHT) / max(len(kept), 1)
    parts = []
    for kind, counts in (("kept", kept), ("lost", gone)):
        for i, n in enumerate(counts):
            if n:
                tall = max(n * unit, 1.0)
                top = floor - tall if kind == "kept" else floor
                place = f'x="{LEFT + i * wide + 0.4:.1f}" y="{top:.1f}" width="{max(wide - 0.8, 0.6):.1f}"'
                parts.append(f'<rect class="bin {kind}" {place} height="{tall:.1f}"/>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor:.1f}" y2="{floor:.1f}"/>')
    for value in _marks(low, high, log):
        parts.append(
            f'<text class="tick" x="{at(value):.1f}" y="{HEIGHT - 6}" text-anchor="{_anchor(at(value))}">'
            f"{number(value)}</text>"
        )
        parts.append(
            f'<line class="grid" x1="{at(value):.1f}" x2="{at(value):.1f}" y1="{HEIGHT - 20}" y2="{HEIGHT - 17}"/>'
        )
    for value in bounds:
        if low <= value <= high:
            parts.append(f'<line class="bound" x1="{at(value):.1f}" x2="{at(value):.1f}" y1="2" y2="{HEIGHT - 18}"/>')
    title = f"{name}: {count(sum(kept), 'row')} kept, {sum(gone):,} dropped, from {number(low)} to {number(high)}"
    notes = [f"{sum(kept):,} kept", f"{sum(gone):,} dropped with it"]
    if found.get("without"):
        notes.append(f"{int(found['without']):,} dropped before")
    return Histogram(name, _image("spread", title, "".join(parts), f"0 0 {WIDTH} {HEIGHT}"), ", ".join(notes))


def _marks(low: float, high: float, log: bool) -> list[float]:
    """Round values along the axis; on a logarithmic one powers of ten, or 1, 2 and 5 times them where there are few."""
    if not log:
        return ticks(low, high, 6)
    exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high) + 1e-9) + 1)
    for digits in ((1,), (1, 2, 5)):
        found = [d * 10.0**k for k in exponents for d in digits if low * (1 - 1e-9) <= d * 10.0**k <= high * (1 + 1e-9)]
        if len(found) > 2:
            return found[:: math.ceil(len(found) / 6)]
    return [low, high]


def _anchor(x: float) -> str:
    """Where a label is held so that it does not run off the picture."""
    return "start" if x < LEFT + 12 else "end" if x > WIDTH - RIGHT - 12 else "middle"


@dataclass(frozen=True)
class Group:
    """One colour of a map."""

    kind: str
    """Its class."""
    name: str
    points: int


@dataclass(frozen=True)
class DataMap:
    """A drawn map, coloured in two ways."""

    by_source: Markup
    by_fate: Markup
    sources: Sequence[Group]
    fates: Sequence[Group]
    landmarks: Sequence[str]
    """Starts of the texts at the numbered places, in order."""
    note: str


def data_map(found: Mapping[str, Any]) -> DataMap:
    """The map of a manifest: `points`, `sources`, `landmarks`, `by`, `of`."""
    points = [tuple(int(v) for v in point.split(",")) for point in str(found["points"]).split()]
    names = [str(name) for name in found["sources"]]
    sources = [Group(f"s{i}", name, sum(p[2] == i for p in points)) for i, name in enumerate(names)]
    fates = [Group(kind, kind, sum(p[3] == i for p in points)) for i, kind in enumerate(("kept", "dropped"))]
    marks = [(points[int(i)], str(text)) for i, text in found.get("landmarks") or ()]
    numbers = "".join(_pin(place, i) for i, (place, _) in enumerate(marks, 1))

    def drawn(title: str, groups: Sequence[Group], column: int) -> Markup:
        shown = sorted(enumerate(groups), key=lambda item: -item[1].points)  # the rarest on top
        dots = "".join(_dots([p for p in points if p[column] == i], group.kind) for i, group in shown)
        return _image("map", title, dots + numbers, f"0 0 {SIDE + 2 * _MARGIN} {SIDE + 2 * _MARGIN}")

    said = ", ".join(f"{g.name} {g.points}" for g in sources)
    return DataMap(
        drawn(f"Map of the rows by source: {said}", sources, 2),
        drawn(f"Map of the rows by what became of them: {fates[0].points} kept, {fates[1].points} dropped", fates, 3),
        sources,
        fates,
        [text for _, text in marks],
        f"{len(points):,} of {int(found.get('of', len(points))):,} rows, placed by {found.get('by', '')}",
    )


def _dots(points: Sequence[Sequence[int]], kind: str) -> str:
    """All points of a colour as one path: a line of no length with round ends is a dot."""
    path = "".join(f"M{x + _MARGIN} {SIDE - y + _MARGIN}h0" for x, y, *_ in points)
    return f'<path class="dots {escape(kind)}" d="{path}"/>' if path else ""


def _pin(place: Sequence[int], label: int) -> str:
    x, y = place[0] + _MARGIN, SIDE - place[1] + _MARGIN
    text = f'<text x="{x}" y="{y}" text-anchor="middle" dominant-baseline="central">{label}</text>'
    return f'<circle class="pin" cx="{x}" cy="{y}" r="19"/>{text}'


def _image(kind: str, title: str, inner: str, box: str) -> Markup:
    head = f'<svg class="{kind}" role="img" aria-label="{escape(title)}" viewBox="{box}"><title>{escape(title)}</title>'
    return Markup(head + inner + "</svg>")  # every label was escaped above
