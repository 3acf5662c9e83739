"""The processes that send telemetry, and what they say about their own sending."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tocsin.model.tenant import Scope
from tocsin.query.series_samples import series_samples
from tocsin.storage.telemetry.store import TelemetryStore

RECENT = "{at:DateTime} - INTERVAL 15 MINUTE"
DROPPED, EXPORTED = "tocsin_sdk_dropped_total", "tocsin_sdk_exported_total"


@dataclass(frozen=True, slots=True)
class Sender:
    """One process that sent something in the last fifteen minutes."""

    service: str
    instance: str
    newest_ns: int  # of its telemetry, by its own clock
    dropped: float  # items its SDK says it had to drop in that time


def senders(store: TelemetryStore, scope: Scope, at_seconds: float | None = None) -> list[Sender]:
    """Processes by service name, as of a unix time (now); those that send spans only count as one per service."""
    sql = f"""
        SELECT service, instance, toUnixTimestamp64Nano(max(newest)) AS newest_ns, sum(dropped) AS dropped FROM (
            SELECT any(service) AS service, any(instance) AS instance, max(p.time) AS newest,
                if(any(name) = '{DROPPED}', max(p.value) - maxIf(p.value, p.time <= {RECENT}), 0) AS dropped
            FROM ({series_samples(DROPPED, EXPORTED)}) AS p
            WHERE p.time > {{at:DateTime}} - INTERVAL 1 DAY
            GROUP BY series HAVING newest > {RECENT}
            UNION ALL
            SELECT service, '' AS instance, max(s.start), 0 FROM spans AS s
            WHERE s.start > {RECENT} AND sdk != 'tocsin' GROUP BY service
        ) GROUP BY service, instance ORDER BY service, instance"""
    return [Sender(*row) for row in store.read(scope, sql, at=int(at_seconds or time.time())).rows]
