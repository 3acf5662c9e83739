"""Requests being served right now, as the SDKs report it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter, seconds_text
from tocsin.query.red import step_times
from tocsin.storage.telemetry.store import TelemetryStore

FRESH_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ActiveRequests:
    """`now` is None when no service reports it; values[i] belongs to the step that starts at times[i]."""

    now: int | None
    times: list[int]
    values: list[float | None]
    step_seconds: int


def active_requests(store: TelemetryStore, scope: Scope, filter: Filter, points: int = 60) -> ActiveRequests:
    """The metric `http.server.active_requests`, summed over processes; per step the highest seen."""
    step = max(filter.step_seconds(points), 10)
    aligned = filter.aligned(step)
    aligned = replace(aligned, method=None, route=None)  # the metric has no such dimensions
    conditions = aligned.conditions()
    per_instance = (
        f"SELECT instance, tenant, toUnixTimestamp(toStartOfInterval(p.time, INTERVAL {step} SECOND)) AS at, "
        f"max(p.value) AS highest, argMax(p.value, p.time) AS latest, "
        f"max(p.time) > {{fresh:DateTime64(9)}} AS is_fresh "
        f"FROM metric_points AS p WHERE name = 'http.server.active_requests' AND {conditions} "
        f"GROUP BY instance, tenant, at"
    )
    sql = f"SELECT at, sum(highest), sumIf(latest, is_fresh), max(is_fresh) FROM ({per_instance}) GROUP BY at"
    fresh = seconds_text(max(0, filter.window.end_ns - FRESH_SECONDS * 10**9))
    rows = store.read(filter.narrowed(scope), sql, **aligned.parameters(), fresh=fresh).rows
    found = {at: value for at, value, _, _ in rows}
    last = max(rows, key=lambda row: row[0], default=None)
    times = step_times(aligned, step)
    now = max(0, round(last[2])) if last is not None and last[3] else None
    return ActiveRequests(now=now, times=times, values=[found.get(at) for at in times], step_seconds=step)
