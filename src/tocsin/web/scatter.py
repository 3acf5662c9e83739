"""Found traces as dots: when against how long, each a link. Drawn on the server, so it needs no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from tocsin.query.traces import TraceSummary
from tocsin.web import format

TICKS_SECONDS = (0.001, 0.01, 0.1, 1, 10, 100, 1000)
FINE_TICKS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


@dataclass(frozen=True, slots=True)
class Dot:
    """`x` and `y` are per cent from the upper left corner; the left edge is left to the scale's labels."""

    trace_id: str
    x: float
    y: float
    is_error: bool
    title: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """`lines` are (y in per cent, label) of the duration scale, `ends` the first and last time of day."""

    dots: tuple[Dot, ...]
    lines: tuple[tuple[float, str], ...]
    ends: tuple[str, str]


def scatter(found: Sequence[TraceSummary], zone: tzinfo) -> Scatter | None:
    """None below three traces, where a list says more. Durations are on a logarithmic scale."""
    if len(found) < 3:
        return None
    first, last = min(each.start_ns for each in found), max(each.start_ns for each in found)
    logs = [_log(each.duration_ns) for each in found]
    low, high = min(logs) - 0.15, max(logs) + 0.15
    dots = [
        Dot(
            each.trace_id,
            9 + 89 * (each.start_ns - first) / max(last - first, 1),
            100 * (high - at) / (high - low),
            each.is_error,
            f"{each.name}, {each.tenant or 'no tenant'}, {format.duration(each.duration_ns / 1e9)}",
        )
        for each, at in zip(found, logs, strict=True)
    ]
    dots.sort(key=lambda dot: dot.is_error)  # failures on top
    lines = tuple(
        (100 * (high - math.log10(tick)) / (high - low), format.duration(tick))
        for tick in (TICKS_SECONDS if high - low > 2 else FINE_TICKS_SECONDS)
        if low < math.log10(tick) < high
    )
    return Scatter(tuple(dots), lines, (format.time_of_day(first, zone)[:8], format.time_of_day(last, zone)[:8]))


def _log(duration_ns: int) -> float:
    return math.log10(max(duration_ns / 1e9, 1e-6))
