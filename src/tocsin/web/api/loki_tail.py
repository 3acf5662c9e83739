"""Loki's live tail: a WebSocket that is told of lines as they become visible."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import orjson
from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect
from starlette.datastructures import ImmutableMultiDict

from tocsin.query.log_source import LogSource
from tocsin.query.logql.engine import Asked, select_lines
from tocsin.query.logql.errors import LogQLError
from tocsin.query.logql.expressions import LogQuery
from tocsin.query.logql.line import Line
from tocsin.query.logql.parser import parse_log_query
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.promql.errors import PromQLError
from tocsin.storage.telemetry.arrivals import Follower
from tocsin.storage.telemetry.engine import EngineError
from tocsin.web.api.loki import PREFIX
from tocsin.web.api.loki_answer import CATEGORIZED, refusal, streams
from tocsin.web.api.loki_asked import FLAGS_HEADER, read_time_ns, source_for
from tocsin.web.api.prometheus_asked import TENANT_HEADER, scope_of
from tocsin.web.auth import principal_of
from tocsin.web.csrf import bearer_of
from tocsin.web.log_stream import log_arrivals
from tocsin.web.paths import is_of_this_site
from tocsin.web.read_audit import note_read
from tocsin.web.state import state_of

router = APIRouter(prefix=PREFIX)
PAUSE_SECONDS = 0.2
"""So often at most a tail asks the store, however fast lines come."""
AGAIN_SECONDS = 5.0
"""So often a tail asks at least."""
EARLY_NS = 240 * 10**9
"""Clocks of senders may run ahead by so much."""
MOST_DROPPED = 1000
"""So many lines that a reader was too slow for are named, as in Loki."""
OVERLAP_NS = 30 * 10**9
"""Senders differ in how long they hold lines back: what is so late is still told."""
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013


@dataclass(slots=True)
class Following:
    """What a tail has told so far."""

    query: LogQuery
    since_ns: int
    limit: int
    told: Counter[tuple[int, str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)

    def new(self, source: LogSource, now_ns: int, settings: LogQuerySettings) -> tuple[list[Line], list[Line]]:
        """Lines not told yet, oldest first: the newest up to the limit, and those before them that are left out."""
        limit = min(settings.max_lines, self.limit + MOST_DROPPED + self.told.total())
        found = select_lines(source, self.query, Asked(self.since_ns, now_ns + EARLY_NS, limit), settings)
        seen: Counter[tuple[int, str, tuple[tuple[str, str], ...]]] = Counter()
        fresh: list[Line] = []
        for line in reversed(found.lines):
            key = (line.time_ns, line.text, tuple(sorted(line.labels().items())))
            seen[key] += 1
            if seen[key] > self.told[key]:
                fresh.append(line)
        self.since_ns = max(self.since_ns, now_ns - OVERLAP_NS)
        self.told = Counter({key: count for key, count in (self.told | seen).items() if key[0] >= self.since_ns})
        kept = max(0, len(fresh) - self.limit)
        return fresh[kept:], fresh[max(0, kept - MOST_DROPPED) : kept]


@router.websocket("/tail")
async def tail(websocket: WebSocket) -> None:
    """Lines of `query` from `start` on (now), at most `limit` at a time. Closed with 1008 when it is refused."""
    try:
        following, source = await _begun(websocket)
    except (LogQLError, HTTPException) as error:
        await websocket.accept()
        await websocket.close(POLICY_VIOLATION, str(getattr(error, "detail", error))[:120])
        return
    settings = state_of(websocket).settings[LogQuerySettings]
    open_tails = websocket.app.state
    open_tails.tails = getattr(open_tails, "tails", 0) + 1
    try:
        await websocket.accept()
        if open_tails.tails > settings.max_tails:
            await websocket.close(TRY_AGAIN_LATER, f"{settings.max_tails} tails are open; raise logql.max_tails")
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_closed, websocket, tasks.cancel_scope)
            with log_arrivals(websocket.app).following() as follower:
                await _told(websocket, follower, following, source, settings)
    except WebSocketDisconnect:
        pass
    finally:
        open_tails.tails -= 1


async def _begun(websocket: WebSocket) -> tuple[Following, LogSource]:
    """Raises LogQLError or HTTPException."""
    principal = await anyio.to_thread.run_sync(principal_of, websocket)
    # A browser sends its cookie with a socket that another site opens, too.
    if principal is None or (bearer_of(websocket) is None and not is_of_this_site(websocket)):
        raise HTTPException(401, "cannot tell who is asking; send an API token as 'Authorization: Bearer tcs_api_…'")
    parameters: ImmutableMultiDict[str, str] = ImmutableMultiDict(websocket.query_params.multi_items())
    scope = scope_of(principal, parameters, websocket.headers.get(TENANT_HEADER, ""))
    tenant = next(iter(scope.tenants)) if scope.tenants and len(scope.tenants) == 1 else None
    note_read(websocket, principal, tenant, "loki")
    limit = parameters.get("limit", "100")
    if not limit.isascii() or not limit.isdecimal() or not 0 < int(limit) <= 5000:
        raise LogQLError("cannot use limit: it is no whole number from 1 to 5000")
    now_ns = time.time_ns()
    start = parameters.get("start", "")
    since_ns = read_time_ns("start", start) if start else now_ns - OVERLAP_NS
    following = Following(parse_log_query(parameters.get("query", "")), min(since_ns, now_ns), int(limit))
    return following, source_for(websocket, scope)


async def _told(
    websocket: WebSocket, follower: Follower, following: Following, source: LogSource, settings: LogQuerySettings
) -> None:
    """A reader who is slow holds this up; what came in the meantime beyond the limit is then told as dropped."""
    is_categorized = CATEGORIZED in websocket.headers.get(FLAGS_HEADER, "")
    while True:
        try:
            lines, dropped = await anyio.to_thread.run_sync(following.new, source, time.time_ns(), settings)
        except (LogQLError, PromQLError, EngineError) as error:
            await websocket.close(TRY_AGAIN_LATER, refusal(error)[0][:120])
            return
        if lines:
            left_out = [{"labels": dict(line.stream), "timestamp": str(line.time_ns)} for line in dropped]
            document = {"streams": streams(lines, is_categorized), "dropped_entries": left_out or None}
            await websocket.send_text(orjson.dumps(document).decode())
        await anyio.sleep(PAUSE_SECONDS)
        await follower.wait(AGAIN_SECONDS)


async def _until_closed(websocket: WebSocket, scope: anyio.CancelScope) -> None:
    try:
        while True:
            await websocket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        scope.cancel()
