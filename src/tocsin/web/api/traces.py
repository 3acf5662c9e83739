"""/api/v1/traces: search, and whole traces as OTLP/JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from tocsin.query import compare, traces
from tocsin.query.otlp import trace_document
from tocsin.query.traces import MAX_LIMIT, Trace, TraceQuery, TraceQueryError, TraceSummary
from tocsin.web.api.asked import READING, Asked, Noted, Store
from tocsin.web.api.contract import BEARER, MISSING, Shown
from tocsin.web.auth import Anybody
from tocsin.web.read_audit import note_trace

router = APIRouter(prefix="/api/v1/traces", tags=["telemetry"], dependencies=[Depends(BEARER)], responses=READING)


class TraceAnswer(BaseModel):
    """A trace by its root span, or by its earliest one that you may see."""

    trace_id: str
    start: datetime
    start_unix_nano: str
    duration_ms: float
    service: str
    name: str
    method: str
    route: str
    status_code: int = Field(description="HTTP status of the root span; 0 without one")
    status: str = Field(description="error if any span failed, else ok")
    tenant: str
    environment: str
    spans: int
    services: list[str]
    error: str = Field(description="Exception type or message of a failed span")


class TraceList(BaseModel):
    """Traces found, in the order asked for."""

    traces: list[TraceAnswer]


class StepAnswer(Shown):
    """All calls of one name at one place of the tree; a step that is only in one trace has 0 calls in the other."""

    path: list[str] = Field(description="Names of the spans from the root down")
    service: str
    own_calls: int
    normal_calls: int
    own_ns: int
    normal_ns: int
    own_self_ns: int = Field(description="Without what its calls cover")
    normal_self_ns: int


class Comparison(BaseModel):
    """A trace beside a normal one."""

    trace_id: str
    normal_trace_id: str
    more_ms: float = Field(description="How much longer the trace took")
    steps: list[StepAnswer]


@router.get("", summary="Search traces")
def search_traces(
    _: Noted,
    store: Store,
    principal: Anybody,
    asked: Asked,
    service: str | None = None,
    caller: Annotated[str | None, Query(description="The service that called; with service the one it called")] = None,
    route: str | None = None,
    operation: Annotated[str | None, Query(description="A span's name")] = None,
    status: Annotated[str | None, Query(description="error, ok, a code such as 500 or a class such as 4xx")] = None,
    min_duration_ms: Annotated[float | None, Query(ge=0)] = None,
    max_duration_ms: Annotated[float | None, Query(ge=0)] = None,
    attribute: Annotated[list[str] | None, Query(description="key:value, repeatable; all must fit one span")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    order: Annotated[str, Query(description="newest or slowest")] = "newest",
) -> TraceList:
    """Traces with a span that fits every condition."""
    query = TraceQuery(
        window=asked.window,
        environment=asked.environment,
        tenant=asked.tenant,
        service=service,
        caller=caller or None,
        route=route,
        operation=operation,
        status=status,
        min_duration_ms=min_duration_ms,
        max_duration_ms=max_duration_ms,
        attributes=tuple(_pair(text) for text in attribute or ()),
        limit=limit,
        order=order,
    )
    try:
        found = traces.search(store, principal.scope, query)
    except TraceQueryError as error:
        raise HTTPException(400, str(error)) from error
    return TraceList(traces=[_answer(summary) for summary in found])


@router.get("/{trace_id}", summary="Read a trace as OTLP/JSON", responses=MISSING)
def read_trace(request: Request, store: Store, principal: Anybody, trace_id: str) -> dict[str, Any]:
    """TracesData with every span of the trace that you may see."""
    return trace_document(_found(request, store, principal, trace_id))


@router.get("/{trace_id}/comparison", summary="Compare a trace with a normal one", responses=MISSING)
def compare_trace(request: Request, store: Store, principal: Anybody, asked: Asked, trace_id: str) -> Comparison:
    """Beside the trace of median duration among those of the same operation that succeeded in the time asked for."""
    own = _found(request, store, principal, trace_id)
    normal = compare.normal_for(store, principal.scope, own, asked.window)
    if normal is None:
        raise HTTPException(404, f"cannot compare trace {trace_id}: no other {own.root.name} succeeded in this time")
    steps = compare.compare(own, normal)
    return Comparison(
        trace_id=own.trace_id,
        normal_trace_id=normal.trace_id,
        more_ms=(own.duration_ns - normal.duration_ns) / 1e6,
        steps=[StepAnswer.model_validate(step) for step in steps],
    )


def _found(request: Request, store: Store, principal: Anybody, trace_id: str) -> Trace:
    try:
        trace = traces.get(store, principal.scope, trace_id)
    except TraceQueryError as error:
        raise HTTPException(400, str(error)) from error
    if trace is None:
        raise HTTPException(404, f"cannot find trace {trace_id}: it is unknown, too old, or outside your scope")
    note_trace(request, principal, trace)
    return trace


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition(":")
    if not separator or not key:
        raise HTTPException(400, f"cannot search for attribute {text[:60]!r}: write key:value")
    return key, value


def _answer(summary: TraceSummary) -> TraceAnswer:
    return TraceAnswer(
        trace_id=summary.trace_id,
        start=datetime.fromtimestamp(summary.start_ns / 1e9, UTC),
        start_unix_nano=str(summary.start_ns),
        duration_ms=summary.duration_ns / 1e6,
        service=summary.service,
        name=summary.name,
        method=summary.method,
        route=summary.route,
        status_code=summary.status_code,
        status="error" if summary.is_error else "ok",
        tenant=summary.tenant,
        environment=summary.environment,
        spans=summary.spans,
        services=summary.services,
        error=summary.error,
    )
