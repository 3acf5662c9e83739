"""/api/v1/operations: critical operations with their success, durations and tenants."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, Field

from tocsin.query import operations as query
from tocsin.query.filters import Filter
from tocsin.query.operations import OperationRow, Tally, tone_for
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1/operations",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
)

WORDS = {"ok": "normal", "warn": "warning", "bad": "critical", None: "no runs"}


class TallyAnswer(BaseModel):
    """Runs of an operation."""

    success: int
    failure: int
    rejected: int = Field(description="Asked for wrongly, such as with a wrong password; no failure of the operation")
    success_ratio: float | None = Field(description="Of those not rejected, 0 to 1")
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    reasons: dict[str, int] = Field(description="Of failures")
    band: str = Field(description="normal, warning or critical, by the operation's thresholds")


class OperationAnswer(BaseModel):
    """A critical operation."""

    operation: str
    rate: float = Field(description="Runs per second")
    now: TallyAnswer
    week_before: TallyAnswer
    services: list[str]
    tenants_hurt: list[str] = Field(description="Whose success is below normal, most failures first")


class OperationList(BaseModel):
    """Critical operations, the worst first."""

    operations: list[OperationAnswer]


class PointAnswer(BaseModel):
    at: int = Field(description="Unix seconds, start of the step")
    run_rate: float
    failure_rate: float
    success_ratio: float | None
    p50_seconds: float | None
    p95_seconds: float | None


class OperationDetail(OperationAnswer):
    """One operation, over time and per tenant."""

    tenants: dict[str, TallyAnswer]
    step_seconds: int
    series: list[PointAnswer]


@router.get("", summary="List critical operations")
def list_operations(
    store: Store, principal: Anybody, asked: Asked, service: Annotated[str | None, Query()] = None
) -> OperationList:
    rows = query.operations(store, principal.scope, _of(asked, service))
    return OperationList(operations=[OperationAnswer(**_fields(row)) for row in rows])


@router.get("/{operation}", summary="Read one critical operation", responses=MISSING)
def read_operation(
    store: Store,
    principal: Anybody,
    asked: Asked,
    operation: Annotated[str, Path(max_length=64)],
    service: Annotated[str | None, Query()] = None,
) -> OperationDetail:
    narrowed = _of(asked, service)
    rows = query.operations(store, principal.scope, narrowed, operation)
    if not rows:
        raise HTTPException(404, f"cannot find operation '{operation}': it did not run then; see /api/v1/operations")
    found = query.series(store, principal.scope, narrowed, operation)
    columns = zip(
        found.times, found.run_rate, found.failure_rate, found.success_ratio, found.p50_seconds, found.p95_seconds,
        strict=True,
    )  # fmt: skip
    names = tuple(PointAnswer.model_fields)
    return OperationDetail(
        **_fields(rows[0]),
        tenants={name: _tally(operation, tally) for name, tally in rows[0].tenants.items()},
        step_seconds=found.step_seconds,
        series=[PointAnswer.model_validate(dict(zip(names, point, strict=True))) for point in columns],
    )


def _of(asked: Filter, service: str | None) -> Filter:
    return Filter(asked.window, asked.environment, asked.tenant, service or None)


def _fields(row: OperationRow) -> dict[str, Any]:
    return {
        "operation": row.operation,
        "rate": row.rate,
        "now": _tally(row.operation, row.now),
        "week_before": _tally(row.operation, row.week_before),
        "services": row.services,
        "tenants_hurt": row.hurt,
    }


def _tally(operation: str, tally: Tally) -> TallyAnswer:
    return TallyAnswer(
        success=tally.success,
        failure=tally.failure,
        rejected=tally.rejected,
        success_ratio=tally.success_ratio,
        p50_seconds=tally.p50_seconds,
        p95_seconds=tally.p95_seconds,
        p99_seconds=tally.p99_seconds,
        reasons=dict(tally.top_reasons),
        band=WORDS[tone_for(operation, tally.success_ratio)],
    )
