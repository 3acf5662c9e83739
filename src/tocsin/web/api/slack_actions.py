"""/api/v1/notify/slack/actions: what people press in Slack. Slack signs it; nobody signs in."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from tocsin.model.control import SYSTEM
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.channels import slack
from tocsin.notify.deliver import Deliverer
from tocsin.web.api.notify import deliverer_of
from tocsin.web.state import control_of

router = APIRouter(prefix="/api/v1/notify/slack", tags=["notify"])


@router.post("/actions", summary="A button pressed in Slack")
async def take_action(request: Request) -> dict[str, str]:
    """Acknowledges, resolves or declares an incident what the button belongs to; other buttons are links and only say
    that they were pressed."""
    body = await request.body()
    timestamp = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    secrets = _signing_secrets(deliverer_of(request))
    if not any(slack.is_from_slack(secret, timestamp, body, signature, time.time()) for secret in secrets):
        raise HTTPException(401, "cannot believe this request: it is not signed with notify_slack.signing_secret")
    pressed = slack.pressed_in(_payload(body))
    if pressed is None:
        return {}
    return await run_in_threadpool(_act, request, pressed)


def _act(request: Request, pressed: slack.Pressed) -> dict[str, str]:
    found = request.app.state.tocsin.acknowledgements
    assert isinstance(found, Acknowledgements)
    if _is_news(found, pressed):
        said = {"by": pressed.by, "channel": "slack"}
        control_of(request).audit.note(SYSTEM, f"notification.{pressed.what}", pressed.key[:320], said)
    return {}


def _is_news(found: Acknowledgements, pressed: slack.Pressed) -> bool:
    match pressed.what:
        case slack.RESOLVE:
            return found.resolved("slack", pressed.key, pressed.by)
        case slack.DECLARE:
            return found.declared("slack", pressed.key, pressed.by, pressed.user)
        case _:
            return found.heard("slack", pressed.key, pressed.by)


def _payload(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(parse_qs(body.decode())["payload"][0])
    except (KeyError, ValueError) as error:
        raise HTTPException(400, "cannot read this request: it has no payload of Slack's") from error
    return found if isinstance(found, dict) else {}


def _signing_secrets(deliverer: Deliverer) -> set[str]:
    every = [one for receiver in deliverer.receivers.by_name.values() for one in receiver.integrations]
    return {one.settings.signing_secret for one in every if isinstance(one.settings, slack.Settings)} - {""}
