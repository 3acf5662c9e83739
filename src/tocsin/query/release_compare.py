"""One release against another, or the time after a flag changed against the time before: endpoint by endpoint.

Rows of the rollups bear their release, so two releases that run at once, as in a rolling deployment, are told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.deployments import Deployment
from tocsin.query.filters import Filter
from tocsin.query.rollups import Split, totals_rollup
from tocsin.query.significance import (
    ALPHA,
    Lot,
    Shift,
    Verdict,
    benjamini_hochberg,
    error_p_value,
    error_verdict,
    has_enough,
    latency_verdict,
    shift_of,
)
from tocsin.query.sketch import parse_buckets
from tocsin.storage.telemetry.store import TelemetryStore

SECOND_NS = 10**9
COMPARED_SECONDS = 3600
"""Of each release, before and after the deploy."""

WARM_UP_SECONDS = 30
"""Of a new release, left out once there are five minutes of it: first requests import, connect and fill caches."""

MOST_ENDPOINTS, MOST_TENANT_ROWS = 500, 3000

Endpoint = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """Which requests: those of a release (None: of any) in a time."""

    release: str | None
    window: Window


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one endpoint, for one tenant or ('') for all together. q: p-values corrected for their number."""

    method: str
    route: str
    tenant: str
    before: Lot
    after: Lot
    shift: Shift
    latency: Verdict
    latency_q: float
    errors: Verdict
    errors_q: float

    @property
    def verdict(self) -> Verdict:
        if Verdict.WORSE in (self.latency, self.errors):
            return Verdict.WORSE
        return self.errors if self.errors is Verdict.BETTER else self.latency

    @property
    def harm(self) -> float:
        """For the order of a table: seconds lost to the median request and failures, of all requests after."""
        lost = max(0.0, (self.shift.p95_after or 0) - (self.shift.p95_before or 0))
        failed = max(0.0, self.after.error_ratio - self.before.error_ratio)
        return self.after.requests * (lost + 10 * failed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides and every endpoint that either has, what got worse first. tenants: the same per tenant."""

    before: Side
    after: Side
    endpoints: list[Change]
    tenants: list[Change]

    @property
    def verdict(self) -> Verdict:
        """Of all: worse if anything is, also for one tenant."""
        found = {change.verdict for change in (*self.endpoints, *self.tenants)}
        order = (Verdict.WORSE, Verdict.BETTER, Verdict.SAME)
        return next((verdict for verdict in order if verdict in found), Verdict.UNKNOWN)

    @property
    def worse(self) -> list[Change]:
        """What got worse, an endpoint for all tenants before the single tenants of others."""
        whole = [change for change in self.endpoints if change.verdict is Verdict.WORSE]
        named = {(change.method, change.route) for change in whole}
        single = [change for change in self.tenants if change.verdict is Verdict.WORSE]
        return [*whole, *(change for change in single if (change.method, change.route) not in named)]

    @property
    def better(self) -> list[Change]:
        return [change for change in self.endpoints if change.verdict is Verdict.BETTER]

    def tenants_worse(self, change: Change) -> list[Change]:
        """The tenants for whom this endpoint got worse, the hardest hit first."""
        found = [
            one
            for one in self.tenants
            if (one.method, one.route) == (change.method, change.route) and one.verdict is Verdict.WORSE
        ]
        return sorted(found, key=lambda one: one.shift.largest_ratio, reverse=True)

    def tenants_of(self, change: Change) -> list[Change]:
        return [one for one in self.tenants if (one.method, one.route) == (change.method, change.route)]


def sides_of(before: Deployment, after: Deployment, now_ns: int) -> tuple[Side, Side]:
    """The hour before the deploy and the hour after it, of each release its own requests.

    Where the older one goes on beside the newer one, that time counts for it as well; where it was heard of last long
    before, its own last hour does.
    """
    length = COMPARED_SECONDS * SECOND_NS
    end = min(after.at_ns + length, max(after.last_seen_ns + 10 * SECOND_NS, after.at_ns + SECOND_NS), now_ns + 1)
    start = after.at_ns
    if end - start > 300 * SECOND_NS:
        start += WARM_UP_SECONDS * SECOND_NS
    last = before.last_seen_ns + 10 * SECOND_NS
    until = min(max(last, before.at_ns + SECOND_NS), end)
    since = min(after.at_ns, until) - length
    return Side(before.release, Window(max(0, since), until)), Side(after.release, Window(start, max(end, start + 1)))


def sides_around(
    moment_ns: int, now_ns: int, seconds: int = COMPARED_SECONDS, deploys_ns: Sequence[int] = ()
) -> tuple[Side, Side]:
    """The times just before and just after, cut off at the deploys beside the moment: what those did is theirs."""
    length = seconds * SECOND_NS
    earlier = [at + WARM_UP_SECONDS * SECOND_NS for at in deploys_ns if at <= moment_ns]
    later = [at for at in deploys_ns if at > moment_ns]
    start = min(max(moment_ns - length, *earlier, 0), moment_ns - 1)
    end = max(min(moment_ns + length, now_ns, *later), moment_ns + 1)
    return Side(None, Window(start, moment_ns)), Side(None, Window(moment_ns, end))


def compare(
    store: TelemetryStore, scope: Scope, filter: Filter, before: Side, after: Side, alpha: float = ALPHA
) -> Comparison:
    """The two sides within the filter's service, environment and tenant; its window is not looked at."""
    narrowed = filter.narrowed(scope)
    found = []
    for by_tenant in (False, True):
        mine, theirs = (_lots(store, narrowed, filter, side, by_tenant=by_tenant) for side in (before, after))
        found.append(sorted(changes(mine, theirs, alpha), key=worst_first))
    return Comparison(before, after, *found)


Lots = dict[tuple[str, str, str], Lot]


def changes(before: Lots, after: Lots, alpha: float = ALPHA) -> list[Change]:
    """Every endpoint (and tenant) of either side, its p-values corrected for how many there are."""
    nothing = Lot(0, 0, {})
    keys = sorted({*before, *after})
    pairs = [(before.get(key, nothing), after.get(key, nothing)) for key in keys]
    tested = [pair for pair in pairs if has_enough(*pair)]
    shifts = {id(pair): shift_of(*pair) for pair in tested}
    latency_q = dict(zip(map(id, tested), benjamini_hochberg([shifts[id(pair)].p for pair in tested]), strict=True))
    errors_q = dict(zip(map(id, tested), benjamini_hochberg([error_p_value(*pair) for pair in tested]), strict=True))
    made = []
    for key, pair in zip(keys, pairs, strict=True):
        place = id(pair)
        if place not in shifts:
            made.append(Change(*key, *pair, shift_of(*pair), Verdict.UNKNOWN, 1.0, Verdict.UNKNOWN, 1.0))
            continue
        latency = latency_verdict(shifts[place], latency_q[place], alpha)
        errors = error_verdict(*pair, errors_q[place], alpha)
        made.append(Change(*key, *pair, shifts[place], latency, latency_q[place], errors, errors_q[place]))
    return made


def worst_first(change: Change) -> tuple[int, float]:
    """The order of a table: what got worse, by the harm it does, then what got better."""
    order = (Verdict.WORSE, Verdict.BETTER, Verdict.SAME, Verdict.UNKNOWN)
    return order.index(change.verdict), -change.harm if change.verdict is Verdict.WORSE else -change.after.requests


def _lots(store: TelemetryStore, scope: Scope, filter: Filter, side: Side, *, by_tenant: bool) -> Lots:
    asked = replace(filter, window=side.window)
    column, limit = ("tenant", MOST_TENANT_ROWS) if by_tenant else ("''", MOST_ENDPOINTS)
    parameters = asked.parameters()
    release = ""
    if side.release is not None:
        release, parameters = " AND release = {release:String}", parameters | {"release": side.release}
    named = " AND tenant != ''" if by_tenant else ""
    sql = (
        f"SELECT method, route, {column} AS of_tenant, sum(r.requests) AS requests, sum(r.errors) AS errors, "
        f"sumMap(r.buckets) AS buckets FROM {totals_rollup(scope, asked, Split.BOTH if by_tenant else Split.ROUTE)} "
        f"WHERE {asked.conditions()}{release}{named} GROUP BY method, route, of_tenant HAVING requests > 0 "
        f"ORDER BY requests DESC LIMIT {limit}"
    )
    return {
        (row["method"], row["route"], row["of_tenant"]): Lot(
            row["requests"], row["errors"], parse_buckets(row["buckets"])
        )
        for row in store.read(scope, sql, **parameters).dicts()
    }


@dataclass(frozen=True, slots=True)
class NewFault:
    """An exception that was never seen before a release. count: requests since."""

    fingerprint: str
    type: str
    message: str
    count: int
    tenants: Sequence[str]
    sample_trace_id: str
    first_seen_ns: int


def new_faults(store: TelemetryStore, scope: Scope, one: Deployment, tenant: str | None = None) -> list[NewFault]:
    """Faults of a release that no other release of the service had in this environment, most frequent first."""
    sql = (
        "SELECT fingerprint, any(e.type) AS type, argMax(e.message, e.time) AS message, "
        "uniqExact(e.trace_id) AS count, "
        "groupUniqArrayIf(10)(e.tenant, e.tenant != '') AS tenants, lower(hex(argMax(e.trace_id, e.time))) AS trace, "
        "toUnixTimestamp64Nano(min(e.time)) AS first FROM exceptions AS e "
        "WHERE service = {service:String} AND environment = {environment:String} AND release = {release:String} "
        "AND fingerprint NOT IN (SELECT fingerprint FROM exceptions WHERE service = {service:String} "
        "AND environment = {environment:String} AND release != {release:String}) "
        "GROUP BY fingerprint ORDER BY count DESC LIMIT 20"
    )
    named = {"service": one.service, "environment": one.environment, "release": one.release}
    rows = store.read(scope.narrowed_to(tenant), sql, **named).dicts()
    return [
        NewFault(
            row["fingerprint"],
            row["type"],
            row["message"],
            row["count"],
            sorted(row["tenants"]),
            row["trace"],
            row["first"],
        )
        for row in rows
    ]
