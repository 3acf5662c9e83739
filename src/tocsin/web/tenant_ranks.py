"""A tenant's service levels and its use of the platform beside the average, each with its place among all tenants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.query.call_tenants import TenantShare, tenant_shares
from tocsin.query.calls import Asked
from tocsin.query.filters import Filter
from tocsin.query.tenants import TenantRow, tenants
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web import format
from tocsin.web.ranks import FEWEST, percentile_rank

MOST_TENANTS = 1000


@dataclass(frozen=True, slots=True)
class Rank:
    """`rank` is the part (0-1) of the other tenants that have less; more is worse for service levels. None with too
    few tenants to say. `value` and `mean` are what `own` and `average` write: 0-1 or seconds."""

    name: str
    value: float
    mean: float
    own: str
    average: str
    rank: float | None
    is_level: bool  # a service level, not a use

    @property
    def words(self) -> str:
        if self.rank is None:
            return ""
        more, less = ("worse", "better") if self.is_level else ("more", "less")
        if self.rank in (0, 1):
            most, least = ("worst", "best") if self.is_level else ("most", "least")
            return f"the {most if self.rank else least} of all"
        if 0.4 <= self.rank <= 0.6:
            return "in the middle"
        part = self.rank if self.rank > 0.5 else 1 - self.rank
        return f"{more if self.rank > 0.5 else less} than {format.share(part)} % of the tenants"


def ranks(
    rows: Sequence[TenantRow], database: Sequence[TenantShare], waits: Sequence[TenantShare], tenant: str
) -> list[Rank]:
    """Service levels first, then what it uses. database, waits: whose time in statements, and waiting for connections,
    it is. Empty for a tenant without requests."""
    requests = {row.tenant: row.red.requests for row in rows}
    if not requests.get(tenant):
        return []
    made = [
        _rank("failed requests", {row.tenant: row.red.error_ratio for row in rows}, tenant, _percent, True),
        _rank("response time p50", _known(rows, "p50_seconds"), tenant, format.duration, True),
        _rank("response time p95", _known(rows, "p95_seconds"), tenant, format.duration, True),
        _rank("share of requests", _shares({name: float(n) for name, n in requests.items()}), tenant, _percent, False),
    ]
    for name, shares in (("database time", database), ("time waiting for a connection", waits)):
        spent = {row.tenant: row.calls.total_seconds for row in shares}
        if sum(spent.values()) > 0:
            used = {each: spent.get(each, 0.0) for each in requests}
            each_request = {each: used[each] / count for each, count in requests.items() if count}
            made.append(_rank(f"share of {name}", _shares(used), tenant, _percent, False))
            made.append(_rank(f"{name} a request", each_request, tenant, format.duration, False))
    return made


def ranks_of(
    store: TelemetryStore, scope: Scope, filter: Filter, tenant: str, rows: Sequence[TenantRow] | None = None
) -> list[Rank]:
    """The same, looked up; rows: where they are known already. A tenant's own reader compares with nobody: what the
    platform does is not theirs to see."""
    everybody = replace(filter, tenant=None if scope.is_platform else tenant)
    rows = tenants(store, scope, everybody) if rows is None else rows
    if not scope.is_platform:
        return ranks(rows, [], [], tenant)
    database, waits = (tenant_shares(store, scope, everybody, Asked((kind,)), MOST_TENANTS) for kind in ("db", "pool"))
    return ranks(rows, database, waits, tenant)


def noisy_neighbour(shares: Sequence[TenantShare], tenant: str, is_hurt: bool) -> TenantShare | None:
    """Another tenant that began to take much of the time, for one that is hurt."""
    if not is_hurt:
        return None
    return next((each for each in shares if each.tenant and each.tenant != tenant and each.is_noisy), None)


def _rank(name: str, values: dict[str, float], tenant: str, write: object, is_level: bool) -> Rank:
    assert callable(write)
    own = values.get(tenant, 0.0)
    average = sum(values.values()) / len(values) if values else 0.0
    rank = percentile_rank(list(values.values()), own) if len(values) >= FEWEST else None
    return Rank(name, own, average, str(write(own)), str(write(average)), rank, is_level)


def _known(rows: Sequence[TenantRow], name: str) -> dict[str, float]:
    return {row.tenant: getattr(row.red, name) for row in rows if getattr(row.red, name) is not None}


def _shares(values: dict[str, float]) -> dict[str, float]:
    total = sum(values.values()) or 1.0
    return {name: value / total for name, value in values.items()}


def _percent(ratio: float) -> str:
    return f"{format.percent(ratio)}{format.NARROW}%"
