"""The record of a month for one tenant: what was checked and what was found, as canonical JSON with its SHA-256.

Whoever holds the record can compute the hash again: keys sorted, no space, UTF-8, without the hash itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.isolation import Coverage, Crossing, coverage, crossings
from tocsin.storage.telemetry.store import TelemetryStore

FORMAT = "tocsin-isolation-record/1"
_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
NAMED_RESULTS = ("scoped", "exempt", "not_checked")
RESULTS = ("scoped", "rows", "unscoped", "exempt", "not_checked")


class MonthError(ValueError):
    """No month that can be asked for."""


def month_window(month: str) -> Window:
    """The month in UTC. Raises MonthError."""
    found = _MONTH.fullmatch(month)
    if found is None:
        raise MonthError(f"cannot read month '{month[:20]}': not a year and month; write one such as 2026-11")
    year, number = int(found[1]), int(found[2])
    start = datetime(year, number, 1, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return Window(int(start.timestamp()) * 10**9, int(end.timestamp()) * 10**9)


def records(
    store: TelemetryStore, scope: Scope, month: str, tenant: str | None, environment: str | None, now_ns: int
) -> list[dict[str, Any]]:
    """One record a tenant within the scope, by name; for a tenant without any statement a record that says so."""
    asked = Filter(month_window(month), environment=environment, tenant=tenant)
    found = {each.tenant: each for each in coverage(store, scope, asked) if each.tenant}
    if tenant and scope.allows(tenant):
        found.setdefault(tenant, Coverage(tenant))
    return [_record(store, each, month, environment, now_ns) for each in sorted(found.values(), key=lambda c: c.tenant)]


def record_hash(record: dict[str, Any]) -> str:
    """The SHA-256 of a record's canonical form, the hash itself left out."""
    facts = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _record(store: TelemetryStore, found: Coverage, month: str, environment: str | None, now_ns: int) -> dict[str, Any]:
    window = month_window(month)
    # As the tenant itself would see it: nobody else is named in it.
    own = Scope.of(found.tenant)
    listed = crossings(store, own, Filter(window, environment=environment, tenant=found.tenant), limit=1000)
    record: dict[str, Any] = {
        "format": FORMAT,
        "tenant": found.tenant,
        "month": month,
        "environment": environment or "",
        "is_complete": now_ns >= window.end_ns,
        "statements": {result: found.statements.get(result, 0) for result in RESULTS},
        "statements_total": found.total,
        "not_checked_by_reason": dict(sorted(found.unchecked.items())),
        # As text, because parsers differ in how they print fractions.
        "checked_percent": f"{found.checked_share * 100:.4f}" if found.checked_share is not None else "",
        "rows_checked": found.rows,
        "crossings_read_others": found.read_others,
        "crossings_read_by_others": found.read_by_others,
        "suspicions": found.suspicions,
        "crossings": [
            _listed(each) for each in sorted(listed, key=lambda c: (c.first_ns, c.fingerprint, c.how, c.role))
        ],
    }
    for name, named in (("keys", found.keys), ("jobs", found.jobs)):
        if named:
            # Only where there are any, so that records of months without them stay what they were.
            record[name] = {result: named.get(result, 0) for result in NAMED_RESULTS}
    record["sha256"] = record_hash(record)
    return record


def _listed(each: Crossing) -> dict[str, Any]:
    return {
        "role": each.role,
        "how": each.how,
        "table": each.table,
        "statement": each.statement,
        "statements": each.count,
        "rows": each.rows,
        "first": _utc(each.first_ns),
        "last": _utc(each.last_ns),
        "is_declared": each.is_declared,
    }


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
