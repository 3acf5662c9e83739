"""Server-sent events of what arrives, told when it has been stored, for a bounded number of readers at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tocsin.query.logs import LogLine
from tocsin.storage.telemetry.arrivals import Arrivals, Follower
from tocsin.storage.telemetry.engine import EngineError

MOST_STREAMS = 24
PAUSE_SECONDS = 0.2
"""So often at most a reader asks the store, however fast lines come."""
AGAIN_SECONDS = 5.0
"""So often a reader asks at least."""
QUIET_SECONDS = 15.0
"""Without a line for so long a comment is sent, so that proxies and browsers keep the connection."""
LONGEST_SECONDS = 600.0
"""A reader then connects again by itself, and is asked again who it is."""
TOO_MANY = f"cannot follow lines now: {MOST_STREAMS} readers do already; close one, or ask again later"

LEFT_OUT = "left-out"
"""The event of lines that a reader is not shown, because too many came at once."""


@dataclass(frozen=True, slots=True)
class Event:
    """id: where a reader goes on who lost the connection. name: '' is a message."""

    id: str
    text: str
    name: str = ""

    def written(self) -> str:
        named = f"event: {self.name}\n" if self.name else ""
        return f"{named}id: {self.id}\n" + "".join(f"data: {part}\n" for part in self.text.split("\n")) + "\n"


Events = Callable[[list[LogLine]], Iterable[Event]]
"""The events that tell of lines, usually one each."""


def wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def log_arrivals(app: Starlette) -> Arrivals:
    arrivals: Arrivals = app.state.tocsin.log_arrivals
    return arrivals


def event_stream(app: Starlette, ask: Callable[[], list[LogLine]], events: Events) -> Response | None:
    """The response that goes on; None when there are too many already."""
    open_streams = _streams(app)
    if len(open_streams) >= MOST_STREAMS:
        return None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    written = _written(open_streams, log_arrivals(app), ask, events)
    return StreamingResponse(written, media_type="text/event-stream", headers=headers)


def _streams(app: Starlette) -> set[object]:
    if not hasattr(app.state, "log_streams"):
        app.state.log_streams = set()
    found: set[object] = app.state.log_streams
    return found


async def _written(
    open_streams: set[object], arrivals: Arrivals, ask: Callable[[], list[LogLine]], events: Events
) -> AsyncIterator[str]:
    mine = object()
    open_streams.add(mine)
    try:
        with arrivals.following() as follower:
            yield "retry: 1000\n\n"
            async for text in _told(follower, ask, events):
                yield text
    finally:
        open_streams.discard(mine)


async def _told(follower: Follower, ask: Callable[[], list[LogLine]], events: Events) -> AsyncIterator[str]:
    until = time.monotonic() + LONGEST_SECONDS
    said_at = time.monotonic()
    while time.monotonic() < until:
        try:
            lines = await run_in_threadpool(ask)
        except EngineError:
            return  # the reader connects again and hears then what is wrong
        for event in events(lines):
            said_at = time.monotonic()
            yield event.written()
        if time.monotonic() - said_at > QUIET_SECONDS:
            said_at = time.monotonic()
            yield ": nothing new\n\n"
        await asyncio.sleep(PAUSE_SECONDS)
        await follower.wait(AGAIN_SECONDS)
