"""/api/v1/logs: search, counts over time, facets, one line with what stands around it, and lines as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tocsin.model.log_views import BUILT_IN
from tocsin.query import log_counts, logs
from tocsin.query.log_filter import LogQuery
from tocsin.query.log_tail import Tail
from tocsin.query.log_words import LogQueryError
from tocsin.query.logs import MAX_LIMIT, LogLine
from tocsin.web.api.asked import READING, Asked, Noted, Store
from tocsin.web.api.contract import BEARER, MISSING, Problem, Shown
from tocsin.web.auth import Anybody
from tocsin.web.log_asked import cursor_asked, log_query, since_ns
from tocsin.web.log_stream import LEFT_OUT, TOO_MANY, Event, event_stream, wants_stream
from tocsin.web.read_audit import note_read

router = APIRouter(prefix="/api/v1/logs", tags=["telemetry"], dependencies=[Depends(BEARER)], responses=READING)


class LineAnswer(BaseModel):
    """One line."""

    id: str = Field(description="Reads the line again, as long as it is kept")
    time: datetime
    time_unix_nano: str
    observed: datetime | None = Field(description="When it was read, where its sender says so")
    level: str = Field(description="trace, debug, info, warn, error, fatal, or empty")
    severity: int = Field(description="OTLP's number, 0 without one")
    severity_text: str = Field(description="As sent")
    message: str = Field(description="The readable part: of a line of JSON its message, of any other the line")
    body: str = Field(description="As it was sent; a structured one as JSON. Lists hold its first 4000 characters")
    is_cut: bool
    event_name: str
    service: str
    tenant: str
    environment: str
    release: str
    logger: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


class LineList(BaseModel):
    """Lines, newest first."""

    lines: list[LineAnswer]
    older: str | None = Field(description="As `before` it asks for the lines behind these; null when there are no more")


class HistogramAnswer(BaseModel):
    """Lines over time by level; every list is as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    by_level: dict[str, list[int]] = Field(description="Key '' for lines without a level")
    lines: int
    errors: int


class FacetValueAnswer(Shown):
    value: str
    lines: int


class FacetAnswer(Shown):
    """A field with its commonest values."""

    name: str
    lines: int = Field(description="Of the sample that have it")
    values: int = Field(description="How many different ones there are in the sample")
    top: list[FacetValueAnswer]


class FacetList(Shown):
    """Fields of the lines that fit, counted on the newest of them."""

    facets: list[FacetAnswer]
    sampled: int = Field(description="Lines looked at")
    is_sample: bool = Field(description="There were more")


class ContextAnswer(BaseModel):
    """What the same process wrote around a line; both oldest first."""

    before: list[LineAnswer]
    line: LineAnswer
    after: list[LineAnswer]


class ViewAnswer(BaseModel):
    """A saved view."""

    id: str
    title: str
    description: str
    threshold_seconds: float | None = Field(description="From when on something is slow, where the view is about that")


class ViewList(BaseModel):
    views: list[ViewAnswer]


class Arrived(BaseModel):
    """What has arrived since, oldest first."""

    lines: list[LineAnswer]
    left_out: int = Field(description="Lines before these that are not told, as far as they were looked at")
    since: str = Field(description="Ask again with this")


def asked_query(
    asked: Asked,
    q: Annotated[
        str,
        Query(
            description='Words, all of which a line must hold; "a phrase"; name:value, name:"value", name:val*, '
            "name:*, name:>100; - before any of them for lines without it",
            max_length=2000,
        ),
    ] = "",
    service: str = "",
    level: Annotated[str, Query(description="This level and worse: debug, info, warn, error, fatal")] = "",
    view: Annotated[str, Query(description=f"A saved view: {', '.join(BUILT_IN)}")] = "",
    threshold: Annotated[str, Query(description="From when on something is slow in the view, such as 500ms")] = "",
    trace_id: Annotated[str, Query(description="32 hexadecimal digits")] = "",
    method: Annotated[str, Query(description="With route: lines of the requests of an endpoint")] = "",
    route: str = "",
) -> LogQuery:
    """Dependency: which lines are asked for."""
    said = {"q": q, "service": service, "level": level, "view": view, "threshold": threshold}
    return log_query(asked, said | {"trace_id": trace_id, "method": method, "route": route})


Lines = Annotated[LogQuery, Depends(asked_query)]


@router.get("", summary="Search log lines")
def search_logs(
    _: Noted,
    store: Store,
    principal: Anybody,
    query: Lines,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    before: Annotated[str, Query(description="`older` of the page before")] = "",
) -> LineList:
    """Lines that fit every condition, newest first."""
    found = logs.search(store, principal.scope, query, limit, cursor_asked(before))
    return LineList(lines=[answer(line) for line in found.lines], older=str(found.older) if found.older else None)


@router.get("/histogram", summary="How many lines there were, over time and by level")
def read_histogram(
    _: Noted, store: Store, principal: Anybody, query: Lines, bars: Annotated[int, Query(ge=1, le=1000)] = 90
) -> HistogramAnswer:
    found = log_counts.histogram(store, principal.scope, query, bars)
    return HistogramAnswer(
        step_seconds=found.step_seconds, times=found.times, by_level=found.by_level, lines=found.lines,
        errors=found.errors,
    )  # fmt: skip


@router.get("/facets", summary="The commonest values of the fields of lines")
def read_facets(
    _: Noted,
    store: Store,
    principal: Anybody,
    query: Lines,
    sample: Annotated[int, Query(ge=100, le=50_000, description="Lines to count on at most, the newest")] = 10_000,
) -> FacetList:
    return FacetList.model_validate(log_counts.facets(store, principal.scope, query, sample))


@router.get("/views", summary="Saved views that come with Tocsin")
def list_views(_: Anybody) -> ViewList:
    return ViewList(
        views=[
            ViewAnswer(
                id=view.id, title=view.title, description=view.description,
                threshold_seconds=view.took.threshold_seconds if view.took else None,
            )
            for view in BUILT_IN.values()
        ]
    )  # fmt: skip


@router.get(
    "/tail",
    summary="Lines as they arrive",
    response_model=Arrived,
    responses={
        200: {
            "description": "What arrived since; with `Accept: text/event-stream` events as it arrives, one line each, "
            f"and before them an event `{LEFT_OUT}` where so many came at once that some are not told",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        429: {"model": Problem, "description": "Too many lines are followed at once"},
    },
)
async def tail_logs(
    request: Request,
    _: Noted,
    store: Store,
    principal: Anybody,
    query: Lines,
    since: Annotated[str, Query(description="Unix nanoseconds, or `since` of the answer before; default now")] = "",
) -> Any:
    """Without asking for a stream, the lines whose time is `since` or later; their arrival may be up to 30 s late, so a
    program that must miss none asks for a stream."""
    begun_ns = _begun_ns(request.headers.get("last-event-id") or since)
    tail = Tail(query, begun_ns)
    if not wants_stream(request):
        found = await run_in_threadpool(tail.arrived, store, principal.scope, time.time_ns())
        newest = max((line.time_ns + 1 for line in found), default=begun_ns)
        return Arrived(lines=[answer(line) for line in found], left_out=tail.left_out, since=str(newest))
    return stream(request, tail, store, principal)


def stream(request: Request, tail: Tail, store: Store, principal: Anybody) -> Response:
    """The events of what arrives. 429 when too many are followed at once."""

    def ask() -> list[LogLine]:
        return tail.arrived(store, principal.scope, time.time_ns())

    answered = event_stream(request.app, ask, lambda lines: _events(lines, tail.left_out))
    if answered is None:
        raise HTTPException(429, TOO_MANY, headers={"Retry-After": "10"})
    return answered


def _events(lines: list[LogLine], left_out: int) -> Iterator[Event]:
    if left_out:
        yield Event(str(lines[0].time_ns), orjson.dumps({"left_out": left_out}).decode(), LEFT_OUT)
    for line in lines:
        yield Event(str(line.time_ns), orjson.dumps(answer(line).model_dump(mode="json")).decode())


@router.get("/{line_id}", summary="Read one line", responses=MISSING)
def read_line(request: Request, store: Store, principal: Anybody, line_id: str) -> LineAnswer:
    """The whole line."""
    return answer(_found(request, store, principal, line_id))


@router.get("/{line_id}/context", summary="Read what stands around a line", responses=MISSING)
def read_context(
    request: Request,
    store: Store,
    principal: Anybody,
    line_id: str,
    lines: Annotated[int, Query(ge=1, le=200, description="On each side")] = 20,
) -> ContextAnswer:
    """Lines of the same service and process just before and after it, within a day."""
    line = _found(request, store, principal, line_id)
    around = logs.context(store, principal.scope, line, lines)
    return ContextAnswer(
        before=[answer(each) for each in around.before],
        line=answer(line),
        after=[answer(each) for each in around.after],
    )


def _found(request: Request, store: Store, principal: Anybody, line_id: str) -> LogLine:
    try:
        line = logs.get(store, principal.scope, line_id)
    except LogQueryError as error:
        raise HTTPException(400, str(error)) from error
    if line is None:
        raise HTTPException(404, f"cannot find line {line_id}: it is unknown, too old, or outside your scope")
    note_read(request, principal, line.tenant or None, "logs")
    return line


def _begun_ns(text: str) -> int:
    if not text:
        return time.time_ns()
    if (since := since_ns(text)) is None:
        raise HTTPException(400, f"cannot follow lines since '{text[:40]}': write unix nanoseconds")
    return since


def answer(line: LogLine) -> LineAnswer:
    return LineAnswer(
        id=line.id,
        time=_moment(line.time_ns),
        time_unix_nano=str(line.time_ns),
        observed=_moment(line.observed_ns) if line.observed_ns else None,
        level=line.level,
        severity=line.severity,
        severity_text=line.severity_text,
        message=line.message,
        body=line.body,
        is_cut=line.is_cut,
        event_name=line.event_name,
        service=line.service,
        tenant=line.tenant,
        environment=line.environment,
        release=line.release,
        logger=line.logger,
        trace_id=line.trace_id,
        span_id=line.span_id,
        attributes=_plain(line.attributes),
        resource=_plain(line.resource),
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
