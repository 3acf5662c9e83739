"""The processes that send telemetry, and what they say about their own sending."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.storage.telemetry.store import TelemetryStore

RECENT = "now() - INTERVAL 15 MINUTE"


@dataclass(frozen=True, slots=True)
class Sender:
    """One process that sent something in the last fifteen minutes."""

    service: str
    instance: str
    newest_ns: int  # of its telemetry, by its own clock
    dropped: float  # items its SDK says it had to drop in that time


def senders(store: TelemetryStore, scope: Scope) -> list[Sender]:
    """Processes by service name; those that send spans only count as one per service."""
    sql = f"""
        SELECT service, instance, toUnixTimestamp64Nano(max(newest)) AS newest_ns, sum(dropped) AS dropped FROM (
            SELECT service, instance, max(p.time) AS newest,
                if(name = 'tocsin.sdk.dropped', max(p.value) - if(min(start) < {RECENT}, min(p.value), 0), 0) AS dropped
            FROM metric_points AS p
            WHERE p.time > {RECENT} AND name IN ('tocsin.sdk.dropped', 'tocsin.sdk.exported')
            GROUP BY service, instance, name, attributes
            UNION ALL
            SELECT service, '' AS instance, max(s.start), 0 FROM spans AS s
            WHERE s.start > {RECENT} AND sdk != 'tocsin' GROUP BY service
        ) GROUP BY service, instance ORDER BY service, instance"""
    return [Sender(*row) for row in store.read(scope, sql).rows]
