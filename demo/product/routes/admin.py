"""The admin panel of Tallyroom's staff: every organisation at a glance, feature flags."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, HTTPException, status
from pydantic import BaseModel
from sqlalchemy import func, select

import tocsin
from demo.product.flags import DEFAULT, set_flag_variant
from demo.product.identity import Staff
from demo.product.models import Membership, Organisation
from demo.product.services import InServices, InSession

router = APIRouter(prefix="/admin", tags=["admin"])
flags = APIRouter(prefix="/flags")


class Variant(BaseModel):
    """The variant an organisation (or `*`) gets."""

    variant: str


@router.get("/organisations")
def organisations(staff: Staff, session: InSession, services: InServices) -> list[dict[str, object]]:
    services.latency.wait(25)
    statement = (
        select(Organisation.id, Organisation.plan, func.count(Membership.user_id).label("seats"))
        .join(Membership, Membership.org_id == Organisation.id)
        .group_by(Organisation.id)
        .order_by(Organisation.id)
    )
    with tocsin.cross_tenant("admin panel"):
        return [dict(row) for row in session.execute(statement).mappings()]


@flags.put("/{flag}/{org_id}")
def set_flag(
    flag: Literal["new-dashboard", "export-format"], org_id: str, wanted: Variant, staff: Staff, session: InSession
) -> dict[str, str]:
    with tocsin.cross_tenant("admin panel"):
        if org_id != DEFAULT and session.get(Organisation, org_id) is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"no organisation {org_id!r}")
        set_flag_variant(session, flag, org_id, wanted.variant)
    return {"flag": flag, "org_id": org_id, "variant": wanted.variant}


router.include_router(flags)
