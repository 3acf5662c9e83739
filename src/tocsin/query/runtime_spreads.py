"""How late event loops were and how long the garbage collector stopped processes, out of their cumulative histograms.

The difference of two states of a histogram is what came between them, so one row a step is read instead of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

LAG, PAUSE = "python_event_loop_lag_seconds", "python_gc_pause_seconds"


@dataclass(frozen=True, slots=True)
class Spread:
    """Buckets by their upper end in seconds, and the sum of all. Buckets of the same sender have the same ends."""

    buckets: Mapping[float, float]
    seconds: float

    def p99(self) -> float | None:
        """None when there was nothing."""
        total, seen = sum(self.buckets.values()), 0.0
        for end, count in sorted(self.buckets.items()):
            seen += count
            if total and seen >= 0.99 * total:
                return end
        return None


Spreads = dict[tuple[str, str], dict[int, Spread]]


def spreads(store: TelemetryStore, scope: Scope, filter: Filter, step_seconds: int) -> Spreads:
    """By metric and instance: what came in each step of the window, by its start in unix seconds.

    The first step of a histogram is left out, unless it is the only one: since when it counts is not known.
    """
    sql = (
        f"SELECT toString(h.series), any(h.name), any(i.instance), "
        f"toUnixTimestamp(toStartOfInterval(h.time, INTERVAL {step_seconds} SECOND)) "
        f"AS at, argMax((h.schema, h.positive_indexes, h.positive_counts, h.sum), h.time) AS state "
        f"FROM native_histograms AS h INNER JOIN (SELECT id, any(instance) AS instance FROM series "
        f"WHERE name IN {{names:Array(String)}} GROUP BY id) AS i ON h.series = i.id "
        f"WHERE h.name IN {{names:Array(String)}} AND {Filter(filter.window).conditions('h.time')} "
        f"GROUP BY h.series, at ORDER BY h.series, at"
    )
    parameters = Filter(filter.window).parameters()
    by_series: dict[tuple[str, str, str], list[tuple[int, Spread]]] = {}
    rows = store.read(scope, sql, names=[LAG, PAUSE], **parameters).rows
    for series, name, instance, at, (schema, indexes, counts, seconds) in rows:
        ends = {2.0 ** (index / 2**schema): count for index, count in zip(indexes, counts, strict=True)}
        by_series.setdefault((series, name, instance), []).append((at, Spread(ends, seconds)))
    found: Spreads = {}
    for (_, name, instance), states in by_series.items():
        own = found.setdefault((name, instance), {})
        before = states[0][1] if len(states) > 1 else Spread({}, 0.0)
        for at, state in states[1:] or states:
            gained = _since(before, state)
            own[at] = _together(own[at], gained) if at in own else gained
            before = state
    return found


def over_all(steps: Mapping[int, Spread]) -> Spread:
    """All steps as one."""
    whole = Spread({}, 0.0)
    for each in steps.values():
        whole = _together(whole, each)
    return whole


def _since(before: Spread, now: Spread) -> Spread:
    gained = {end: count - before.buckets.get(end, 0.0) for end, count in now.buckets.items()}
    return Spread({end: count for end, count in gained.items() if count > 0}, max(now.seconds - before.seconds, 0.0))


def _together(one: Spread, other: Spread) -> Spread:
    return Spread(_sum(one.buckets, other.buckets), one.seconds + other.seconds)


def _sum(one: Mapping[float, float], other: Mapping[float, float]) -> dict[float, float]:
    return {end: one.get(end, 0.0) + other.get(end, 0.0) for end in (*one, *other)}
