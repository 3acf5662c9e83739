"""/api/v1/data: what is deleted and what is on hold, for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from tocsin.storage.keeping import Keeping
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
