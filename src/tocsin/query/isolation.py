"""Tenant isolation as the SDKs report it: what was checked, who saw whose rows, and the record of a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

CROSSING = "tocsin.isolation.crossing"
CONCERN = "tocsin.isolation.concern"
UNSCOPED = "tocsin.isolation.unscoped"
EXEMPT = "tocsin.isolation.exempt"

_STATEMENTS, _ROWS = "tenant_isolation_statements_total", "tenant_isolation_rows_total"
_KEYS, _JOBS = "tenant_isolation_keys_total", "tenant_isolation_jobs_total"
_CROSSINGS, _SUSPICIONS = "tenant_isolation_crossings_total", "tenant_isolation_suspicions_total"
_NAMES = (_STATEMENTS, _ROWS, _KEYS, _JOBS, _CROSSINGS, _SUSPICIONS)
# Beyond this the hourly sums are read.
_RAW_SECONDS = 48 * 3600
# A statement that nothing holds is told once an hour, so that shorter windows look back further.
_UNSCOPED_SECONDS = 24 * 3600


@dataclass(slots=True)
class Coverage:
    """What was checked for one tenant ('' for work without one). statements: by result; unchecked: by reason.

    keys, jobs: those that name a tenant, by result; a job's argument counts as queued and as run.
    """

    tenant: str
    statements: dict[str, int] = field(default_factory=dict)
    unchecked: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    read_others: int = 0
    read_by_others: int = 0
    suspicions: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.statements.values())

    @property
    def checked(self) -> int:
        """Statements that were held against the tenant, by a condition or row by row."""
        return self.statements.get("scoped", 0) + self.statements.get("rows", 0)

    @property
    def checked_share(self) -> float | None:
        """0 to 1, exempt ones left out; None without any."""
        asked = self.total - self.statements.get("exempt", 0)
        return self.checked / asked if asked else None

    def add(self, other: Coverage) -> None:
        for mine, theirs in (
            (self.statements, other.statements), (self.unchecked, other.unchecked), (self.keys, other.keys),
            (self.jobs, other.jobs),
        ):  # fmt: skip
            for key, number in theirs.items():
                mine[key] = mine.get(key, 0) + number
        self.rows += other.rows
        self.read_others += other.read_others
        self.read_by_others += other.read_by_others
        self.suspicions += other.suspicions


class _InCode:
    """What stands on a line of the app's code."""

    __slots__ = ()
    code_path: str
    code_line: int

    @property
    def where(self) -> str:
        """`path:line`, '' where it is unknown."""
        return f"{self.code_path}:{self.code_line}" if self.code_path else ""


@dataclass(frozen=True, slots=True)
class Crossing(_InCode):
    """A statement, key or job and a pair of tenants. how: row, predicate, write, key, queued or run.

    To a tenant's own reader only one is named: role then says whether it is `reader` or `owner`; for staff both are
    and role is ''.
    """

    how: str
    table: str
    column: str
    cause: str
    statement: str
    fingerprint: str
    code_path: str
    code_line: int
    code_function: str
    method: str
    route: str
    service: str
    tenant: str
    row_tenant: str
    role: str
    is_declared: bool
    count: int
    rows: int
    first_ns: int
    last_ns: int
    trace_id: str


@dataclass(frozen=True, slots=True)
class Unscoped(_InCode):
    """A statement on tables of tenants that nothing holds to one."""

    statement: str
    fingerprint: str
    verb: str
    tables: str
    service: str
    routes: list[str]
    code_path: str
    code_line: int
    count: int
    last_ns: int
    trace_id: str


@dataclass(frozen=True, slots=True)
class Exemption(_InCode):
    """Work that was let across tenants, by its reason."""

    reason: str
    route: str
    service: str
    code_path: str
    code_line: int
    tenants: list[str]
    count: int
    last_ns: int


def coverage(store: TelemetryStore, scope: Scope, filter: Filter) -> list[Coverage]:
    """Of every tenant with statements in the window, busiest first; exact, whatever is sampled."""
    table = "deltas" if filter.window.seconds <= _RAW_SECONDS else "deltas_1h"
    asked = replace(filter, tenant=None, method=None, route=None)
    listed = ", ".join(f"'{name}'" for name in _NAMES)
    sql = (
        f"SELECT d.name, i.tenant, i.result, i.reason, i.role, sum(d.value) FROM {table} AS d INNER JOIN ("
        f"SELECT id, any(tenant) AS tenant, any(labels['result']) AS result, any(labels['reason']) AS reason, "
        f"any(labels['role']) AS role, any(service) AS service, any(environment) AS environment "
        f"FROM series WHERE name IN ({listed}) GROUP BY id) AS i ON d.series = i.id "
        f"WHERE d.name IN ({listed}) AND {asked.conditions('d.time')} GROUP BY ALL"
    )
    rows = store.read(filter.narrowed(scope), sql, **asked.parameters()).rows
    found: dict[str, Coverage] = {}
    for name, tenant, result, reason, role, value in rows:
        each, number = found.setdefault(tenant, Coverage(tenant)), round(value)
        if name == _STATEMENTS:
            each.statements[result] = each.statements.get(result, 0) + number
            if reason:
                each.unchecked[reason] = each.unchecked.get(reason, 0) + number
        elif name == _ROWS:
            each.rows += number
        elif name in (_KEYS, _JOBS):
            named = each.keys if name == _KEYS else each.jobs
            named[result] = named.get(result, 0) + number
        elif name == _SUSPICIONS:
            each.suspicions += number
        elif role == "reader":
            each.read_others += number
        else:
            each.read_by_others += number
    return sorted(found.values(), key=lambda each: (-each.total, each.tenant))


def altogether(coverages: Sequence[Coverage]) -> Coverage:
    total = Coverage("")
    for each in coverages:
        total.add(each)
    return total


def crossings(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 100) -> list[Crossing]:
    """Newest first. Both tenants are named to readers of the whole platform only."""
    if not scope.is_platform:
        return _crossings(store, filter.narrowed(scope), replace(filter, tenant=None), CONCERN, "", limit)
    # Events with the pair belong to no tenant: a chosen one is looked for in both places.
    either = ""
    if filter.tenant is not None:
        either = (
            "AND (attributes['tocsin.isolation.tenant'] = {either:String} "
            "OR attributes['tocsin.isolation.row_tenant'] = {either:String})"
        )
    return _crossings(store, scope, filter, CROSSING, either, limit)


def unscoped(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 100) -> list[Unscoped]:
    """The last day's at least, most often first; they belong to the product and not to a tenant."""
    window = filter.window
    start_ns = min(window.start_ns, max(0, window.end_ns - _UNSCOPED_SECONDS * 10**9))
    asked = Filter(Window(start_ns, window.end_ns), filter.environment, None, filter.service)
    sql = (
        f"SELECT attributes['tocsin.db.fingerprint'] AS fingerprint, service, "
        f"any(attributes['db.query.text']) AS statement, any(attributes['db.operation.name']) AS verb, "
        f"any(attributes['tocsin.isolation.tables']) AS tables, "
        f"arraySort(groupUniqArray(20)(trimBoth(concat(attributes['http.request.method'], ' ', "
        f"attributes['http.route'])))) AS routes, {_CODE}, {_SUMS} FROM events "
        f"WHERE name = {{name:String}} AND {asked.conditions()} "
        f"GROUP BY fingerprint, service ORDER BY count DESC, last_ns DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(scope, sql, name=UNSCOPED, limit=limit, **asked.parameters()).dicts()
    return [
        Unscoped(
            statement=row["statement"], fingerprint=row["fingerprint"], verb=row["verb"], tables=row["tables"],
            service=row["service"], routes=[route for route in row["routes"] if route], code_path=row["path"],
            code_line=row["line"], count=row["count"], last_ns=row["last_ns"], trace_id=_trace(row["trace"]),
        )
        for row in rows
    ]  # fmt: skip


def exemptions(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 100) -> list[Exemption]:
    """By reason and route, most often first."""
    asked = replace(filter, tenant=None, method=None, route=None)
    sql = (
        f"SELECT attributes['tocsin.isolation.reason'] AS reason, service, "
        f"trimBoth(concat(attributes['http.request.method'], ' ', attributes['http.route'])) AS route, "
        f"arraySort(groupUniqArrayIf(20)(tenant, tenant != '')) AS tenants, {_CODE}, {_SUMS} FROM events "
        f"WHERE name = {{name:String}} AND {asked.conditions()} "
        f"GROUP BY reason, service, route ORDER BY count DESC, last_ns DESC LIMIT {{limit:UInt32}}"
    )
    rows = store.read(filter.narrowed(scope), sql, name=EXEMPT, limit=limit, **asked.parameters()).dicts()
    return [
        Exemption(
            reason=row["reason"], route=row["route"], service=row["service"], code_path=row["path"],
            code_line=row["line"], tenants=row["tenants"], count=row["count"], last_ns=row["last_ns"],
        )
        for row in rows
    ]  # fmt: skip


_CODE = (
    "argMax(attributes['code.file.path'], time) AS path, "
    "toUInt32OrZero(argMax(attributes['code.line.number'], time)) AS line"
)
_SUMS = (
    "sum(toUInt64OrZero(attributes['tocsin.isolation.count'])) AS count, "
    "toUnixTimestamp64Nano(min(time)) AS first_ns, toUnixTimestamp64Nano(max(time)) AS last_ns, "
    "lower(hex(argMaxIf(trace_id, time, trace_id != toFixedString('', 16)))) AS trace"
)


def _crossings(
    store: TelemetryStore, scope: Scope, filter: Filter, name: str, condition: str, limit: int
) -> list[Crossing]:
    asked = Filter(filter.window, filter.environment, None, filter.service)
    whose = "attributes['tocsin.isolation.tenant']" if name == CROSSING else "tenant"
    sql = (
        f"SELECT attributes['tocsin.isolation.how'] AS how, attributes['db.collection.name'] AS table, "
        f"attributes['tocsin.isolation.column'] AS column, attributes['tocsin.isolation.cause'] AS cause, "
        f"attributes['tocsin.db.fingerprint'] AS fingerprint, attributes['http.request.method'] AS method, "
        f"attributes['http.route'] AS route, {whose} AS whose, "
        f"attributes['tocsin.isolation.row_tenant'] AS row_tenant, "
        f"attributes['tocsin.isolation.role'] AS role, service, "
        f"any(attributes['db.query.text']) AS statement, any(severity) AS severity, "
        f"argMax(attributes['code.function.name'], time) AS function, "
        f"sum(toUInt64OrZero(attributes['tocsin.isolation.rows'])) AS rows, {_CODE}, {_SUMS} FROM events "
        f"WHERE name = {{name:String}} AND {asked.conditions()} {condition} "
        f"GROUP BY how, table, column, cause, fingerprint, method, route, whose, row_tenant, role, service "
        f"ORDER BY last_ns DESC, first_ns DESC LIMIT {{limit:UInt32}}"
    )
    parameters: dict[str, Any] = {**asked.parameters(), "name": name, "limit": limit}
    if condition:
        parameters["either"] = filter.tenant
    return [
        Crossing(
            how=row["how"], table=row["table"], column=row["column"], cause=row["cause"], statement=row["statement"],
            fingerprint=row["fingerprint"], code_path=row["path"], code_line=row["line"],
            code_function=row["function"], method=row["method"], route=row["route"], service=row["service"],
            tenant=row["whose"] if row["role"] != "owner" else "",
            row_tenant=row["row_tenant"] if row["role"] != "owner" else row["whose"], role=row["role"],
            is_declared=row["severity"] >= _FATAL, count=row["count"], rows=row["rows"], first_ns=row["first_ns"],
            last_ns=row["last_ns"], trace_id=_trace(row["trace"]),
        )
        for row in store.read(scope, sql, **parameters).dicts()
    ]  # fmt: skip


_FATAL = 21


def _trace(digits: str) -> str:
    return digits if digits.strip("0") else ""
