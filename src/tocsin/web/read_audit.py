"""Notes in the audit log who looked at whose telemetry: once per person, tenant and hour, never in the reader's way.

A read adds its note to a queue of one worker; when the control store is slow or gone the read neither waits nor fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import structlog
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from tocsin.model.access import Principal
from tocsin.query.traces import Trace
from tocsin.storage.control import ControlError, ControlStore
from tocsin.web.state import control_of

log = structlog.get_logger("tocsin.read_audit")

ACTION = "telemetry.read"
HOUR_SECONDS = 3600
MOST_TENANTS = 200
"""Tenants noted by name per person and hour; whoever reads more is noted as reading all."""

ALL = "all"


class ReadAudit:
    """Remembers what was noted this hour."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hour = 0
        self._noted: dict[str, set[str]] = {}  # tenants by principal, of this hour
        self._worker: ThreadPoolExecutor | None = None

    def note(self, control: ControlStore, principal: Principal, tenant: str, kind: str) -> None:
        """`tenant` is a name or ALL; `kind` says what was read first: a page's id or a noun of the REST routes."""
        hour = int(self._clock() // HOUR_SECONDS)
        named = self._new_tenant(principal.id, tenant, hour)
        if named:
            self._queue().submit(self._write, control, principal, named, kind, hour)

    def wait(self) -> None:
        """Returns when everything noted so far is written."""
        self._queue().submit(int).result()

    def _new_tenant(self, principal_id: str, tenant: str, hour: int) -> str:
        """The tenant to note, '' when it is noted already."""
        with self._lock:
            if hour != self._hour:
                self._hour, self._noted = hour, {}
            noted = self._noted.setdefault(principal_id, set())
            if tenant not in noted and len(noted) >= MOST_TENANTS:
                tenant = ALL
            if tenant in noted:
                return ""
            noted.add(tenant)
            return tenant

    def _queue(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="tocsin-read-audit")
            return self._worker

    def _write(self, control: ControlStore, principal: Principal, tenant: str, kind: str, hour: int) -> None:
        about = f"{principal.id}/{tenant}"
        try:
            # Another process, or this one before a restart, may have noted the same hour.
            newest = control.audit.entries(limit=1, action=ACTION, object=about)
            if not newest or newest[0].at < datetime.fromtimestamp(hour * HOUR_SECONDS, UTC):
                control.audit.note(principal, ACTION, about, {"kind": kind}, None if tenant == ALL else tenant)
        except (SQLAlchemyError, ControlError) as error:
            log.warning("read_audit.lost", actor=principal.name, tenant=tenant, error=str(error).splitlines()[0])


def note_read(request: HTTPConnection, principal: Principal, tenant: str | None, kind: str) -> None:
    """Notes a read of one tenant's telemetry, or of all that the reader may see.

    What lies outside the reader's scope is not noted, because nothing of it is answered.
    """
    if tenant is not None and not principal.scope.allows(tenant):
        return
    visible = sorted(principal.scope.tenants or ()) if tenant is None else [tenant]
    for name in visible or [ALL]:
        request.app.state.read_audit.note(control_of(request), principal, name, kind)


def note_trace(request: Request, principal: Principal, trace: Trace) -> None:
    """Notes a read of the telemetry of every tenant in the trace."""
    for tenant in sorted({span.tenant for span in trace.spans if span.tenant}):
        note_read(request, principal, tenant, "trace")
