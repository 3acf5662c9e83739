"""/api/v1/isolation: crossings between tenants, what was checked, and the record of a month."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query import isolation
from tocsin.query.isolation_record import MonthError, records
from tocsin.web import isolation_headline
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, Shown
from tocsin.web.auth import Anybody
from tocsin.web.words import Speech

router = APIRouter(
    prefix="/api/v1/isolation",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
)


class CrossingAnswer(BaseModel):
    """A statement, key or job that touched another tenant's data, for one pair of tenants."""

    how: str = Field(
        description="row: read; predicate: asked for by name; write: written; key: used in a Redis command; "
        "queued, run: named by a job"
    )
    table: str = Field(description="Table, kind of key, or job")
    column: str = Field(description="Column, place in the key, or argument that names the tenant")
    cause: str
    statement: str = Field(description="Without its values")
    fingerprint: str
    code_path: str
    code_line: int
    code_function: str
    method: str
    route: str
    service: str
    tenant: str = Field(description="Of the request; '' where it is another's and not yours to know")
    row_tenant: str = Field(description="Of the rows; '' where it is another's and not yours to know")
    is_declared: bool = Field(description="False: the column was found by its name, the crossing is a suspicion")
    count: int
    rows: int
    first: datetime
    last: datetime
    trace_id: str


class UnscopedAnswer(BaseModel):
    """A statement on tables of tenants that nothing holds to one."""

    statement: str
    fingerprint: str
    verb: str
    tables: str
    service: str
    routes: list[str]
    code_path: str
    code_line: int
    count: int
    last: datetime
    trace_id: str


class ExemptionAnswer(BaseModel):
    """Work that crossed with leave."""

    reason: str
    route: str
    service: str
    code_path: str
    code_line: int
    tenants: list[str]
    count: int
    last: datetime


class CoverageAnswer(Shown):
    """What was checked for one tenant; '' is work without a tenant."""

    tenant: str
    statements: dict[str, int] = Field(description="By result: scoped, rows, unscoped, exempt, not_checked")
    unchecked: dict[str, int] = Field(description="Those not checked, by reason")
    total: int
    rows: int
    read_others: int = Field(description="Statements in its requests that touched another tenant's rows")
    read_by_others: int = Field(description="Statements in others' requests that touched its rows")
    suspicions: int
    keys: dict[str, int] = Field(description="Keys of Redis that name a tenant, by result: scoped, exempt, not_checked")
    jobs: dict[str, int] = Field(description="Arguments of jobs that name a tenant, as queued and as run, by result")
    checked_share: float | None = Field(description="0 to 1, exempt statements left out; null without any")


class IsolationAnswer(BaseModel):
    """The isolation page for programs."""

    state: str = Field(description="bad: a crossing; warn: a suspicion, or nothing could be checked; ok; quiet")
    sentence: str
    crossings: list[CrossingAnswer]
    unscoped: list[UnscopedAnswer] = Field(description="For readers of the whole platform")
    exemptions: list[ExemptionAnswer]
    coverage: list[CoverageAnswer]


class RecordList(BaseModel):
    """The records of a month, one a tenant you may see."""

    records: list[dict[str, Any]] = Field(
        description="sha256 is that of the record's JSON without it: keys sorted, no space, UTF-8"
    )


@router.get("", summary="Say whether tenants are kept apart")
def read_isolation(store: Store, principal: Anybody, asked: Asked) -> IsolationAnswer:
    scope = principal.scope
    coverages = isolation.coverage(store, scope, asked)
    crossed = isolation.crossings(store, scope, asked)
    loose = isolation.unscoped(store, scope, replace(asked, tenant=None))
    checked = len([each for each in coverages if each.tenant and each.checked])
    total = isolation.altogether(coverages)
    said = isolation_headline.isolation(_speech(), crossed, total, checked, len(loose), scope.is_platform)
    return IsolationAnswer(
        state=said.state,
        sentence=said.text,
        crossings=_all(CrossingAnswer, crossed),
        unscoped=_all(UnscopedAnswer, loose),
        exemptions=_all(ExemptionAnswer, isolation.exemptions(store, scope, asked)),
        coverage=[CoverageAnswer.model_validate(each) for each in coverages],
    )


@router.get("/record", summary="Give the record of a month")
def read_record(
    store: Store,
    principal: Anybody,
    month: Annotated[str, Query(description="In UTC, such as 2026-11")],
    tenant: Annotated[str | None, Query(description="One tenant; without it all you may see")] = None,
    environment: Annotated[str | None, Query(description="deployment.environment.name")] = None,
) -> RecordList:
    try:
        found = records(store, principal.scope, month, tenant or None, environment or None, time.time_ns())
    except MonthError as error:
        raise HTTPException(400, str(error)) from error
    return RecordList(records=found)


def _all(model: Callable[..., Any], rows: Iterable[Any]) -> list[Any]:
    """Answers out of rows whose times are nanoseconds."""
    made = []
    for row in rows:
        facts = {name: getattr(row, name) for name in row.__slots__}
        for name in ("first", "last"):
            if f"{name}_ns" in facts:
                facts[name] = datetime.fromtimestamp(facts.pop(f"{name}_ns") / 1e9, UTC)
        made.append(model(**facts))
    return made


def _speech() -> Speech:
    """Sentences for programs link nowhere; times are UTC."""
    return Speech(lambda path, **_: path, lambda **_: "", time.time_ns(), UTC, "this time", "the time before")
