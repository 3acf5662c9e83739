"""What the telemetry routes share: which slice of time, environment and tenant a program asks for, and refusals."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query, Request
from starlette.requests import HTTPConnection

from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.timerange import RANGES, TimeRangeError, window_between
from tocsin.storage.telemetry.engine import EngineError, QueryTimeoutError
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web.api.contract import REFUSALS, Problem
from tocsin.web.auth import Anybody
from tocsin.web.read_audit import note_read

READING: dict[int | str, dict[str, Any]] = REFUSALS | {
    400: {"model": Problem, "description": "A parameter cannot be read"},
    503: {"model": Problem, "description": "The telemetry store does not answer, or the question takes too long"},
}
Start = Annotated[str, Query(description="Unix seconds or ISO 8601, UTC if it has no offset; default 1 h before end")]
End = Annotated[str, Query(description="Unix seconds or ISO 8601; default now")]


def asked_filter(
    start: Start = "",
    end: End = "",
    environment: Annotated[str | None, Query(description="deployment.environment.name")] = None,
    tenant: Annotated[str | None, Query(description="One tenant; outside your scope it has no rows")] = None,
    range: Annotated[str, Query(description="15m, 1h, 6h, 24h, 7d or 30d until now, instead of start and end")] = "",
) -> Filter:
    """Dependency: the slice of telemetry a request is about."""
    try:
        window = _window(start, end, range)
    except TimeRangeError as error:
        raise HTTPException(400, str(error)) from error
    return Filter(window, environment=environment or None, tenant=tenant or None)


def _window(start: str, end: str, range: str) -> Window:
    if not range:
        return window_between(start, end, time.time_ns())
    if start or end or range not in RANGES:
        raise TimeRangeError(
            f"cannot use range '{range[:40]}': write one of {', '.join(RANGES)}, without start and end"
        )
    return Window.last(RANGES[range], time.time_ns())


Asked = Annotated[Filter, Depends(asked_filter)]


def store_of(request: HTTPConnection) -> TelemetryStore:
    store: TelemetryStore = request.app.state.tocsin.store
    return store


Store = Annotated[TelemetryStore, Depends(store_of)]


async def answer_engine_error(request: Request, error: Exception) -> Any:
    """The engine's failure as an answer that says what to do."""
    from tocsin.web.site import answer_http_error  # the pages' way of answering, for people and programs alike

    assert isinstance(error, EngineError)
    if isinstance(error, QueryTimeoutError):
        detail = "cannot answer in time: the question reads too much; choose a shorter time range or more filters"
    else:
        detail = f"cannot read the telemetry store: {str(error).splitlines()[0][:300]}"
    return answer_http_error(request, HTTPException(503, detail))


def note_asked(request: Request, principal: Anybody, tenant: str | None = None) -> None:
    """Dependency: the read goes into the audit; its kind is the noun of the route."""
    note_read(request, principal, tenant or None, request.url.path.partition("/api/v1/")[2].partition("/")[0])


Noted = Annotated[None, Depends(note_asked)]
