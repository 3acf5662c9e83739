"""/api/v1/data: what is deleted and what is on hold, for administrators."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from tocsin.model.units import days_from
from tocsin.storage.keeping import Cleanup, Export, Keeping
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
    exported_to: str = Field(
        "", description="Only days whose export to this target is read back and is what is stored now"
    )
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
        wanted = Cleanup(days_from(asked.older_than), asked.signals, asked.tenant, asked.exported_to)
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


class ExportRequest(BaseModel):
    """Days (UTC) to write as Parquet."""

    signals: list[str] = Field(min_length=1, description="traces, logs, events, metrics")
    first: date
    last: date
    target: str = Field(description="A folder below the server's exports, or s3://bucket/prefix", examples=["cold"])
    tenant: str = Field("", description="Only this tenant's")


class ExportedFile(Shown):
    """A file of an export, as its manifest lists it."""

    file: str
    signal: str
    table: str
    day: date
    tenant: str
    rows: int
    content: str = Field(description="The sum of a hash of every row")
    bytes: int
    sha256: str = Field(description="Empty for what lies in S3")


class ExportAnswer(BaseModel):
    files: list[ExportedFile]


class CheckedFile(Shown):
    exported: ExportedFile
    problem: str = Field(description="Empty when the file is as it was exported")


class VerifyAnswer(BaseModel):
    files: list[CheckedFile]


@router.post("/exports", status_code=201, summary="Export days as Parquet")
def export(request: Request, admin: Admin, asked: ExportRequest) -> ExportAnswer:
    wanted = Export(tuple(asked.signals), asked.first, asked.last, asked.target, asked.tenant)
    try:
        done = keeping_of(request).export(admin, wanted)
    except OSError as error:
        raise HTTPException(507, f"cannot write the export: {error}; free disk or name another folder") from error
    return ExportAnswer(files=[ExportedFile.model_validate(one) for one in done])


@router.get("/exports", summary="Read an export back")
def verify_export(request: Request, _: Admin, target: str) -> VerifyAnswer:
    return VerifyAnswer(files=[CheckedFile.model_validate(one) for one in keeping_of(request).verify(target)])
