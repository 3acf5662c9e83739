"""/api/v1/errors: groups of errors with what is known and decided about them, and what clients get wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from tocsin.query import client_errors, error_history
from tocsin.query.error_history import SeenIn
from tocsin.web import error_actions
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING, Shown
from tocsin.web.api.figures import Narrowed
from tocsin.web.auth import Anybody, Operator
from tocsin.web.error_list import ErrorRow, found, instant, listed
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/errors",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
    route_class=RefusingRoute,
)
Wanted = Literal["all", "open", "new", "regressed", "resolved", "ignored"]


class DecisionAnswer(Shown):
    """Resolved or ignored, by whom and until when."""

    is_resolved: bool = Field(description="Else ignored")
    decided_at: datetime
    decided_by: str
    note: str
    releases: list[str] = Field(description="Resolved from the next release on: those that do not count")
    until: datetime | None
    occurrences: int | None = Field(description="Ignored until it occurs so many times more")


class ErrorAnswer(BaseModel):
    """A group of errors. `count`, `tenants`, `routes` are of the time asked for, most frequent first; if it did not
    occur then, tenants and routes are of ever."""

    fingerprint: str
    type: str
    message: str = Field(description="Of the latest")
    place: str = Field(description="The innermost line of the app: app/rates.py:41 in convert")
    state: Literal["open", "regressed", "resolved", "ignored"]
    is_new: bool = Field(description="Seen for the first time in the time asked for")
    count: int
    total: int = Field(description="Since it is known")
    tenants: list[str]
    services: list[str]
    routes: list[str]
    releases: list[str] = Field(description="In the order in which they had it")
    first_release: str
    first_seen: datetime = Field(description="Ever")
    last_seen: datetime
    sample_trace_id: str = Field(description="Of the latest")
    decision: DecisionAnswer | None


class ErrorList(BaseModel):
    """Groups: those that came back first, then new ones, then the most frequent."""

    errors: list[ErrorAnswer]


class SeenAnswer(BaseModel):
    """A release, tenant or endpoint of a group."""

    name: str
    count: int
    first_seen: datetime
    last_seen: datetime


class CourseAnswer(BaseModel):
    """Occurrences by tenant; every list is as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    by_tenant: dict[str, list[int]]


class ErrorDetail(ErrorAnswer):
    """A group with its stack and course."""

    stack: str = Field(description="Of the latest; empty when its trace is gone")
    seen_in_releases: list[SeenAnswer]
    seen_by_tenants: list[SeenAnswer]
    seen_at: list[SeenAnswer]
    course: CourseAnswer | None


class ClientErrorAnswer(Shown):
    """The 4xx of an endpoint."""

    service: str
    method: str
    route: str
    requests: int
    client_errors: int
    statuses: list[tuple[int, int]] = Field(description="(status, requests), most first")
    tenants: list[str]


class ClientErrorList(BaseModel):
    endpoints: list[ClientErrorAnswer]


class FieldAnswer(Shown):
    """A field that failed validation."""

    service: str
    method: str
    route: str
    field: str = Field(examples=["body.items[].price"])
    type: str = Field(examples=["missing"])
    tenant: str
    count: int


class FieldList(BaseModel):
    fields: list[FieldAnswer]


class Resolving(BaseModel):
    """How a group is resolved."""

    in_next_release: bool = Field(False, description="Only occurrences in a release that is not running yet count")
    note: str = Field("", max_length=500)


class Ignoring(BaseModel):
    """How long a group is ignored: without `until` and `occurrences` for good."""

    until: datetime | None = None
    occurrences: int | None = Field(None, ge=1, le=10**9, description="More than it has now")
    note: str = Field("", max_length=500)


@router.get("", summary="Groups of errors")
def list_errors(
    request: Request,
    store: Store,
    principal: Anybody,
    asked: Narrowed,
    state: Annotated[Wanted, Query(description="open includes what came back")] = "all",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> ErrorList:
    rows = listed(store, control_of(request), principal.scope, asked, _now())
    return ErrorList(errors=[_answer(row) for row in rows if state == "all" or row.is_in(state)][:limit])


@router.get("/clients", summary="4xx by endpoint")
def list_client_errors(
    store: Store, principal: Anybody, asked: Narrowed, limit: Annotated[int, Query(ge=1, le=1000)] = 20
) -> ClientErrorList:
    rows = client_errors.client_errors(store, principal.scope, asked, limit)
    return ClientErrorList(endpoints=[ClientErrorAnswer.model_validate(row) for row in rows])


@router.get("/fields", summary="Fields that fail validation, by endpoint and tenant")
def list_fields(
    store: Store, principal: Anybody, asked: Narrowed, limit: Annotated[int, Query(ge=1, le=1000)] = 20
) -> FieldList:
    rows = client_errors.failing_fields(store, principal.scope, asked, limit)
    return FieldList(fields=[FieldAnswer.model_validate(row) for row in rows])


@router.get("/{fingerprint}", summary="One group of errors", responses=MISSING)
def read_error(request: Request, store: Store, principal: Anybody, asked: Asked, fingerprint: str) -> ErrorDetail:
    row = found(store, control_of(request), principal.scope, asked, fingerprint, _now())
    if row is None:
        raise HTTPException(404, f"cannot find error {fingerprint[:80]}: it never occurred, or not in your scope")
    history, course = row.history, row.course
    return ErrorDetail(
        **_answer(row).model_dump(),
        stack=error_history.stack_of(store, principal.scope, fingerprint, history.latest_trace_id),
        seen_in_releases=[_seen(part) for part in history.releases],
        seen_by_tenants=[_seen(part) for part in history.tenants],
        seen_at=[_seen(part) for part in history.routes],
        course=CourseAnswer.model_validate(course, from_attributes=True) if course else None,
    )


@router.post("/{fingerprint}/resolve", summary="Say that a group is fixed", responses=MISSING)
def resolve_error(request: Request, operator: Operator, fingerprint: str, how: Resolving) -> DecisionAnswer:
    decision = error_actions.resolve(request, operator, fingerprint, in_next_release=how.in_next_release, note=how.note)
    return DecisionAnswer.model_validate(decision)


@router.post("/{fingerprint}/ignore", summary="Ignore a group, for a while or for good", responses=MISSING)
def ignore_error(request: Request, operator: Operator, fingerprint: str, how: Ignoring) -> DecisionAnswer:
    until = how.until.replace(tzinfo=how.until.tzinfo or UTC) if how.until else None
    decision = error_actions.ignore(
        request, operator, fingerprint, until=until, occurrences=how.occurrences, note=how.note
    )
    return DecisionAnswer.model_validate(decision)


@router.post("/{fingerprint}/reopen", status_code=204, summary="Take a decision back", responses=MISSING)
def reopen_error(request: Request, operator: Operator, fingerprint: str) -> None:
    error_actions.reopen(request, operator, fingerprint)


def _now() -> datetime:
    return datetime.now(UTC)


def _answer(row: ErrorRow) -> ErrorAnswer:
    history = row.history
    return ErrorAnswer(
        fingerprint=row.fingerprint,
        type=history.type,
        message=history.message,
        place=history.place,
        state=row.state.value,
        is_new=row.is_new,
        count=row.count,
        total=history.count,
        tenants=row.tenants,
        services=list(history.services),
        routes=row.routes,
        releases=[part.name for part in history.releases],
        first_release=history.first_release,
        first_seen=instant(history.first_ns),
        last_seen=instant(history.last_ns),
        sample_trace_id=history.latest_trace_id,
        decision=DecisionAnswer.model_validate(row.decision) if row.decision else None,
    )


def _seen(part: SeenIn) -> SeenAnswer:
    return SeenAnswer(
        name=part.name, count=part.count, first_seen=instant(part.first_ns), last_seen=instant(part.last_ns)
    )
