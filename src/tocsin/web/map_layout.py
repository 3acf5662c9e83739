"""Where the nodes and edges of the service map are drawn: callers to the left of what they call.

Pure: names and calls in, coordinates in pixels out. A loop of calls is cut where it closes; its edge runs back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 190, 58
GAP_X, GAP_Y = 240, 44
MARGIN = 14
LABEL_WIDTH, LABEL_HEIGHT = 94, 26
LABEL_PARTS = [step / 24 for step in range(4, 21)]
COURSE_STEPS = 16
MOST_WEIGHED = 60
"""Arrows up to which labels keep off other arrows and move more than once; among more no free place is left."""

OVERLAP_COST, CROSSING_COST, DRIFT_COST = 600.0, 60.0, 120.0
"""In square pixels covered: a label on a box or label at all, on another arrow, and at the very end of its own."""

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
"""A cubic Bézier: start, two handles, end."""

SWEEPS = 4
"""How often the order within columns, and the places of labels, are improved; neither changes much after that."""


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a node: its upper left corner."""

    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """The path of an edge as SVG path data, and where the middle of its label stands."""

    caller: str
    callee: str
    path: str
    label_x: float
    label_y: float


class Area(NamedTuple):
    """A rectangle by its middle."""

    x: float
    y: float
    width: float
    height: float


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
    curves = [_curve(places[caller], places[callee]) for caller, callee in calls]
    labels = _label_places(curves, places.values())
    arrows = tuple(Arrow(*pair, _path(curve), *label) for pair, curve, label in zip(calls, curves, labels, strict=True))
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


def _curve(start: Box, end: Box) -> Curve:
    """A gentle S from the right side of the caller to the left side of the callee; back over the top when need be."""
    if end.x > start.x:
        x1, y1, x2, y2 = start.x + WIDTH, start.y + HEIGHT / 2, end.x, end.y + HEIGHT / 2
        bend = (x2 - x1) / 2
        return (x1, y1), (x1 + bend, y1), (x2 - bend, y2), (x2 - 7, y2)
    x1, y1, x2, y2 = start.x + WIDTH / 2, start.y, end.x + WIDTH / 2, end.y
    lift = min(y1, y2) - 26
    return (x1, y1), (x1, lift), (x2, lift), (x2, y2 - 7)


def _path(curve: Curve) -> str:
    start, first, second, end = (f"{x:g},{y:g}" for x, y in curve)
    return f"M{start} C{first} {second} {end}"


def _at(curve: Curve, part: float) -> Point:
    """The point of the curve after `part` (0-1) of its course."""
    weights = ((1 - part) ** 3, 3 * (1 - part) ** 2 * part, 3 * (1 - part) * part**2, part**3)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, curve, strict=True)) for axis in (0, 1))
    return x, y


def _label_places(curves: Sequence[Curve], boxes: Iterable[Box]) -> list[Point]:
    """Where each curve's label stands: on the curve, clear of boxes, of other labels and of other curves if it can be.

    Each in turn takes the place that is least in the way of the others, until none moves any more.
    """
    solid = [Area(box.x + WIDTH / 2, box.y + HEIGHT / 2, WIDTH + 8, HEIGHT + 8) for box in boxes]
    courses = [[_at(curve, step / COURSE_STEPS) for step in range(COURSE_STEPS + 1)] for curve in curves]
    choices = [
        [_choice(curve, part, solid, _others(courses, own)) for part in LABEL_PARTS] for own, curve in enumerate(curves)
    ]
    places: dict[int, Area] = {}
    for _ in range(SWEEPS if len(curves) <= MOST_WEIGHED else 1):
        for own, choice in enumerate(choices):
            labels = [place for other, place in places.items() if other != own]
            places[own] = min((cost + _hidden(label, labels), label) for label, cost in choice)[1]
    return [(places[own].x, places[own].y) for own in range(len(curves))]


def _others(courses: Sequence[list[Point]], own: int) -> list[list[Point]]:
    if len(courses) > MOST_WEIGHED:
        return []
    return [course for other, course in enumerate(courses) if other != own]


def _choice(curve: Curve, part: float, solid: Sequence[Area], others: Iterable[list[Point]]) -> tuple[Area, float]:
    """A place for a label, and how much it is in the way of boxes and of other arrows there."""
    x, y = _at(curve, part)
    label = Area(x, y, LABEL_WIDTH, LABEL_HEIGHT)
    wide, high = LABEL_WIDTH / 2, LABEL_HEIGHT / 2
    crossed = sum(any(-wide < px - x < wide and -high < py - y < high for px, py in course) for course in others)
    return label, _hidden(label, solid) + crossed * CROSSING_COST + abs(part - 0.5) * DRIFT_COST


def _hidden(label: Area, areas: Iterable[Area]) -> float:
    covered = (_covered(label, area) for area in areas)
    return sum(OVERLAP_COST + each for each in covered if each)


def _covered(one: Area, other: Area) -> float:
    """How many square pixels two areas share."""
    wide = (one.width + other.width) / 2 - abs(one.x - other.x)
    high = (one.height + other.height) / 2 - abs(one.y - other.y)
    return wide * high if wide > 0 and high > 0 else 0.0
