"""A line for each request, and one for each that was refused, as products write them."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("tallyroom.access")
security = logging.getLogger("tallyroom.security")

_REFUSED = {401: "not signed in", 403: "not allowed"}
_QUIET = ("/health", "/metrics", "/_demo")


class AccessLog:
    """Writes when the response is out; plain ASGI, as it stands in the way of every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            _write(scope, status, (time.perf_counter() - began) * 1000)


def _write(scope: Scope, status: int, duration_ms: float) -> None:
    method, path = scope["method"], scope["path"]
    facts = {"method": method, "path": path, "status_code": status, "duration_ms": round(duration_ms, 1)}
    level = logging.ERROR if status >= 500 else logging.INFO
    log.log(level, "%s %s %d in %.0f ms", method, path, status, duration_ms, extra=facts)
    if status in _REFUSED:
        client = scope["client"][0] if scope.get("client") else ""
        security.warning("refused %s %s: %s", method, path, _REFUSED[status], extra={**facts, "client_address": client})
