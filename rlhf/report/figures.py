"""Pictures as plain SVG text: intervals, bars, curves.

Two kinds. What lies along one axis (an interval, a bar) is drawn in percent of its width, so that it fits a phone and a
wide screen without scaling its strokes. Curves have a fixed size. Colours are classes, so that a dark page has its own.
Each picture is one image for screen readers, with a title that says what it shows. Labels are escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from rlhf.report.words import number

Point = tuple[float, float]

WIDTH, HEIGHT = 340, 190
"""Size of a chart of curves, in its own units (CSS pixels where there is room)."""
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 34
"""Margins around the plotted area."""
MOST_POINTS = 240
"""Points of a drawn curve: more than a chart of this width can show."""


@dataclass(frozen=True)
class Scale:
    """A straight line from values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies; outside the range it stays at the nearer end."""
        part = (value - self.low) / (self.high - self.low)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def percent(value: float, low: float = 0.0, high: float = 1.0) -> float:
    """Where a value lies between two others, in percent, cut at both ends."""
    return round(Scale(low, high, 0.0, 100.0)(value), 3)


def interval_track(mean: float, low: float | None, high: float | None, title: str, even: float | None = 0.5) -> Markup:
    """A mean with its interval on an axis from 0 to 1, and a mark at `even` (neither better nor worse) where it is."""
    parts = [f'<line class="axis" x1="0" x2="100%" y1="{_MID}" y2="{_MID}"/>']
    if even is not None:
        parts.append(f'<line class="even" x1="{percent(even)}%" x2="{percent(even)}%" y1="0" y2="{2 * _MID}"/>')
    if low is not None and high is not None:
        a, b = percent(low), percent(high)
        parts.append(f'<line class="interval" x1="{a}%" x2="{b}%" y1="{_MID}" y2="{_MID}"/>')
        parts += [f'<line class="end" x1="{x}%" x2="{x}%" y1="{_MID - 6}" y2="{_MID + 6}"/>' for x in (a, b)]
    parts.append(f'<circle class="mean" cx="{percent(mean)}%" cy="{_MID}" r="5"/>')
    return _image("track", title, "".join(parts), f'height="{2 * _MID}"')


_MID = 12


def bar(start: float, length: float, of: float, kind: str, title: str) -> Markup:
    """A bar from `start`, `length` long, on an axis from 0 to `of`. `kind` is its class."""
    whole = of or 1.0
    x, wide = percent(start, 0, whole), percent(length, 0, whole)
    inner = f'<rect class="bar {escape(kind)}" x="{x}%" y="2" width="{wide}%" height="12" rx="1.5"/>'
    return _image("track", title, inner, 'height="16"')


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) inside a range, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many points that keep the first, the last and the extremes of what lies between."""
    if len(points) <= most:
        return list(points)
    inner, buckets = points[1:-1], max((most - 2) // 2, 1)
    kept = [points[0]]
    for i in range(buckets):
        part = inner[i * len(inner) // buckets : (i + 1) * len(inner) // buckets]
        lowest, highest = min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])
        kept += sorted({lowest, highest})
    return [*kept, points[-1]]


def line_chart(
    curves: Mapping[str, Sequence[Point]],
    title: str,
    x_label: str = "step",
    y_range: Point | None = None,
    band: Sequence[tuple[float, float, float]] = (),
) -> Markup:
    """Curves over a common axis, with round ticks and names in a legend when there is more than one.

    Points that are no finite number are left out, and the curve is broken there. Without any point, says so.

    Args:
        band: (x, low, high) of an interval around the first curve.
    """
    pieces = {name: _pieces(points) for name, points in curves.items()}
    flat = [p for each in pieces.values() for piece in each for p in piece]
    if not flat:
        text = f'<text class="note" x="{WIDTH / 2:g}" y="{HEIGHT / 2:g}" text-anchor="middle">no values</text>'
        return _chart(title, text)
    x, y = chart_scales(flat, y_range)
    parts = [_grid(x, y, x_label)]
    if band:
        there, back = [(a, low) for a, low, _ in band], [(a, high) for a, _, high in reversed(band)]
        edge = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in [*there, *back])
        parts.append(f'<polygon class="band" points="{edge}"/>')
    for i, each in enumerate(pieces.values()):
        parts += [_curve(piece, x, y, i) for piece in each]
    if len(pieces) > 1:
        parts.append(_legend(list(pieces)))
    return _chart(title, "".join(parts))


def chart_scales(points: Sequence[Point], y_range: Point | None = None) -> tuple[Scale, Scale]:
    """The two axes of a chart that shows these points: x from first to last, y with 5% of air around the values."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x_low, x_high = min(xs), max(xs)
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    if y_range is None:
        air = (max(ys) - min(ys)) * 0.05 or abs(max(ys)) * 0.1 or 0.5
        y_range = (min(ys) - air, max(ys) + air)
    return Scale(x_low, x_high, LEFT, WIDTH - RIGHT), Scale(*y_range, HEIGHT - BOTTOM, TOP)


def _pieces(points: Sequence[Point]) -> list[list[Point]]:
    pieces: list[list[Point]] = [[]]
    for x, y in points:
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y):
            pieces[-1].append((float(x), float(y)))
        else:
            pieces.append([])
    return [thinned(piece) for piece in pieces if piece]


def _curve(piece: list[Point], x: Scale, y: Scale, index: int) -> str:
    kind = f"curve c{index % 4}"
    if len(piece) == 1:
        return f'<circle class="{kind} dot" cx="{x(piece[0][0]):.1f}" cy="{y(piece[0][1]):.1f}" r="3"/>'
    places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in piece)
    return f'<polyline class="{kind}" points="{places}"/>'


def _grid(x: Scale, y: Scale, x_label: str) -> str:
    parts = []
    for value in ticks(y.low, y.high):
        at = y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{number(value)}</text>')
    floor = HEIGHT - BOTTOM
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>')
    for value in [v for v in ticks(x.low, x.high) if v == int(v)]:
        at = x(value)
        parts.append(f'<text class="tick" x="{at:.1f}" y="{floor + 14}" text-anchor="middle">{number(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="unit" x="{middle:g}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    parts = []
    for i, name in enumerate(names):
        at = TOP + 8 + 14 * i
        parts.append(f'<line class="curve c{i % 4}" x1="{LEFT + 8}" x2="{LEFT + 24}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="{LEFT + 29}" y="{at + 3.5}">{escape(name)}</text>')
    return "".join(parts)


def _chart(title: str, inner: str) -> Markup:
    return _image("chart", title, inner, f'viewBox="0 0 {WIDTH} {HEIGHT}"')


def _image(kind: str, title: str, inner: str, size: str) -> Markup:
    head = f'<svg class="{kind}" role="img" aria-label="{escape(title)}" {size}><title>{escape(title)}</title>'
    return Markup(head + inner + "</svg>")  # every label was escaped above
