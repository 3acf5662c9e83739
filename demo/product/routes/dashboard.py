"""The start page's figures, and the search box above it."""

from __future__ import annotations

import time
from collections.abc import Hashable

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import tocsin
from demo.faults import CACHE_COLD, NOISY_NEIGHBOUR, POOL_EXHAUSTION
from demo.product.balances import balances_of_latest
from demo.product.flags import flag_variant
from demo.product.identity import Member
from demo.product.ledger import convert, load_rates
from demo.product.models import LedgerEntry, Project, Report
from demo.product.services import InServices, InSession, Services

router = APIRouter(tags=["dashboard"])


@router.get("/dashboard")
def dashboard(member: Member, session: InSession, services: InServices) -> dict[str, object]:
    if NOISY_NEIGHBOUR.bites(member.org_id):
        balances_of_latest(services.database, member.org_id)
    balance = services.cache.get_or_load(
        _balance_key(member.org_id), lambda: _balance(session, services, member.org_id)
    )
    return {"balance_cents": balance, "layout": flag_variant(session, "new-dashboard", member.org_id)}


@router.get("/search")
def search(member: Member, services: InServices, q: str) -> JSONResponse:
    session = services.database.open_session()
    hits = _search(session, member.org_id, q)
    if POOL_EXHAUSTION.bites(member.org_id):
        POOL_EXHAUSTION.hold(session)
        return JSONResponse(hits)
    session.close()
    return JSONResponse(hits)


def _balance_key(org_id: str) -> Hashable:
    if CACHE_COLD.bites(org_id):
        return ("balance", org_id, time.time_ns())
    return ("balance", org_id)


def _balance(session: Session, services: Services, org_id: str) -> int:
    with tocsin.span("sum ledger"):
        services.latency.wait(40)
        statement = (
            select(LedgerEntry.currency, func.sum(LedgerEntry.amount_cents))
            .where(LedgerEntry.org_id == org_id)
            .group_by(LedgerEntry.currency)
        )
        rates = load_rates(session, org_id)
        return sum(convert(cents, currency, rates) for currency, cents in session.execute(statement))


def _search(session: Session, org_id: str, text: str) -> dict[str, list[str]]:
    projects = select(Project.name).where(Project.org_id == org_id, Project.name.icontains(text, autoescape=True))
    reports = select(Report.title).where(Report.org_id == org_id, Report.title.icontains(text, autoescape=True))
    return {
        "projects": list(session.scalars(projects.limit(20))),
        "reports": list(session.scalars(reports.limit(20))),
    }
