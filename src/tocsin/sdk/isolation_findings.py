"""What the isolation monitor finds: the names under which it counts, and its findings, which it never repeats."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.sdk.records import Record
from tocsin.sdk.sums import describe

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

STATEMENTS = "tenant_isolation_statements_total"
ROWS = "tenant_isolation_rows_total"
KEYS = "tenant_isolation_keys_total"
JOBS = "tenant_isolation_jobs_total"
CROSSINGS = "tenant_isolation_crossings_total"
SUSPICIONS = "tenant_isolation_suspicions_total"

describe(
    STATEMENTS, "Statements on tables of tenants: scoped, rows (each row checked), unscoped, exempt or not_checked."
)
describe(ROWS, "Rows whose tenant was held against the request's.")
describe(KEYS, "Keys in Redis commands that name a tenant: scoped, exempt or not_checked.")
describe(JOBS, "Arguments of jobs that name a tenant, as queued and as run: scoped, exempt or not_checked.")
describe(
    CROSSINGS,
    "Statements, keys and jobs that touched another tenant's data, by table, key or job, for reader and owner.",
)
describe(SUSPICIONS, "The same where nobody has declared the column that names the tenant.")

# What becomes of a statement.
SCOPED, ROWS_CHECKED, UNSCOPED, EXEMPT, NOT_CHECKED = "scoped", "rows", "unscoped", "exempt", "not_checked"

_MOST_FINDINGS = 20_000


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


# Of the whole process, whatever app or agent.
findings = Findings()
os.register_at_fork(after_in_child=findings.forget)
