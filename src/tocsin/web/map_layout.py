"""Where the nodes and edges of the service map are drawn: callers to the left of what they call.

Pure: names and calls in, coordinates in pixels out. A loop of calls is cut where it closes; its edge runs back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 190, 58
GAP_X, GAP_Y = 190, 30
MARGIN = 14
SWEEPS = 4
"""How often the order within columns is improved; crossings rarely fall further after that."""


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a node: its upper left corner."""

    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """The path of an edge as SVG path data, and where its label stands."""

    caller: str
    callee: str
    path: str
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Layout:
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: float
    height: float


def layout(names: Iterable[str], calls: Sequence[tuple[str, str]]) -> Layout:
    """Every name and every end of a call gets a box, every call an arrow."""
    everybody = list(dict.fromkeys([*names, *(name for pair in calls for name in pair)]))
    columns = _ordered(_columns(everybody, calls), calls)
    tallest = max((len(column) for column in columns), default=0)
    places = {
        name: Box(name, MARGIN + place * (WIDTH + GAP_X), _top(row, len(column), tallest))
        for place, column in enumerate(columns)
        for row, name in enumerate(column)
    }
    arrows = tuple(_arrow(places[caller], places[callee]) for caller, callee in calls)
    width = len(columns) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN if columns else 0
    return Layout(tuple(places.values()), arrows, width, tallest * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN + 14)


def _columns(names: Sequence[str], calls: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The names by their longest way from a name that nobody calls; names without calls come last of the first."""
    below = defaultdict(list)
    for caller, callee in _without_loops(names, calls):
        below[caller].append(callee)
    depth = dict.fromkeys(names, 0)
    for _ in names:  # no way is longer than there are names
        for caller, callees in below.items():
            for callee in callees:
                depth[callee] = max(depth[callee], depth[caller] + 1)
    connected = {name for pair in calls for name in pair}
    ranked = sorted(names, key=lambda name: name not in connected)
    return [[name for name in ranked if depth[name] == at] for at in range(max(depth.values(), default=-1) + 1)]


def _without_loops(names: Sequence[str], calls: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The calls less those that lead back to a name on the way to them."""
    reach: dict[str, set[str]] = {name: {name} for name in names}
    kept = []
    for caller, callee in calls:
        if caller in reach[callee]:
            continue
        kept.append((caller, callee))
        for known in reach.values():
            if caller in known:
                known |= reach[callee]
    return kept


def _ordered(columns: list[list[str]], calls: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The same columns, each sorted by the mean place of the neighbours of its names: fewer crossings."""
    neighbours = defaultdict(list)
    for caller, callee in calls:
        neighbours[caller].append(callee)
        neighbours[callee].append(caller)
    for _ in range(SWEEPS):
        place = {name: (row + 0.5) / len(column) for column in columns for row, name in enumerate(column)}

        def middle(name: str, place: dict[str, float] = place) -> float:
            around = [place[each] for each in neighbours[name]]
            return sum(around) / len(around) if around else 1.0

        columns = [sorted(column, key=middle) for column in columns]
    return columns


def _top(row: int, count: int, tallest: int) -> float:
    spare = (tallest - count) * (HEIGHT + GAP_Y) / 2
    return MARGIN + 14 + spare + row * (HEIGHT + GAP_Y)


def _arrow(start: Box, end: Box) -> Arrow:
    """A gentle S from the right side of the caller to the left side of the callee; back over the top when need be."""
    if end.x > start.x:
        x1, y1, x2, y2 = start.x + WIDTH, start.y + HEIGHT / 2, end.x, end.y + HEIGHT / 2
        bend = (x2 - x1) / 2
        path = f"M{x1:g},{y1:g} C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2 - 7:g},{y2:g}"
        # Labels of arrows out of one box must not lie on each other: each stands near its own end.
        return Arrow(start.name, end.name, path, x1 + bend * 1.06, y1 + (y2 - y1) * 0.56)
    x1, y1, x2, y2 = start.x + WIDTH / 2, start.y, end.x + WIDTH / 2, end.y
    lift = min(y1, y2) - 26
    path = f"M{x1:g},{y1:g} C{x1:g},{lift:g} {x2:g},{lift:g} {x2:g},{y2 - 7:g}"
    return Arrow(start.name, end.name, path, (x1 + x2) / 2, lift + 6)
