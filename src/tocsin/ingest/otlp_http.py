"""OTLP over HTTP: /v1/traces, /v1/metrics and /v1/logs as a plain ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import orjson

from tocsin.ingest import counters
from tocsin.ingest.body import BodyError, BodyTooLargeError, decompress, from_json
from tocsin.ingest.gate import LARGE_BODY_BYTES, Admission, Gate, Key, Refused, too_large
from tocsin.ingest.validate import REQUESTS, parse
from tocsin.ingest.wire import partial_success, status
from tocsin.storage.telemetry.decode import Signal

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PATHS = {f"/v1/{signal}": signal for signal in Signal}
PROTOBUF, JSON = "application/x-protobuf", "application/json"
REJECTED_NAMES = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}
DRAINED_BYTES, DRAINED_SECONDS = 256 * 1024**2, 10.0  # of a refused body, before the answer is sent regardless


class OtlpHttp:
    """ASGI application for the OTLP paths. Mount it beside the pages; it answers 404 for every other path."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        is_json = headers.get(b"content-type", "").partition(";")[0].strip().lower() == JSON
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        signal = PATHS.get(path)
        body = _Body(receive)
        try:
            if signal is None:
                raise Refused(HTTPStatus.NOT_FOUND, f"cannot find {path}; OTLP has {', '.join(PATHS)}")
            admission = await self._take(signal, scope["method"], headers, is_json, body)
            outcome = HTTPStatus.OK
            payload = _success(signal, admission, is_json)
            extra: list[tuple[bytes, bytes]] = []
        except Refused as refused:
            outcome = refused.status
            payload = _failure(refused, is_json)
            extra = _failure_headers(refused)
            if refused.status is not HTTPStatus.REQUEST_TIMEOUT:
                await body.drain()
        if signal is not None:
            counters.requests.labels(signal, "http", str(outcome.value)).inc()
        content_type = (JSON if is_json else PROTOBUF).encode()
        length = str(len(payload)).encode()
        sent = [(b"content-type", content_type), (b"content-length", length), *extra]
        await send({"type": "http.response.start", "status": outcome.value, "headers": sent})
        await send({"type": "http.response.body", "body": payload})

    async def _take(
        self, signal: Signal, method: str, headers: dict[bytes, str], is_json: bool, incoming: _Body
    ) -> Admission:
        if method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"cannot {method} telemetry; POST it")
        key = self._gate.authenticate(_secret(headers))
        content_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if content_type not in (PROTOBUF, JSON):
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"cannot read content-type {content_type!r}; send {PROTOBUF} or {JSON}",
            )
        body = await self._read(headers, incoming)
        counters.received_bytes.labels(signal).inc(len(body))
        self._gate.reserve(len(body))
        try:
            admit = self._admit
            arguments = (signal, body, headers.get(b"content-encoding", ""), is_json, key)
            is_large = len(body) > LARGE_BODY_BYTES
            admission = await asyncio.to_thread(admit, *arguments) if is_large else admit(*arguments)
            await self._stored(admission, signal)
        finally:
            self._gate.release(len(body))
        return admission

    def _admit(self, signal: Signal, body: bytes, encoding: str, is_json: bool, key: Key | None) -> Admission:
        """Everything between the bytes as sent and the spool. Raises Refused."""
        limit = self._gate.settings.max_json_bytes if is_json else self._gate.settings.max_message_bytes
        try:
            plain = decompress(body, encoding, limit)
            if is_json:
                request = REQUESTS[signal]()
                from_json(plain, request)
                return self._gate.admit(signal, None, request, key)
            return self._gate.admit(signal, plain, parse(signal, plain), key)
        except BodyTooLargeError as error:
            raise too_large(f"it holds more than the {limit} bytes allowed once decompressed") from error
        except BodyError as error:
            is_encoding = "content-encoding" in str(error)
            code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if is_encoding else HTTPStatus.BAD_REQUEST
            raise Refused(code, str(error)) from error

    async def _stored(self, admission: Admission, signal: Signal) -> None:
        try:
            is_new = await asyncio.wrap_future(admission.stored)
        except OSError as error:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, f"cannot write to the spool: {error}; retry later", 5
            ) from error
        if not is_new:
            counters.repeated.labels(signal).inc()

    async def _read(self, headers: dict[bytes, str], incoming: _Body) -> bytes:
        limit = self._gate.settings.max_body_bytes
        declared = headers.get(b"content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(f"{declared} bytes are more than the {limit} allowed")
        seconds = self._gate.settings.max_body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await incoming.read(limit)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                f"cannot read the body: it did not arrive within {seconds:g} s; check the network or send less at once",
            ) from None


class _Body:
    """The body of one request, as it comes in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False  # after which asking for more would wait for the next request

    async def read(self, limit: int) -> bytes:
        """All of it. Raises Refused when it is larger than `limit` bytes or cut off."""
        parts, size = [], 0
        while not self._is_over:
            part = await self._next()
            size += len(part)
            if size > limit:
                raise too_large(f"more than the {limit} bytes allowed")
            parts.append(part)
        return b"".join(parts) if len(parts) > 1 else parts[0]

    async def drain(self) -> None:
        """Read on for a while what was refused: a sender still writing would see a reset instead of the answer."""
        left = DRAINED_BYTES
        try:
            async with asyncio.timeout(DRAINED_SECONDS):
                while left > 0 and not self._is_over:
                    left -= len(await self._next())
        except (TimeoutError, Refused):
            pass  # it is answered all the same

    async def _next(self) -> bytes:
        message = await self._receive()
        self._is_over = not message.get("more_body")
        if message["type"] == "http.disconnect":
            raise Refused(HTTPStatus.BAD_REQUEST, "cannot read the body: the connection was closed half-way")
        part: bytes = message.get("body", b"")
        return part


def _secret(headers: dict[bytes, str]) -> str:
    kind, _, value = headers.get(b"authorization", "").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    return headers.get(b"x-tocsin-key", "").strip()


def _success(signal: Signal, admission: Admission, is_json: bool) -> bytes:
    checked = admission.checked
    if not checked.explanation:
        return b"{}" if is_json else b""
    if is_json:
        partial = {REJECTED_NAMES[signal]: str(checked.rejected), "errorMessage": checked.explanation}
        return orjson.dumps({"partialSuccess": partial})
    return partial_success(checked.rejected, checked.explanation)


GRPC_CODES = {
    HTTPStatus.BAD_REQUEST: 3,
    HTTPStatus.UNAUTHORIZED: 16,
    HTTPStatus.NOT_FOUND: 5,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,
    HTTPStatus.TOO_MANY_REQUESTS: 8,
    HTTPStatus.SERVICE_UNAVAILABLE: 14,
}


def _failure(refused: Refused, is_json: bool) -> bytes:
    code = GRPC_CODES.get(refused.status, 3)
    if is_json:
        return orjson.dumps({"code": code, "message": refused.message})
    return status(code, refused.message)


def _failure_headers(refused: Refused) -> list[tuple[bytes, bytes]]:
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
