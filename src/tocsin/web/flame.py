"""A trace as a flame: calls of the same name at the same place laid together, as wide as the work in them.

Pure. A box is as wide as its own time and that of everything above it together, so what runs at the same time stands
side by side and nothing overlaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tocsin.query.trace_tree import children_of, self_time_ns
from tocsin.query.traces import SpanRecord, Trace
from tocsin.web.waterfall import kind_of

NARROWEST = 0.002
"""Boxes below this part of the width are not drawn: less than two pixels on a wide screen."""

MOST_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Box:
    """`x` and `width` are per cent, `row` counts from the root; `self_ratio` (0-1) is the box's own part of all work.
    `span_id` is its longest call."""

    name: str
    service: str
    kind: str
    row: int
    x: float
    width: float
    self_ns: int
    self_ratio: float
    calls: int
    span_id: str
    is_error: bool


@dataclass(slots=True)
class _Node:
    spans: list[SpanRecord] = field(default_factory=list)
    self_ns: int = 0
    work_ns: int = 0  # with that of everything above
    above: dict[str, _Node] = field(default_factory=dict)


def flame(trace: Trace) -> list[Box]:
    """The boxes, the root's row first, wide ones left."""
    top = _laid_together(trace)
    work_ns = sum(_sum_up(node) for node in top.values()) or 1
    return list(_boxes(top.values(), 0, 0.0, work_ns))


def hottest(boxes: Iterable[Box]) -> Box | None:
    """The box with most time of its own."""
    return max(boxes, key=lambda box: box.self_ns, default=None)


def _laid_together(trace: Trace) -> dict[str, _Node]:
    children = children_of(trace.spans)
    top: dict[str, _Node] = {}
    waiting = [(span, top, 0) for span in reversed(children[""])]
    while waiting:
        span, place, row = waiting.pop()
        node = place.setdefault(span.name, _Node())
        node.spans.append(span)
        node.self_ns += self_time_ns(span, children[span.span_id])
        # Beyond what can be drawn everything stands on the last row, so that its work still counts.
        above = node.above if row < MOST_DEPTH else place
        waiting.extend((child, above, min(row + 1, MOST_DEPTH)) for child in reversed(children[span.span_id]))
    return top


def _sum_up(node: _Node) -> int:
    node.work_ns = node.self_ns + sum(_sum_up(each) for each in node.above.values())
    return node.work_ns


def _boxes(nodes: Iterable[_Node], row: int, x: float, work_ns: int) -> Iterable[Box]:
    for node in sorted(nodes, key=lambda each: -each.work_ns):
        width = node.work_ns / work_ns
        if width >= NARROWEST:
            yield _box(node, row, x, width, work_ns)
            yield from _boxes(node.above.values(), row + 1, x, work_ns)
        x += width


def _box(node: _Node, row: int, x: float, width: float, work_ns: int) -> Box:
    longest = max(node.spans, key=lambda span: span.duration_ns)
    return Box(
        name=longest.name,
        service=longest.service,
        kind=kind_of(longest),
        row=row,
        x=x * 100,
        width=width * 100,
        self_ns=node.self_ns,
        self_ratio=node.self_ns / work_ns,
        calls=len(node.spans),
        span_id=longest.span_id,
        is_error=any(span.status == "error" for span in node.spans),
    )
