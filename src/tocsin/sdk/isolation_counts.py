"""Exact counts of what the isolation monitor has looked at, per tenant, and its findings, which it never repeats."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.sdk.encode_metrics import Figure
from tocsin.sdk.exposition import Family
from tocsin.sdk.records import Record

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

STATEMENTS = "tenant_isolation_statements_total"
ROWS = "tenant_isolation_rows_total"
CROSSINGS = "tenant_isolation_crossings_total"
SUSPICIONS = "tenant_isolation_suspicions_total"

_HELP = {
    STATEMENTS: "Statements on tables of tenants: scoped, rows (each row checked), unscoped, exempt or not_checked.",
    ROWS: "Rows whose tenant was held against the request's.",
    CROSSINGS: "Statements that touched another tenant's rows, by table, for the reader and for the owner.",
    SUSPICIONS: "The same where nobody has declared the column that names the tenant.",
}

# What becomes of a statement.
SCOPED, ROWS_CHECKED, UNSCOPED, EXEMPT, NOT_CHECKED = "scoped", "rows", "unscoped", "exempt", "not_checked"

# Distinct combinations of labels; more tenants than this are counted together.
_MOST = 50_000
_OTHER = "other"
# Statements or rows noted and not counted yet.
MOST_NOTED = 8192
_MOST_FINDINGS = 20_000

Labels = tuple[tuple[str, str], ...]


class Counts:
    """Numbers since the process began; safe from any thread.

    What happens per statement is only put on a list, which costs a tenth of a lock and two look-ups; whoever wants the
    numbers counts it.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._lock = threading.Lock()
        self.noted_statements: deque[tuple[str, str, str]] = deque()
        self._noted_rows: deque[tuple[str, int]] = deque()
        self._statements: dict[tuple[str, str, str], int] = {}
        self._rows: dict[str, int] = {}
        self._crossings: Counter[tuple[str, str, str, str]] = Counter()
        self._sent: dict[tuple[str, Labels], int] = {}
        self._sent_ns = time.time_ns()

    def statement(self, tenant: str, result: str, reason: str = "") -> None:
        """reason: why it was not checked."""
        noted = self.noted_statements
        noted.append((tenant, result, reason))
        if len(noted) > MOST_NOTED:
            self.count_noted()

    def rows(self, tenant: str, number: int) -> None:
        noted = self._noted_rows
        noted.append((tenant, number))
        if len(noted) > MOST_NOTED:
            self.count_noted()

    def count_noted(self) -> None:
        with self._lock:
            for _ in range(len(self.noted_statements)):
                key = self.noted_statements.popleft()
                if key not in self._statements and len(self._statements) >= _MOST:
                    key = (_OTHER, *key[1:])
                self._statements[key] = self._statements.get(key, 0) + 1
            for _ in range(len(self._noted_rows)):
                tenant, number = self._noted_rows.popleft()
                if tenant not in self._rows and len(self._rows) >= _MOST:
                    tenant = _OTHER
                self._rows[tenant] = self._rows.get(tenant, 0) + number

    def crossing(self, name: str, tenant: str, table: str, role: str) -> None:
        """name: CROSSINGS or SUSPICIONS. role: reader or owner."""
        with self._lock:
            if len(self._crossings) >= _MOST:
                tenant = _OTHER
            self._crossings[name, tenant, table, role] += 1

    def increases(self) -> list[Figure]:
        """What has been added since it was asked last: sums of them are exact over any time, whatever restarts."""
        since_ns, self._sent_ns = self._sent_ns, time.time_ns()
        current, sent = self._current(), self._sent
        self._sent = current
        grown = ((key, value - sent.get(key, 0)) for key, value in current.items())
        return [
            Figure(
                name, "", more, {"tocsin.tenant" if k == "tenant" else k: v for k, v in labels}, True, True, since_ns
            )
            for (name, labels), more in grown
            if more
        ]

    def families(self) -> list[Family]:
        """For a scraper; each tenant by name."""
        made: dict[str, Family] = {}
        for (name, labels), value in self._current().items():
            family = made.setdefault(name, Family(name, "counter", _HELP[name]))
            family.add(value, **dict(labels))
        return list(made.values())

    def _current(self) -> dict[tuple[str, Labels], int]:
        self.count_noted()
        with self._lock:
            statements, rows = list(self._statements.items()), list(self._rows.items())
            crossings = list(self._crossings.items())
        found: dict[tuple[str, Labels], int] = {}
        for (tenant, result, reason), number in statements:
            found[STATEMENTS, _labels(tenant=tenant, result=result, reason=reason)] = number
        for tenant, number in rows:
            found[ROWS, _labels(tenant=tenant)] = number
        for (name, tenant, table, role), number in crossings:
            found[name, _labels(tenant=tenant, table=table, role=role)] = number
        return found


class Finding(NamedTuple):
    """An event to be: sent at once the first time, later as sums. trace_id, span_id: b'' outside of any trace."""

    event: str
    body: str
    severity: int
    attributes: Mapping[str, Any]
    tenant: str = ""
    trace_id: bytes = b""
    span_id: bytes = b""


class _Known:
    """What was found before: when it was last sent, and what has come since."""

    __slots__ = ("count", "finding", "rows", "sent_at")

    def __init__(self, finding: Finding, sent_at: float) -> None:
        self.finding, self.sent_at = finding, sent_at
        self.count = self.rows = 0


class Findings:
    """Sends the first of each key at once, and the sum of the rest no more often than its pause."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Any, tuple[float, _Known]] = {}

    def is_due(self, key: Any, rows: int = 0) -> bool:
        """Counts a further one; True when the key is new or its pause is over, so that `send` is to follow."""
        with self._lock:
            found = self._known.get(key)
            if found is None:
                return True
            known = found[1]
            known.count += 1
            known.rows += rows
            return False

    def send(self, agent: Agent, key: Any, finding: Finding, pause_seconds: float, rows: int = 0) -> None:
        """The first of its key."""
        with self._lock:
            if len(self._known) >= _MOST_FINDINGS:
                # The oldest: whatever it has counted goes out before it is forgotten.
                oldest = next(iter(self._known))
                self._put(agent, self._known.pop(oldest)[1])
            self._known[key] = (pause_seconds, _Known(finding, time.monotonic()))
        _put(agent, finding, 1, rows)

    def flush(self, agent: Agent, is_last: bool = False) -> None:
        """Sends the sums whose pause is over; called by the export thread."""
        now = time.monotonic()
        with self._lock:
            due = [key for key, (pause, known) in self._known.items() if is_last or now - known.sent_at >= pause]
            for key in due:
                _, known = self._known[key]
                if known.count:
                    self._put(agent, known)
                    known.sent_at, known.count, known.rows = now, 0, 0
                else:
                    # Quiet for a whole pause: the next is a first again, with the trace and the line it has then.
                    del self._known[key]

    def _put(self, agent: Agent, known: _Known) -> None:
        if known.count:
            _put(agent, known.finding, known.count, known.rows)


def _put(agent: Agent, finding: Finding, count: int, rows: int) -> None:
    attributes = {**finding.attributes, "tocsin.isolation.count": count}
    if rows:
        attributes["tocsin.isolation.rows"] = rows
    record = Record(
        time.time_ns(), finding.event, finding.severity, finding.body, attributes,
        finding.tenant, finding.trace_id, finding.span_id,
    )  # fmt: skip
    agent.exporter.put_record(record)


def _labels(**labels: str) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if value))


# Of the whole process, whatever app or agent.
counts = Counts()
findings = Findings()


def _after_fork() -> None:
    counts.forget()
    findings.forget()


os.register_at_fork(after_in_child=_after_fork)
