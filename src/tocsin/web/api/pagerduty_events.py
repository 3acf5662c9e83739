"""/api/v1/notify/pagerduty/events: who acknowledges an incident at PagerDuty. PagerDuty signs it; nobody signs in."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from tocsin.model.control import SYSTEM
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.channels import pagerduty
from tocsin.web.api.notify import deliverer_of
from tocsin.web.state import control_of

router = APIRouter(prefix="/api/v1/notify/pagerduty", tags=["notify"])


@router.post("/events", summary="An incident changed at PagerDuty")
async def take_event(request: Request) -> dict[str, str]:
    """Acknowledges the group whose incident was acknowledged; every other event changes nothing."""
    body = await request.body()
    signature = request.headers.get("x-pagerduty-signature", "")
    if not any(pagerduty.is_from_pagerduty(secret, body, signature) for secret in _signing_secrets(request)):
        raise HTTPException(401, "cannot believe this request: it is not signed with notify_pagerduty.signing_secret")
    try:
        said: Any = json.loads(body)
    except ValueError as error:
        raise HTTPException(400, "cannot read this request: it is no JSON") from error
    found = pagerduty.acknowledged_in(said)
    if found is not None:
        await run_in_threadpool(_acknowledge, request, *found)
    return {}


def _acknowledge(request: Request, dedup_key: str, by: str) -> None:
    heard = request.app.state.tocsin.acknowledgements
    assert isinstance(heard, Acknowledgements)
    told = control_of(request).deliveries.of_reference("pagerduty", dedup_key)
    if told is not None and heard.heard("pagerduty", told.key, by):
        detail = {"by": by, "channel": "pagerduty"}
        control_of(request).audit.note(SYSTEM, "notification.acknowledge", told.key[:320], detail)


def _signing_secrets(request: Request) -> set[str]:
    receivers = deliverer_of(request).receivers.by_name.values()
    every = [one.settings for receiver in receivers for one in receiver.integrations]
    return {one.signing_secret for one in every if isinstance(one, pagerduty.Settings)} - {""}
