"""/api/v1/webhooks/alerts: alerts from whatever can send a webhook, signed or with a token, each request once."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tocsin.alerts.intake import Refused
from tocsin.alerts.webhook_in import WebhookError, alerts_in
from tocsin.notify.channels.webhook import is_signed
from tocsin.web.alerting import pipeline_of
from tocsin.web.api.alertmanager import sender
from tocsin.web.api.contract import BEARER, REFUSALS
from tocsin.web.state import control_of

LARGEST_BYTES = 4 * 1024 * 1024
REMEMBERED_SECONDS = 600.0  # twice as long as a signature is believed
TAKEN = "taken"

router = APIRouter(tags=["alerts"], dependencies=[Depends(BEARER)], responses=REFUSALS)


class Taken(BaseModel):
    alerts: int = Field(description="How many were taken; none where this request was taken before")
    is_repeated: bool = Field(description="Whether a request of the same webhook-id was taken before")


@router.post("/api/v1/webhooks/alerts", summary="Take alerts from a webhook")
async def take(request: Request, webhook_id: Annotated[str, Header(max_length=300)] = "") -> Taken:
    """Alertmanager's and Grafana's JSON (`alerts` with `status`, `labels`, `annotations`), or one alert: `title`,
    `status`, `severity`, `tenant`, `service`, `summary`, `url`. Signed as Standard Webhooks say, by
    alerting.webhook_secret, or with an ingest key or an operator's token."""
    body = await request.body()
    if len(body) > LARGEST_BYTES:
        raise HTTPException(413, f"cannot take this webhook: it has {len(body)} bytes; {LARGEST_BYTES} are allowed")
    await _let_in(request, webhook_id, body)
    if await run_in_threadpool(_is_repeated, request, webhook_id):
        return Taken(alerts=0, is_repeated=True)
    try:
        count = await run_in_threadpool(_accept, request, json.loads(body))
    except (WebhookError, Refused) as error:
        raise HTTPException(422, f"cannot take this webhook: {error}") from error
    except ValueError as error:
        raise HTTPException(400, "cannot take this webhook: it is no JSON; send JSON") from error
    await run_in_threadpool(_note, request, webhook_id)
    return Taken(alerts=count, is_repeated=False)


async def _let_in(request: Request, id: str, body: bytes) -> None:
    """Raises HTTPException 401 and 403."""
    signatures = request.headers.get("webhook-signature", "")
    if not signatures:
        await sender(request)
        return
    secret = pipeline_of(request).settings.webhook_secret
    at = request.headers.get("webhook-timestamp", "")
    if not is_signed(secret, id, at, body, signatures, time.time()):
        raise HTTPException(
            401,
            "cannot believe this webhook: it is not signed by alerting.webhook_secret, or more than five minutes ago; "
            "check secret and clocks",
        )


def _accept(request: Request, said: Any) -> int:
    pipeline = pipeline_of(request)
    alerts = alerts_in(said, pipeline.clock(), pipeline.settings.webhook_firing)
    pipeline.accept(alerts)
    return len(alerts)


def _is_repeated(request: Request, id: str) -> bool:
    return bool(id) and bool(control_of(request).leases.holder(_lease(id)))


def _note(request: Request, id: str) -> None:
    """In the control store, so that it is known after a restart, and to other servers on it. Only once its alerts are
    kept: of two at a time both may be taken, which says the same twice, but none is lost."""
    if id:
        control_of(request).leases.take(_lease(id), TAKEN, REMEMBERED_SECONDS)


def _lease(id: str) -> str:
    return f"webhook {sha256(id.encode()).hexdigest()}"
