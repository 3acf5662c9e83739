"""Bounds the bodies of forms and REST calls, before anybody is asked who they are."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BYTES = 1_000_000
WITH_LIMITS_OF_THEIR_OWN = ("/v1/", "/prometheus/api/v1/write", "/loki/api/v1/push")


class BodyLimit:
    """ASGI middleware: reading more than `largest_bytes` of a body answers 413; telemetry has its own limits."""

    def __init__(self, app: ASGIApp, largest_bytes: int = LARGEST_BYTES) -> None:
        self._app = app
        self._largest_bytes = largest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")))
        if scope["type"] != "http" or path.startswith(WITH_LIMITS_OF_THEIR_OWN):
            await self._app(scope, receive, send)
            return
        read_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self._largest_bytes:
                raise HTTPException(
                    413, f"cannot read this body: it is larger than {self._largest_bytes} bytes; send less"
                )
            return message

        await self._app(scope, receive_bounded, send)
