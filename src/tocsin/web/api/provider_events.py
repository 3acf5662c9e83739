"""/api/v1/notify/<provider>/events: what people do at a provider about an alert. It signs; nobody signs in."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from tocsin.model.control import SYSTEM
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.channels import _genie, jsm, opsgenie, pagerduty
from tocsin.notify.contract import ProviderEvent
from tocsin.web.api.notify import deliverer_of
from tocsin.web.state import control_of

router = APIRouter(prefix="/api/v1/notify", tags=["notify"])

TOLD = "Acknowledging or closing an incident there reaches the alerts of its group; other events change nothing."


@router.post("/pagerduty/events", summary="An incident changed at PagerDuty", description=TOLD)
async def take_pagerduty(request: Request) -> dict[str, str]:
    body, signature = await request.body(), request.headers.get("x-pagerduty-signature", "")
    secrets = {one.signing_secret for one in _settings(request, pagerduty.Settings)}
    if not any(pagerduty.is_from_pagerduty(secret, body, signature) for secret in secrets):
        raise HTTPException(401, "cannot believe this request: it is not signed with notify_pagerduty.signing_secret")
    return await _took(request, "pagerduty", pagerduty.event_in(_read(body)))


@router.post("/opsgenie/events", summary="An alert changed at Opsgenie", description=TOLD)
async def take_opsgenie(request: Request) -> dict[str, str]:
    return await _take_genie(request, "opsgenie", "Opsgenie", opsgenie.Settings)


@router.post("/jsm/events", summary="An alert changed at Jira Service Management", description=TOLD)
async def take_jsm(request: Request) -> dict[str, str]:
    return await _take_genie(request, "jsm", "Jira Service Management", jsm.Settings)


async def _take_genie(request: Request, channel: str, provider: str, kind: type) -> dict[str, str]:
    body, said = await request.body(), request.headers.get("authorization", "")
    if not any(_genie.is_from_webhook(one.webhook_secret, said) for one in _settings(request, kind)):
        raise HTTPException(
            401,
            f"cannot believe this request: its Authorization is not notify_{channel}.webhook_secret; give the webhook "
            "at the provider the header 'Authorization: Bearer <that secret>'",
        )
    return await _took(request, channel, _genie.event_in(_read(body), provider))


async def _took(request: Request, channel: str, event: ProviderEvent | None) -> dict[str, str]:
    if event is not None:
        await run_in_threadpool(_take, request, channel, event)
    return {}


def _take(request: Request, channel: str, event: ProviderEvent) -> None:
    heard = request.app.state.tocsin.acknowledgements
    assert isinstance(heard, Acknowledgements)
    if key := heard.took(channel, event):
        verb = "acknowledge" if event.what == "acknowledged" else "release"
        control_of(request).audit.note(
            SYSTEM, f"notification.{verb}", key[:320], {"by": event.by, "channel": channel, "what": event.what}
        )


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise HTTPException(400, "cannot read this request: it is no JSON") from error


def _settings(request: Request, kind: type) -> list[Any]:
    """Of every channel of this kind, whichever receiver has it."""
    receivers = deliverer_of(request).receivers.by_name.values()
    every = [one.settings for receiver in receivers for one in receiver.integrations]
    return [one for one in every if isinstance(one, kind)]
