"""Whose calls they are: each tenant's part of the time against its part of the requests, and who became a noisy
neighbour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query.calls import SUMS, Asked, Calls, calls_of, rollup, totals_step
from tocsin.query.filters import Filter
from tocsin.query.rollups import Split, totals_rollup, watched_seconds
from tocsin.storage.telemetry.store import TelemetryStore

# A neighbour is noisy when it takes this part of the time, this multiple of its part of the requests or of what it
# took before.
NOISY_SHARE = 0.3
NOISY_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class TenantShare:
    """A tenant's part, 0-1, of the time of the calls and of the requests. `before` is its part of the time in the
    window of the same length before, None when nobody called then. `has_requests`: anybody's, in the same window."""

    tenant: str
    calls: Calls
    share: float
    request_share: float
    before: float | None
    has_requests: bool = True

    @property
    def is_noisy(self) -> bool:
        """Work of nobody never is; a tenant without any request may be, through its jobs."""
        if not self.tenant or self.share < NOISY_SHARE:
            return False
        jumped = self.before is not None and self.share >= NOISY_FACTOR * max(self.before, 0.01)
        return jumped or (self.has_requests and self.share >= NOISY_FACTOR * self.request_share)


def tenant_shares(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked | None = None, limit: int = 20
) -> list[TenantShare]:
    """Tenants by the time their calls take together. Shares are those of everybody, whatever tenant is chosen."""
    asked, everybody = asked or Asked(), replace(filter, tenant=None)
    rows = _by_tenant(store, scope, everybody, asked)
    seconds = watched_seconds(store, filter)
    total = sum(calls.total_seconds for calls in (calls_of(row, seconds) for row in rows)) or 1.0
    requests = _requests(store, scope, everybody)
    answered = sum(requests.values()) or 1
    before = replace(everybody, window=filter.window.before())
    # Without the buckets, which are most of the work.
    seconds_before = "sum(r.calls) AS calls, sum(r.seconds) AS seconds"
    earlier = {row["tenant"]: row["seconds"] for row in _by_tenant(store, scope, before, asked, seconds_before)}
    spent = sum(earlier.values())
    return [
        TenantShare(
            tenant=row["tenant"],
            calls=calls_of(row, seconds),
            share=row["seconds"] / total,
            request_share=requests.get(row["tenant"], 0) / answered,
            before=earlier.get(row["tenant"], 0.0) / spent if spent else None,
            has_requests=bool(requests),
        )
        for row in rows[:limit]
    ]


def _by_tenant(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked, sums: str = SUMS
) -> list[dict[str, Any]]:
    table = rollup(scope, filter, asked, totals_step(filter), operations=False, tenants=True)
    sql = (
        f"SELECT tenant, {sums} FROM {table} WHERE {asked.conditions(filter)} GROUP BY tenant HAVING calls > 0 "
        "ORDER BY seconds DESC"
    )
    return store.read(scope, sql, **asked.parameters(filter)).dicts()


def _requests(store: TelemetryStore, scope: Scope, filter: Filter) -> dict[str, int]:
    plain = replace(filter, method=None, route=None)
    sql = (
        f"SELECT tenant, sum(r.requests) FROM {totals_rollup(scope, plain, Split.TENANT)} "
        f"WHERE {plain.conditions()} GROUP BY tenant"
    )
    return dict(store.read(scope, sql, **plain.parameters()).rows)
