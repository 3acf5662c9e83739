"""/api/v1/logs/patterns: what the logs say, each thing once, with counts, history and lines; and two sides compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query.log_patterns import LogPattern, PatternLine, compared, lines_of, log_pattern, log_patterns
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING
from tocsin.web.auth import Anybody
from tocsin.web.refusals import RefusingRoute

router = APIRouter(
    prefix="/api/v1/logs/patterns",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
    route_class=RefusingRoute,
)
Level = Literal["trace", "debug", "info", "warn", "error", "fatal"]
Service = Annotated[str, Query(description="service.name; all without it")]
Release = Annotated[str, Query(description="Lines of this release only")]
Limit = Annotated[int, Query(ge=1, le=1000)]


class PatternAnswer(BaseModel):
    """Lines alike in all but their values."""

    id: str = Field(description="16 hexadecimal digits; stays while the template widens")
    service: str
    template: str = Field(description="<*> stands for a value; empty in the seconds until a new line is looked at")
    example: str
    level: str = Field(description="Of most lines")
    lines: int
    share: float = Field(description="Of all lines asked about, 0–1")
    tenants: list[str] = Field(description="Most lines first")
    releases: list[str]
    is_new: bool = Field(description="Seen for the first time in the time asked for")
    first_seen: datetime = Field(description="Since logs are kept")
    last_seen: datetime
    first_release: str
    course: list[int] = Field(description="Lines in equal steps of the time asked for")


class PatternList(BaseModel):
    """Most lines first."""

    patterns: list[PatternAnswer]


class LineAnswer(BaseModel):
    """A line of a pattern."""

    time: datetime
    tenant: str
    level: str
    message: str = Field(description="The readable part: of a line of JSON its message, of any other the line")
    body: str = Field(description="The line as it was sent")
    trace_id: str


class PatternDetail(PatternAnswer):
    """A pattern with its newest lines."""

    newest: list[LineAnswer]


class ChangeAnswer(BaseModel):
    """A pattern on both sides. Shares of all lines of a side are compared."""

    pattern: PatternAnswer
    verdict: Literal["new", "more", "gone", "less", "same"]
    lines_before: int
    share_before: float
    factor: float | None = Field(description="How many times its share has grown; null for a new one")


class ChangeList(BaseModel):
    """New first, then what grew, is gone and shrank."""

    changes: list[ChangeAnswer]


@router.get("", summary="Patterns of log lines")
def list_patterns(
    store: Store,
    principal: Anybody,
    asked: Asked,
    service: Service = "",
    release: Release = "",
    level: Annotated[list[Level] | None, Query(description="Can be given several times")] = None,
    limit: Limit = 100,
) -> PatternList:
    narrowed = replace(asked, service=service or None)
    rows = log_patterns(
        store, principal.scope, narrowed, release=release or None, levels=[str(one) for one in level or ()], limit=limit
    )
    return PatternList(patterns=[_answer(row) for row in rows])


@router.get("/compare", summary="Patterns of two times, tenants or releases")
def compare_patterns(
    store: Store,
    principal: Anybody,
    asked: Asked,
    service: Service = "",
    release: Release = "",
    with_tenant: Annotated[str, Query(description="The other side's tenant")] = "",
    with_release: Annotated[str, Query(description="The other side's release")] = "",
    limit: Limit = 100,
) -> ChangeList:
    """Against another tenant or release in the same time, or without either against the time just before."""
    here = replace(asked, service=service or None)
    is_time = not with_tenant and not with_release
    there = replace(here, window=here.window.before()) if is_time else here
    if with_tenant:
        there = replace(there, tenant=with_tenant)
    changes = compared(
        store, principal.scope, here, there, release=release or None, release_before=with_release or release or None,
        limit=limit,
    )  # fmt: skip
    return ChangeList(
        changes=[
            ChangeAnswer(
                pattern=_answer(one.pattern),
                verdict=one.verdict,
                lines_before=one.lines_before,
                share_before=one.share_before,
                factor=one.factor,
            )
            for one in changes
        ]
    )


@router.get("/{pattern}", summary="One pattern with its newest lines", responses=MISSING)
def read_pattern(store: Store, principal: Anybody, asked: Asked, pattern: str, limit: Limit = 50) -> PatternDetail:
    found = log_pattern(store, principal.scope, asked, pattern)
    if found is None:
        raise HTTPException(
            404, f"cannot find pattern {pattern[:40]}: it has no line in this time or your scope; ask for a longer time"
        )
    lines = lines_of(store, principal.scope, asked, found, limit)
    return PatternDetail(**_answer(found).model_dump(), newest=[_line(line) for line in lines])


def _answer(row: LogPattern) -> PatternAnswer:
    return PatternAnswer(
        id=row.name, service=row.service, template=row.template, example=row.example, level=row.level, lines=row.lines,
        share=row.share, tenants=row.tenants, releases=row.releases, is_new=row.is_new,
        first_seen=_moment(row.first_ns), last_seen=_moment(row.last_ns),
        first_release=row.first_release, course=row.course,
    )  # fmt: skip


def _line(line: PatternLine) -> LineAnswer:
    return LineAnswer(
        time=_moment(line.time_ns), tenant=line.tenant, level=line.level, message=line.message, body=line.body,
        trace_id=line.trace_id,
    )  # fmt: skip


def _moment(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)
