"""What Tocsin adds to a request, counted in the instructions that Python runs in its modules: alike on every machine,
however busy. `bench.sdk_overhead` says what that is in microseconds and in requests kept; here it may only become less.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from fastapi import FastAPI

import tocsin
from tocsin.sdk import middleware
from tocsin.sdk.agent import Agent
from tocsin.sdk.agents import current_agent
from tocsin.sdk.transport import Response

SDK = str(Path(middleware.__file__).parent)
REQUESTS = 128
# Instructions a request: 524 before it is answered and 508 to make numbers and a span of it, with a tenth to spare.
BEFORE_THE_ANSWER, DIGEST = 576, 559


def instructions(run: Callable[[], Any]) -> int:
    """How many are run in the SDK's modules, by this thread."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        if event == "call":
            if not frame.f_code.co_filename.startswith(SDK):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """An app with Tocsin, whose requests nobody digests before we do."""
    monkeypatch.setattr(middleware, "PORTION", sys.maxsize)
    made = FastAPI()

    @made.get("/orders/{order_id}")
    async def order(order_id: int) -> dict[str, int]:
        return {"id": order_id}

    tocsin.instrument(made, service="shop", tenant="header:X-Tenant-ID", transport=lambda _signal, _body: Response(200))
    return made


async def serve(app: FastAPI, requests: int) -> None:
    headers = [(b"host", b"shop"), (b"x-tenant-id", b"acme"), (b"user-agent", b"test")]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        pass

    for number in range(requests):
        path = f"/orders/{number}"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        await app(scope, receive, send)


def agent_at_rest(app: FastAPI) -> Agent:
    """After first requests, which learn routes and tenants, with its own thread stopped."""
    asyncio.run(serve(app, REQUESTS))
    agent = current_agent()
    assert agent is not None
    agent.exporter.stop(5.0)
    agent.exporter.is_idle = False
    agent.digest()
    return agent


def test_a_request_takes_no_more_instructions_than_it_did(app: FastAPI) -> None:
    agent = agent_at_rest(app)
    assert instructions(lambda: asyncio.run(serve(app, REQUESTS))) / REQUESTS <= BEFORE_THE_ANSWER
    assert instructions(agent.digest) / REQUESTS <= DIGEST
    assert agent.red.total == 2 * REQUESTS  # all of them were watched
