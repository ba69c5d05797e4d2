"""The steps of a recipe as a drawn graph, from top to bottom.

The usual three steps (Sugiyama, Tagawa and Toda, 1981): each node gets a layer below all that it depends on; nodes of a
layer are ordered by the mean place of their neighbours, a few times up and down, to have few crossings; then places are
given. An edge over several layers keeps a free lane in each. An edge that follows from others (a -> c beside a -> b ->
c) is not drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

BOX, TALL = 112, 36
"""Width and height of a node."""
GAP, RISE = 8, 28
"""Between nodes of a layer, and between layers."""
LANE = 8
"""Width of an edge that passes through a layer."""
LARGER = 1.2
"""How much larger than these numbers it is drawn where there is room."""
FITS = 380
"""A graph up to this width is made to fit a phone; a wider one is scrolled, so that its text stays readable."""
_SWEEPS = 8

Edge = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """A step, with what its box says."""

    name: str
    note: str
    """Second line: type and time."""
    state: str
    sign: str


@dataclass(frozen=True)
class Placed:
    """Where everything lies."""

    places: Mapping[str, tuple[float, float]]
    """Name -> middle of the node's box."""
    paths: Sequence[Sequence[tuple[float, float]]]
    """For each edge, the points that it goes through."""
    width: float
    height: float


def layers(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Node -> layer: 0 at the top, each node below all that it needs, what needs nothing just above its first user.

    Names that are no node are ignored. A cycle cannot occur in a recipe; here it would only cost a layer.
    """
    level: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name not in level:
            before = [n for n in needs[name] if n in needs and n not in above]
            level[name] = 1 + max((depth(n, above | {name}) for n in before), default=-1)
        return level[name]

    for name in needs:
        depth(name, frozenset())
    for name in needs:
        users = [level[n] for n in needs if name in needs[n]]
        if users and not any(n in needs for n in needs[name]):
            level[name] = max(min(users) - 1, 0)
    return level


def drawn_edges(needs: Mapping[str, Sequence[str]]) -> list[Edge]:
    """The edges (from, to) that do not follow from longer ways."""

    def reach(name: str, seen: set[str]) -> set[str]:
        for before in needs.get(name, ()):
            if before in needs and before not in seen:
                seen.add(before)
                reach(before, seen)
        return seen

    found = []
    for name, before in needs.items():
        known = [n for n in dict.fromkeys(before) if n in needs]
        behind = {n: reach(n, set()) for n in known}
        found += [(n, name) for n in known if not any(n in behind[other] for other in known if other != n)]
    return found


def layout(needs: Mapping[str, Sequence[str]]) -> Placed:
    """Places for all nodes and edges."""
    level, edges = layers(needs), drawn_edges(needs)
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in needs:
        rows[level[name]].append(name)
    chains = []
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    for start, end in edges:
        lanes = [f"{start}\0{end}\0{i}" for i in range(level[start] + 1, level[end])]
        for i, lane in enumerate(lanes, level[start] + 1):
            rows[i].append(lane)
        chain = [start, *lanes, end]
        chains.append(chain)
        for a, b in itertools.pairwise(chain):
            down.setdefault(a, []).append(b)
            up.setdefault(b, []).append(a)
    _untangle(rows, up, down)
    places, width = _places(rows, needs, up, down)
    paths = [[places[n] for n in chain] for chain in chains]
    height = len(rows) * (TALL + RISE) - RISE if rows else 0
    return Placed({n: places[n] for n in needs}, paths, width, height)


def _untangle(rows: list[list[str]], up: Mapping[str, list[str]], down: Mapping[str, list[str]]) -> None:
    for sweep in range(_SWEEPS):
        order = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        neighbours, side = (up, -1) if sweep % 2 == 0 else (down, 1)
        for i in order:
            other = {name: place for place, name in enumerate(rows[i + side])}
            middle = (len(rows[i + side]) - 1) / 2
            rows[i].sort(key=_mean(neighbours, other, middle))


def _mean(neighbours: Mapping[str, list[str]], at: Mapping[str, float], otherwise: float) -> Callable[[str], float]:
    def mean(name: str) -> float:
        found = [at[n] for n in neighbours.get(name, ()) if n in at]
        return sum(found) / len(found) if found else otherwise

    return mean


def _places(
    rows: list[list[str]], nodes: Mapping[str, object], up: Mapping[str, list[str]], down: Mapping[str, list[str]]
) -> tuple[dict[str, tuple[float, float]], float]:
    def wide(name: str) -> float:
        return BOX if name in nodes else LANE

    x: dict[str, float] = {}
    for row in rows:
        edge = -(sum(map(wide, row)) + GAP * (len(row) - 1)) / 2
        for name in row:
            x[name] = edge + wide(name) / 2
            edge += wide(name) + GAP
    half = max((sum(map(wide, row)) + GAP * (len(row) - 1) for row in rows), default=0.0) / 2
    for sweep in range(_SWEEPS):  # towards the mean of the neighbours, as far as order and the widest row allow
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wish = {}
            for name in row:
                around = [x[n] for n in (*up.get(name, ()), *down.get(name, ()))]
                wish[name] = sum(around) / len(around) if around else x[name]
            _spread(row, wish, x, wide, half)
    left = min((x[n] - wide(n) / 2 for n in x), default=0.0)
    right = max((x[n] + wide(n) / 2 for n in x), default=0.0)
    places = {n: (x[n] - left, i * (TALL + RISE) + TALL / 2) for i, row in enumerate(rows) for n in row}
    return places, right - left


def _spread(
    row: list[str], wish: Mapping[str, float], x: dict[str, float], wide: Callable[[str], float], half: float
) -> None:
    """Puts a row's nodes as near to their wishes as their order, their gaps and the width of the picture allow.

    That is the mean of two greedy passes, pushed back inside where it sticks out.
    """
    rightward = _pass(row, wish, wide, -half)
    leftward = _pass(row[::-1], {n: -wish[n] for n in row}, wide, -half)
    middle = {n: (rightward[n] - leftward[n]) / 2 for n in row}
    inside = _pass(row[::-1], {n: -middle[n] for n in row}, wide, -half)
    x.update(_pass(row, {n: -inside[n] for n in row}, wide, -half))


def _pass(row: list[str], wish: Mapping[str, float], wide: Callable[[str], float], start: float) -> dict[str, float]:
    """Each node at its wish, or further right: clear of the one before it and of `start`."""
    at, places = start - GAP, {}
    for name in row:
        places[name] = max(wish[name], at + GAP + wide(name) / 2)
        at = places[name] + wide(name) / 2
    return places


def draw(nodes: Sequence[Node], needs: Mapping[str, Sequence[str]]) -> Markup:
    """The graph as SVG; each box leads to the step's own section."""
    placed = layout({n.name: needs.get(n.name, ()) for n in nodes})
    parts = [_arrow(path) for path in placed.paths]
    parts += [_box(node, *placed.places[node.name]) for node in nodes]
    wide, tall = placed.width + 4, placed.height + 4
    kind = "graph fits" if wide <= FITS else "graph"
    size = f'width="{wide * LARGER:.0f}" height="{tall * LARGER:.0f}" viewBox="-2 -2 {wide:.0f} {tall:.0f}"'
    title = "The steps of the recipe and what each needs"
    return Markup(f'<svg class="{kind}" {size} aria-label="{title}">' + "".join(parts) + "</svg>")


def _arrow(path: Sequence[tuple[float, float]]) -> str:
    (x, y), rest = path[0], path[1:]
    y += TALL / 2
    parts = [f"M{x:.1f},{y:.1f}"]
    for i, (to_x, to_y) in enumerate(rest):
        last = i == len(rest) - 1
        top = to_y - TALL / 2 - (4 if last else 0)
        bend = (top - y) / 2
        parts.append(f"C{x:.1f},{y + bend:.1f} {to_x:.1f},{top - bend:.1f} {to_x:.1f},{top:.1f}")
        x, y = to_x, top
        if not last:
            y = to_y + TALL / 2
            parts.append(f"L{x:.1f},{y:.1f}")
    tip = f'<path class="tip" d="M{x - 3.5:.1f},{y - 3:.1f} L{x + 3.5:.1f},{y - 3:.1f} L{x:.1f},{y + 3:.1f} Z"/>'
    return f'<path class="edge" d="{" ".join(parts)}"/>{tip}'


def _box(node: Node, x: float, y: float) -> str:
    left, top = x - BOX / 2, y - TALL / 2
    full = escape(f"{node.name}: {node.state}, {node.note}")
    name, note = escape(_short(node.name, 14)), escape(_short(node.note, 20))
    return (
        f'<a href="#step-{escape(node.name)}"><g class="node {escape(node.state)}"><title>{full}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{BOX}" height="{TALL}" rx="6"/>'
        f'<text class="sign" x="{left + 6:.1f}" y="{top + 15:.1f}">{escape(node.sign)}</text>'
        f'<text class="name" x="{left + 18:.1f}" y="{top + 15:.1f}">{name}</text>'
        f'<text class="small" x="{left + 18:.1f}" y="{top + 28:.1f}">{note}</text></g></a>'
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
