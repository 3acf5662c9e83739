"""Examples of the catalogue's durations: the slowest request of each part of a range, with its trace."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from tocsin.model.labels import METRIC_NAME
from tocsin.model.tenant import Scope
from tocsin.query.catalog import BOUNDS, LABELS, conditions
from tocsin.query.filters import within
from tocsin.query.promql.source import Matcher
from tocsin.query.series_lists import Exemplar
from tocsin.storage.telemetry.store import TelemetryStore

BUCKETS = "http_request_duration_seconds_bucket"
PARTS, SHORTEST_PART_MS = 60, 15_000
MOST = 10_000


def exemplars(
    store: TelemetryStore, scope: Scope, matchers: Sequence[Matcher], start_ms: int, end_ms: int
) -> list[Exemplar]:
    """Oldest first: always the one that took longest, so the worst bucket of a part has its trace."""
    named = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
    if not named or not all(matcher.matches(BUCKETS) for matcher in named):
        return []
    condition, parameters = conditions(matchers, "tenant")
    labels = ", ".join(f"{sql} AS of_{name}" for name, sql in (*LABELS.items(), ("tenant", "tenant")))
    names = ", ".join(f"of_{name}" for name in (*LABELS, "tenant"))
    part_ms = max(SHORTEST_PART_MS, (end_ms - start_ms) // PARTS)
    window = within("start", "fromUnixTimestamp64Milli({start:Int64})", "fromUnixTimestamp64Milli({end:Int64} + 1)")
    sql = (
        f"SELECT {names}, toUnixTimestamp64Milli(argMax(start, duration_ns)) AS at, max(duration_ns) / 1e9, "
        f"lower(hex(argMax(trace_id, duration_ns))), lower(hex(argMax(span_id, duration_ns))) FROM "
        f"(SELECT {labels}, start, duration_ns, trace_id, span_id FROM spans WHERE kind = 2 AND route != '' "
        f"AND {window} AND {condition}) "
        f"GROUP BY {names}, intDiv(toUnixTimestamp64Milli(start), {part_ms}) ORDER BY at LIMIT {MOST}"
    )
    found = map(_exemplar, store.read(scope, sql, start=start_ms, end=end_ms, **parameters).rows)
    return [one for one in found if all(m.matches(one.labels["le"]) for m in matchers if m.name == "le")]


def _exemplar(row: list[Any]) -> Exemplar:
    *values, time_ms, seconds, trace_id, span_id = row
    labels = {name: value for name, value in zip((*LABELS, "tenant"), values, strict=True) if value}
    place = bisect_left(BOUNDS, seconds)
    labels |= {METRIC_NAME: BUCKETS, "le": f"{BOUNDS[place]:g}" if place < len(BOUNDS) else "+Inf"}
    return Exemplar(labels, int(time_ms), seconds, trace_id, span_id, {})
