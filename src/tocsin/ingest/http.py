"""What the HTTP protocols of ingest share: reading a body within bounds, the key a request carries, an answer."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from tocsin.ingest.gate import IngestSettings, Refused, too_large

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = list[tuple[bytes, bytes]]

NO_KEY = "unreadable"  # as any unknown key, this is refused; '' would mean that none was sent
DRAINED_BYTES, DRAINED_SECONDS = 256 * 1024**2, 10.0  # of a refused body, before the answer is sent regardless


class Body:
    """The body of one request, as it comes in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False  # after which asking for more would wait for the next request

    async def read_within(self, settings: IngestSettings, headers: dict[bytes, str]) -> bytes:
        """All of it. Raises Refused when it is too large or takes too long."""
        limit = settings.max_body_bytes
        declared = headers.get(b"content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(f"{declared} bytes are more than the {limit} allowed")
        seconds = settings.max_body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._read(limit)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                f"cannot read the body: it did not arrive within {seconds:g} s; check the network or send less at once",
            ) from None

    async def drain(self) -> None:
        """Read on for a while what was refused: a sender still writing would see a reset instead of the answer."""
        left = DRAINED_BYTES
        try:
            async with asyncio.timeout(DRAINED_SECONDS):
                while left > 0 and not self._is_over:
                    left -= len(await self._next())
        except (TimeoutError, Refused):
            pass  # it is answered all the same

    async def _read(self, limit: int) -> bytes:
        """All of it. Raises Refused when it is larger than `limit` bytes or cut off."""
        parts, size = [], 0
        while not self._is_over:
            part = await self._next()
            size += len(part)
            if size > limit:
                raise too_large(f"more than the {limit} bytes allowed")
            parts.append(part)
        return b"".join(parts) if len(parts) > 1 else parts[0]

    async def _next(self) -> bytes:
        message = await self._receive()
        self._is_over = not message.get("more_body")
        if message["type"] == "http.disconnect":
            raise Refused(HTTPStatus.BAD_REQUEST, "cannot read the body: the connection was closed half-way")
        part: bytes = message.get("body", b"")
        return part


def headers_of(scope: MutableMapping[str, Any]) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def content_type_of(headers: dict[bytes, str]) -> str:
    """The media type without its parameters."""
    return headers.get(b"content-type", "").partition(";")[0].strip().lower()


def secret_of(headers: dict[bytes, str]) -> str:
    """The ingest key a request carries; '' for none."""
    kind, _, value = headers.get(b"authorization", "").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    if kind.lower() == "basic" and value:
        return _password(value.strip())
    return headers.get(b"x-tocsin-key", "").strip()


def _password(credentials: str) -> str:
    """Of basic authentication, which is all that some senders know; whatever the user is called."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return NO_KEY


def failure_headers(refused: Refused) -> Headers:
    headers = []
    if refused.retry_seconds is not None:
        headers.append((b"retry-after", str(refused.retry_seconds).encode()))
    if refused.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"POST"))
    if refused.status is HTTPStatus.REQUEST_TIMEOUT:
        headers.append((b"connection", b"close"))
    if refused.status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


async def answer(send: Send, status: HTTPStatus, content_type: str, payload: bytes, extra: Headers) -> None:
    """Send a whole response."""
    length = str(len(payload)).encode()
    sent = [(b"content-type", content_type.encode()), (b"content-length", length), *extra]
    await send({"type": "http.response.start", "status": status.value, "headers": sent})
    await send({"type": "http.response.body", "body": payload})
