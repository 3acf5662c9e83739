"""/api/v1/data: what is deleted and what is on hold, for administrators."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from tocsin.model.units import days_from
from tocsin.storage.keeping import Cleanup, Keeping
from tocsin.web.api.contract import BEARER, CONFLICT, MISSING, REFUSALS, Shown
from tocsin.web.auth import Admin
from tocsin.web.refusals import RefusingRoute

router = APIRouter(
    prefix="/api/v1/data",
    tags=["monitoring"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)


def keeping_of(request: HTTPConnection) -> Keeping:
    keeping: Keeping = request.app.state.tocsin.keeping
    return keeping


class HoldAnswer(Shown):
    """A tenant whose telemetry nothing deletes."""

    tenant: str
    reason: str
    placed_at: datetime
    placed_by: str


class HoldList(BaseModel):
    holds: list[HoldAnswer]


class NewHold(BaseModel):
    tenant: str
    reason: str = Field(description="Goes into the audit", examples=["case 2026-118"])


@router.get("/holds", summary="Tenants on legal hold")
def list_holds(request: Request, _: Admin) -> HoldList:
    return HoldList(holds=[HoldAnswer.model_validate(hold) for hold in keeping_of(request).holds.all()])


@router.post("/holds", status_code=201, summary="Put a tenant on legal hold", responses=CONFLICT)
def place_hold(request: Request, admin: Admin, new: NewHold) -> HoldAnswer:
    return HoldAnswer.model_validate(keeping_of(request).place(admin, new.tenant, new.reason))


@router.delete("/holds/{tenant}", summary="Lift a legal hold", responses=MISSING)
def lift_hold(
    request: Request, admin: Admin, tenant: str, reason: Annotated[str, Query(description="Goes into the audit")]
) -> HoldAnswer:
    return HoldAnswer.model_validate(keeping_of(request).lift(admin, tenant, reason))


class CleanupRequest(BaseModel):
    """What is to be deleted."""

    older_than: str = Field(description="Whole days (UTC)", examples=["30days", "30d"])
    signals: list[str] = Field(
        default_factory=list, description="traces, logs, events, metrics, rates; all but rates unless given"
    )
    tenant: str = Field("", description="Only this tenant's")
    dry_run: bool = Field(False, description="Tell what would go, and delete nothing")


class OldData(Shown):
    """What goes of a table and day."""

    signal: str
    table: str
    day: date
    rows: int
    disk_bytes: int = Field(description="In proportion, where a part holds rows that stay")
    parts: int


class CleanupAnswer(BaseModel):
    before: date = Field(description="Days before this one are old enough")
    dry_run: bool
    rows: int
    disk_bytes: int
    held: list[str] = Field(description="Tenants on legal hold, whose telemetry stays")
    deleted: list[OldData]


@router.post("/cleanup", summary="Delete old telemetry", responses=CONFLICT)
def clean(request: Request, admin: Admin, asked: CleanupRequest) -> CleanupAnswer:
    try:
        wanted = Cleanup(days_from(asked.older_than), asked.signals, asked.tenant)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    keeping = keeping_of(request)
    cleaned = keeping.find_old(wanted) if asked.dry_run else keeping.clean(admin, wanted)
    return CleanupAnswer(
        before=cleaned.before,
        dry_run=asked.dry_run,
        rows=sum(one.rows for one in cleaned.found),
        disk_bytes=sum(one.disk_bytes for one in cleaned.found),
        held=sorted(cleaned.held),
        deleted=[OldData.model_validate(one) for one in cleaned.found],
    )
