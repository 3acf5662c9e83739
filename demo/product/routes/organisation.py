"""The caller's organisation: its plan, its people, its feature flags."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import func, select

from demo.product.flags import flag_variants
from demo.product.identity import Member
from demo.product.models import Membership, Organisation, User
from demo.product.services import InServices, InSession

router = APIRouter(prefix="/organisation", tags=["organisation"])


@router.get("")
def organisation(member: Member, session: InSession) -> dict[str, object]:
    org = session.get_one(Organisation, member.org_id)
    seats = session.scalar(select(func.count()).where(Membership.org_id == org.id))
    return {"id": org.id, "name": org.name, "plan": org.plan, "currency": org.currency, "seats": seats}


@router.get("/members")
def members(member: Member, session: InSession, services: InServices, limit: int = 50) -> list[dict[str, object]]:
    services.latency.wait(5)
    statement = (
        select(User.name, User.email, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.org_id == member.org_id)
        .order_by(User.name)
        .limit(min(limit, 200))
    )
    return [dict(row) for row in session.execute(statement).mappings()]


@router.get("/flags")
def flags(member: Member, session: InSession) -> dict[str, str]:
    return flag_variants(session, member.org_id)
