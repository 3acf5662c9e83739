"""What operators decide about a group of errors, from the page and from programs alike."""

from __future__ import annotations

import time
from datetime import datetime

from fastapi import HTTPException, Request

from tocsin.model.access import Principal
from tocsin.model.errors import ErrorDecision
from tocsin.model.tenant import PLATFORM
from tocsin.model.window import Window
from tocsin.query import red
from tocsin.query.error_history import ErrorHistory, histories
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web.state import control_of

RUNNING_SECONDS = 86_400
"""A release that answered requests within this time is running."""


def resolve(
    request: Request, operator: Principal, fingerprint: str, *, in_next_release: bool, note: str
) -> ErrorDecision:
    """Now, or from the first release on that is not running yet. Raises HTTPException 404, InvalidInput."""
    store: TelemetryStore = request.app.state.tocsin.store
    history = _history(store, fingerprint)
    releases = _running(store, history) if in_next_release else []
    return control_of(request).errors.resolve(operator, fingerprint, kind=history.type, releases=releases, note=note)


def ignore(
    request: Request,
    operator: Principal,
    fingerprint: str,
    *,
    until: datetime | None,
    occurrences: int | None,
    note: str,
) -> ErrorDecision:
    """Until a time, until so many more occurrences, or for good. Raises HTTPException 404, InvalidInput."""
    store: TelemetryStore = request.app.state.tocsin.store
    history = _history(store, fingerprint)
    return control_of(request).errors.ignore(
        operator, fingerprint, kind=history.type, until=until, occurrences=occurrences,
        occurrences_then=history.count, note=note,
    )  # fmt: skip


def reopen(request: Request, operator: Principal, fingerprint: str) -> None:
    """Raises HTTPException 404, NotFound."""
    store: TelemetryStore = request.app.state.tocsin.store
    control_of(request).errors.reopen(operator, fingerprint, kind=_history(store, fingerprint).type)


def _history(store: TelemetryStore, fingerprint: str) -> ErrorHistory:
    found = histories(store, PLATFORM, Filter(Window.last(1, time.time_ns())), [fingerprint]).get(fingerprint)
    if found is None:
        raise HTTPException(404, f"cannot find error {fingerprint[:80]}: it never occurred; look it up in the list")
    return found


def _running(store: TelemetryStore, history: ErrorHistory) -> list[str]:
    """The releases that have it and those that serve right now, which may have it as well."""
    lately = Filter(Window.last(RUNNING_SECONDS, time.time_ns()))
    serving = [
        release
        for row in red.services(store, PLATFORM, lately)
        if row.service in history.services
        for release in row.releases
    ]
    return list(dict.fromkeys([*(part.name for part in history.releases), *serving]))
