"""What the monitoring itself costs an app, as its SDK measures it: time per request, what it shed, what it dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

OVERHEAD = "tocsin.sdk.overhead.duration"
SHED = "tocsin.sdk.shed.level"
DROPPED = "tocsin.sdk.dropped"


@dataclass(frozen=True, slots=True)
class SdkCost:
    """The newest word of every process in the window. `overhead_seconds` is per request, all instruments together and
    the mean of the processes, None when none measured it; `by_instrument` has its parts, largest first. `shed_level` is
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
    newest = (
        f"SELECT name, instance, attributes['instrument'] AS instrument, argMax(value, p.time) AS latest, "
        f"max(value) - if(min(p.start) < {{start:DateTime64(9)}}, min(value), 0) AS gained FROM metric_points AS p "
        f"WHERE name IN ('{OVERHEAD}', '{SHED}', '{DROPPED}') AND {asked.conditions('p.time')} "
        f"GROUP BY name, instance, attributes"
    )
    sql = (
        f"SELECT name, instrument, avg(latest), max(latest), sum(gained), uniqExact(instance) "
        f"FROM ({newest}) GROUP BY name, instrument"
    )
    rows = store.read(scope, sql, **asked.parameters()).rows
    if not rows:
        return None
    costs = {instrument: mean for name, instrument, mean, *_ in rows if name == OVERHEAD}
    return SdkCost(
        processes=max(row[5] for row in rows),
        overhead_seconds=sum(costs.values()) if costs else None,
        by_instrument=dict(sorted(costs.items(), key=lambda item: -item[1])),
        shed_level=round(max((row[3] for row in rows if row[0] == SHED), default=0)),
        dropped=round(sum(row[4] for row in rows if row[0] == DROPPED)),
    )
