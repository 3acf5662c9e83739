"""Invoices of a project; another service renders them."""

from __future__ import annotations

import logging

from fastapi import APIRouter, HTTPException, status
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select

from demo.product.database import Database
from demo.product.identity import Member
from demo.product.models import Invoice
from demo.product.rendering import RenderingError
from demo.product.services import InServices, InSession

router = APIRouter(prefix="/invoices", tags=["invoices"])
log = logging.getLogger("tallyroom.business")


@router.get("")
def list_invoices(member: Member, session: InSession, services: InServices) -> list[dict[str, object]]:
    services.latency.wait(6)
    statement = select(Invoice).where(Invoice.org_id == member.org_id).order_by(Invoice.id.desc()).limit(50)
    return [
        {"id": invoice.id, "number": invoice.number, "total_cents": invoice.total_cents}
        for invoice in session.scalars(statement)
    ]


@router.post("/{invoice_id}/render")
async def render_invoice(invoice_id: int, member: Member, services: InServices) -> dict[str, str]:
    invoice = await run_in_threadpool(_load, services.database, invoice_id, member.org_id)
    if invoice is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no invoice {invoice_id}")
    try:
        document = await services.renderer.render(member.org_id, invoice.number, invoice.customer, invoice.total_cents)
    except RenderingError as error:
        log.error("invoice %s was not rendered: %s", invoice.number, error, extra={"event": "invoice.failed"})
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, str(error)) from error
    await run_in_threadpool(_store, services.database, invoice_id, document)
    facts = {"event": "invoice.rendered", "invoice": invoice.number, "total_cents": invoice.total_cents}
    log.info("invoice %s rendered", invoice.number, extra=facts)
    return {"number": invoice.number, "document": document}


def _load(database: Database, invoice_id: int, org_id: str) -> Invoice | None:
    with database.session() as session:
        statement = select(Invoice).where(Invoice.id == invoice_id, Invoice.org_id == org_id)
        return session.scalars(statement).one_or_none()


def _store(database: Database, invoice_id: int, document: str) -> None:
    with database.session() as session:
        session.get_one(Invoice, invoice_id).document = document
        session.commit()
