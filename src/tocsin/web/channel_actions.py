"""What the forms of the Channels page do: a test or the health summary to a receiver, a failed delivery again."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from tocsin.web.api.notify import SummaryRequest, Trial, replay, send_summary, send_trial
from tocsin.web.auth import Admin
from tocsin.web.paths import at
from tocsin.web.refusals import RefusingRoute

router = APIRouter(prefix="/settings/channels", include_in_schema=False, route_class=RefusingRoute)


@router.post("/test")
def send_test(request: Request, admin: Admin, receiver: Annotated[str, Form(max_length=200)]) -> Response:
    """Sends it, waits for the receipts and shows them in the log below."""
    send_trial(request, admin, Trial(receiver=receiver))
    return _back(request, receiver)


@router.post("/summary")
def send_summary_now(request: Request, admin: Admin, receiver: Annotated[str, Form(max_length=200)]) -> Response:
    """Sends the health summary to whom the form names, and shows the receipts in the log."""
    send_summary(request, admin, SummaryRequest(receiver=receiver))
    return _back(request, receiver)


@router.post("/deliveries/{delivery_id}/replay")
def replay_delivery(request: Request, admin: Admin, delivery_id: int) -> Response:
    return _back(request, replay(request, admin, delivery_id).delivery.receiver)


def _back(request: Request, receiver: str) -> Response:
    return RedirectResponse(at(request, f"/settings/channels?{urlencode({'receiver': receiver})}#log"), 303)
