"""Requests being served right now, as the SDKs report it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter, seconds_text
from tocsin.query.red import step_times
from tocsin.query.series_samples import series_samples
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
    source = f"FROM ({series_samples('http_server_active_requests')}) AS p WHERE {conditions}"
    per_process = (
        f"SELECT series, toUnixTimestamp(toStartOfInterval(p.time, INTERVAL {step} SECOND)) AS at, "
        f"max(p.value) AS highest {source} GROUP BY series, at"
    )
    narrowed, parameters = filter.narrowed(scope), aligned.parameters()
    found = dict(store.read(narrowed, f"SELECT at, sum(highest) FROM ({per_process}) GROUP BY at", **parameters).rows)
    latest = f"SELECT argMax(p.value, p.time) AS latest {source} AND p.time > {{fresh:DateTime64(9)}} GROUP BY series"
    fresh = seconds_text(filter.window.end_ns - FRESH_SECONDS * 10**9)
    sql = f"SELECT count(), sum(latest) FROM ({latest})"
    ((reports, value),) = store.read(narrowed, sql, **parameters, fresh=fresh).rows
    times = step_times(aligned, step)
    return ActiveRequests(
        now=max(0, round(value)) if reports else None,
        times=times,
        values=[found.get(at) for at in times],
        step_seconds=step,
    )
