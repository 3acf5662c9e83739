"""What the monitoring itself costs an app, as its SDK measures it: time per request, what it shed, what it dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter, seconds_text
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

OVERHEAD = "tocsin_sdk_overhead_duration_seconds"
SHED = "tocsin_sdk_shed_level_ratio"
DROPPED = "tocsin_sdk_dropped_total"
JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class SdkCost:
    """The newest word of every process in the window. `overhead_seconds` is per request, all instruments together and
    the mean of the processes, None when none measured it; `by_instrument` has its parts, largest first, and `jobs`,
    which is per run of a background job and not in that sum. `shed_level` is
    the highest (0: nothing shed), `dropped` the items lost in the window."""

    processes: int
    overhead_seconds: float | None
    by_instrument: dict[str, float]
    shed_level: int
    dropped: int


def sdk_cost(store: TelemetryStore, scope: Scope, filter: Filter) -> SdkCost | None:
    """The cost to the service of the filter; None when no SDK of ours reports it, or not to this scope.

    Processes serve all tenants, so these figures belong to the platform and a chosen tenant narrows nothing.
    """
    asked = replace(filter, tenant=None, method=None, route=None)
    samples = series_samples(OVERHEAD, SHED, DROPPED)
    # A counter counts from what it had reached before the window.
    day = replace(asked, window=Window(asked.window.start_ns - 86_400 * 10**9, asked.window.end_ns))
    newest = (
        f"SELECT any(name) AS name, any(instance) AS instance, any(labels['instrument']) AS instrument, "
        f"argMax(value, p.time) AS latest, max(value) - maxIf(value, p.time < {{within:DateTime64(9)}}) AS gained "
        f"FROM ({samples}) AS p WHERE {day.conditions('p.time')} GROUP BY series "
        f"HAVING max(p.time) >= {{within:DateTime64(9)}}"
    )
    sql = (
        f"SELECT name, instrument, avg(latest), max(latest), sum(gained), uniqExact(instance) "
        f"FROM ({newest}) GROUP BY name, instrument"
    )
    rows = store.read(scope, sql, **day.parameters(), within=seconds_text(asked.window.start_ns)).rows
    if not rows:
        return None
    costs = {instrument: mean for name, instrument, mean, *_ in rows if name == OVERHEAD}
    of_requests = [mean for instrument, mean in costs.items() if instrument != JOBS]
    return SdkCost(
        processes=max(row[5] for row in rows),
        overhead_seconds=sum(of_requests) if of_requests else None,
        by_instrument=dict(sorted(costs.items(), key=lambda item: -item[1])),
        shed_level=round(max((row[3] for row in rows if row[0] == SHED), default=0)),
        dropped=round(sum(row[4] for row in rows if row[0] == DROPPED)),
    )
