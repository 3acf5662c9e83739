"""Lines of code that call too often or too slowly, and who keeps connections: as the SDKs count them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.tenant import Scope
from tocsin.query import events
from tocsin.query.calls import Asked, requests_by_caller, rollup, totals_step
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

PLAN_EVENT = "tocsin.db.plan"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A statement that requests of a route ran over and over from one line (N+1). `share` is the part of that route's
    requests that did, 0-1, None when it is no route."""

    service: str
    caller: str
    line: str  # `demo/product/routes/projects.py:91 in list_projects`, '' when none of the app's was on the stack
    digest: str
    text: str
    target: str
    requests: int
    calls: int
    seconds: float  # in all these requests together
    share: float | None

    @property
    def per_request(self) -> float:
        return self.calls / self.requests


@dataclass(frozen=True, slots=True)
class SlowCall:
    """Calls slower than the SDK's limit, from one line."""

    service: str
    caller: str
    line: str
    digest: str
    text: str
    target: str
    calls: int
    seconds: float

    @property
    def mean_seconds(self) -> float:
        return self.seconds / self.calls


@dataclass(frozen=True, slots=True)
class Plan:
    """How the database said it would run a statement."""

    digest: str
    text: str
    plan: str
    time_ns: int
    service: str
    release: str

    @property
    def scans(self) -> list[str]:
        """The tables it reads from end to end."""
        found = []
        for line in self.plan.splitlines():
            words = line.replace("->", " ").split()
            if words[:2] == ["Seq", "Scan"] and "on" in words:
                found.append(words[words.index("on") + 1])
            elif words[:1] == ["SCAN"] and "USING" not in words and len(words) > 1:
                found.append(words[2] if words[1] == "TABLE" and len(words) > 2 else words[1])
        return list(dict.fromkeys(found))


_NAMES = ("service", "caller", "line", "digest", "text", "target")
_PLACE = "service, caller, line, digest, target"


def repeats(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked | None = None, limit: int = 20
) -> list[Repeat]:
    """Statements repeated within one request, those that took most time first."""
    columns = (
        "sum(r.repeat_requests) AS requests, sum(r.repeat_calls) AS calls, sum(r.repeat_seconds) AS seconds, "
        "any(operation) AS text"
    )
    rows = _read(store, scope, filter, asked or Asked(), columns, "requests", limit)
    answered = requests_by_caller(store, scope, filter) if rows else {}
    made = []
    for row in rows:
        of = answered.get((row["service"], row["caller"]))
        share = min(1.0, row["requests"] / of) if of else None
        figures = {name: row[name] for name in ("requests", "calls", "seconds")}
        made.append(Repeat(**{name: row[name] for name in _NAMES}, **figures, share=share))
    return made


def slow_calls(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked | None = None, limit: int = 20
) -> list[SlowCall]:
    """Slow calls by line, those that took most time together first."""
    columns = "sum(r.slow_calls) AS calls, sum(r.slow_seconds) AS seconds, any(operation) AS text"
    rows = _read(store, scope, filter, asked or Asked(), columns, "calls", limit)
    return [SlowCall(**{name: row[name] for name in (*_NAMES, "calls", "seconds")}) for row in rows]


def plans(store: TelemetryStore, scope: Scope, filter: Filter, limit: int = 200) -> dict[str, Plan]:
    """The newest plan of each statement, by digest; also those told before the window, as plans are told once."""
    since = replace(filter.window, start_ns=0)
    found = events.events(store, scope, replace(filter, window=since), [PLAN_EVENT], limit)
    made: dict[str, Plan] = {}
    for event in found:
        digest = str(event.attributes.get("tocsin.db.fingerprint", ""))
        text = str(event.attributes.get("db.query.text", ""))
        if not digest:
            continue
        made.setdefault(digest, Plan(digest, text, event.body, event.time_ns, event.service, event.release))
    return made


def _read(
    store: TelemetryStore, scope: Scope, filter: Filter, asked: Asked, columns: str, present: str, limit: int
) -> list[dict[str, Any]]:
    narrowed = filter.narrowed(scope)
    table = rollup(narrowed, filter, asked, totals_step(filter), operations=True, tenants=False)
    sql = (
        f"SELECT {_PLACE}, {columns} FROM {table} WHERE {asked.conditions(filter)} GROUP BY {_PLACE} "
        f"HAVING {present} > 0 ORDER BY seconds DESC LIMIT {{limit:UInt32}}"
    )
    return store.read(narrowed, sql, **asked.parameters(filter), limit=limit).dicts()
