"""/api/v1/webhooks/alerts: alerts from whatever can send a webhook, signed or with a token, each request once."""

from __future__ import annotations

import json
import time
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

LARGEST_BYTES = 4 * 1024 * 1024
REMEMBERED_SECONDS = 600.0  # twice as long as a signature is believed
MOST_REMEMBERED = 100_000

router = APIRouter(tags=["alerts"], dependencies=[Depends(BEARER)], responses=REFUSALS)


class Taken(BaseModel):
    alerts: int = Field(description="How many were taken; none where this request was taken before")
    is_repeated: bool = Field(description="Whether a request of the same webhook-id was taken before")


class Remembered:
    """The ids of requests that were taken of late, so that one that is tried again does nothing anew."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def has(self, id: str) -> bool:
        now = time.monotonic()
        while (
            self._seen
            and (oldest := next(iter(self._seen)))
            and (now - self._seen[oldest] > REMEMBERED_SECONDS or len(self._seen) > MOST_REMEMBERED)
        ):
            del self._seen[oldest]
        return bool(id) and id in self._seen

    def note(self, id: str) -> None:
        if id:
            self._seen[id] = time.monotonic()


@router.post("/api/v1/webhooks/alerts", summary="Take alerts from a webhook")
async def take(request: Request, webhook_id: Annotated[str, Header(max_length=300)] = "") -> Taken:
    """Alertmanager's and Grafana's JSON (`alerts` with `status`, `labels`, `annotations`), or one alert: `title`,
    `status`, `severity`, `tenant`, `service`, `summary`, `url`. Signed as Standard Webhooks say, by
    alerting.webhook_secret, or with an ingest key or an operator's token."""
    body = await request.body()
    if len(body) > LARGEST_BYTES:
        raise HTTPException(413, f"cannot take this webhook: it has {len(body)} bytes; {LARGEST_BYTES} are allowed")
    await _let_in(request, webhook_id, body)
    seen = _remembered(request)
    if seen.has(webhook_id):
        return Taken(alerts=0, is_repeated=True)
    try:
        count = await run_in_threadpool(_accept, request, json.loads(body))
    except (WebhookError, Refused) as error:
        raise HTTPException(422, f"cannot take this webhook: {error}") from error
    except ValueError as error:
        raise HTTPException(400, "cannot take this webhook: it is no JSON; send JSON") from error
    seen.note(webhook_id)
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


def _remembered(request: Request) -> Remembered:
    state = request.app.state
    if not hasattr(state, "webhooks_remembered"):
        state.webhooks_remembered = Remembered()
    found: Remembered = state.webhooks_remembered
    return found
