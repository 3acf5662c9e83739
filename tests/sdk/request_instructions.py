"""Counts the instructions that Python runs in Tocsin's modules for a request: those before the answer, and those that
make numbers and a span of it. A program of its own, because what else a process has loaded is watched, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI

import tocsin
from tocsin.sdk import middleware
from tocsin.sdk.agents import first_agent
from tocsin.sdk.transport import Response

SDK = str(Path(middleware.__file__).parent)
REQUESTS = 128
HEADERS = [(b"host", b"shop"), (b"x-tenant-id", b"acme"), (b"user-agent", b"test")]


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

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


def watched_app() -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{order_id}")
    async def order(order_id: int) -> dict[str, int]:
        return {"id": order_id}

    tocsin.instrument(app, service="shop", tenant="header:X-Tenant-ID", transport=lambda _signal, _body: Response(200))
    return app


async def serve(app: FastAPI) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        pass

    for number in range(REQUESTS):
        path = f"/orders/{number}"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": HEADERS,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        await app(scope, receive, send)


def main() -> None:
    middleware.PORTION = sys.maxsize  # nobody digests before we do
    app = watched_app()
    asyncio.run(serve(app))  # routes and tenants are learnt
    agent = first_agent()
    assert agent is not None
    agent.exporter.stop(5.0)
    agent.exporter.is_idle = False
    agent.digest()
    before_answer = instructions(lambda: asyncio.run(serve(app))) / REQUESTS
    digest = instructions(agent.digest) / REQUESTS
    json.dump({"before_answer": before_answer, "digest": digest, "watched": agent.red.total}, sys.stdout)


if __name__ == "__main__":
    main()
