"""Files in and out: attachments uploaded to a project, its ledger streamed as CSV."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator

from fastapi import APIRouter, HTTPException, UploadFile, status
from fastapi.responses import StreamingResponse
from sqlalchemy import select

import tocsin
from demo.product.database import Database
from demo.product.latency import Latency
from demo.product.ledger import convert, load_rates
from demo.product.models import Attachment, LedgerEntry
from demo.product.routes.projects import InProject
from demo.product.services import InServices, InSession

router = APIRouter(prefix="/projects/{project_id}", tags=["files"])

log = logging.getLogger("tallyroom.files")

LIMIT_BYTES = 2_000_000
_TEST_VIRUS = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE"
_ROWS_PER_CHUNK = 200


@router.post("/attachments", status_code=status.HTTP_201_CREATED)
def attach(file: UploadFile, project: InProject, session: InSession, services: InServices) -> dict[str, object]:
    content = file.file.read(LIMIT_BYTES + 1)
    if len(content) > LIMIT_BYTES:
        raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, f"attachments may have {LIMIT_BYTES} bytes at most")
    services.latency.wait(15)
    attachment = Attachment(
        org_id=project.org_id,
        project_id=project.id,
        filename=file.filename or "unnamed",
        body_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    session.add(attachment)
    session.commit()
    # Nobody waits for the scan; it stays part of the request that brought the file.
    threading.Thread(target=tocsin.wrap(_scan), args=(attachment.id, content), name="scan", daemon=True).start()
    return {"id": attachment.id, "body_bytes": attachment.body_bytes, "sha256": attachment.sha256}


def _scan(attachment_id: int, content: bytes) -> None:
    facts = {"event": "attachment.scanned", "attachment": attachment_id, "bytes": len(content)}
    if _TEST_VIRUS in content:
        log.error("attachment %d is infected", attachment_id, extra=facts)
    else:
        log.info("attachment %d scanned", attachment_id, extra=facts)


@router.get("/ledger.csv")
def download_ledger(project: InProject, session: InSession, services: InServices) -> StreamingResponse:
    rates = load_rates(session, project.org_id)
    # Convert one cent of the own currency before the first byte: a missing rate is a 500, not a torn download.
    convert(1, _own_currency(session, project.id), rates)
    rows = _ledger_rows(services.database, services.latency, project.id, rates)
    return StreamingResponse(rows, media_type="text/csv")


def _own_currency(session: InSession, project_id: int) -> str:
    statement = select(LedgerEntry.currency).where(LedgerEntry.project_id == project_id).limit(1).offset(1)
    return session.scalars(statement).one_or_none() or "USD"


def _ledger_rows(database: Database, latency: Latency, project_id: int, rates: dict[str, float]) -> Iterator[str]:
    yield "booked_on,account,currency,amount_cents,converted_cents\n"
    statement = select(LedgerEntry).where(LedgerEntry.project_id == project_id).order_by(LedgerEntry.booked_on)
    with database.session() as session:
        for chunk in session.scalars(statement).partitions(_ROWS_PER_CHUNK):
            latency.wait(4)
            yield "".join(_csv_line(entry, rates) for entry in chunk)


def _csv_line(entry: LedgerEntry, rates: dict[str, float]) -> str:
    converted = convert(entry.amount_cents, entry.currency, rates)
    return f"{entry.booked_on},{entry.account},{entry.currency},{entry.amount_cents},{converted}\n"
