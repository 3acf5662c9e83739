"""What comes by itself: notifications by list, by WebSocket and as server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from demo.faults import BLOCKING_CALL
from demo.product.identity import Member, SocketMember
from demo.product.latency import Latency
from demo.product.services import InServices

router = APIRouter(prefix="/notifications", tags=["notifications"])

_BLOCKING_SECONDS = 0.3
_TEXTS = ("A report was shared with you", "An export is ready", "A project is over budget")


@router.get("")
async def list_notifications(member: Member, services: InServices) -> list[dict[str, object]]:
    if BLOCKING_CALL.bites(member.org_id):
        # The old client library has no asynchronous call: the event loop waits, and everybody with it.
        time.sleep(_BLOCKING_SECONDS)  # noqa: ASYNC251  this is the bug
    else:
        await services.latency.pause(5)
    return [_notification(member.org_id, number) for number in range(3)]


@router.get("/stream")
async def stream_notifications(
    member: Member, services: InServices, events: int = Query(default=3, ge=1, le=100)
) -> StreamingResponse:
    """`events` notifications as server-sent events, about one a second."""
    stream = _event_stream(member.org_id, services.latency, events)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.websocket("/socket")
async def socket(websocket: WebSocket, member: SocketMember, services: InServices) -> None:
    """Sends a notification, then one for every message that acknowledges the last, until the client leaves."""
    await websocket.accept()
    number = 0
    try:
        while True:
            await websocket.send_json(_notification(member.org_id, number))
            await websocket.receive_text()
            await services.latency.pause(20)
            number += 1
    except WebSocketDisconnect:
        return


async def _event_stream(org_id: str, latency: Latency, events: int) -> AsyncIterator[str]:
    for number in range(events):
        if number:
            await latency.pause(900)
        yield f"data: {json.dumps(_notification(org_id, number))}\n\n"


def _notification(org_id: str, number: int) -> dict[str, object]:
    return {"org_id": org_id, "number": number, "text": _TEXTS[number % len(_TEXTS)]}
