"""OTLP over HTTP: /v1/traces, /v1/metrics and /v1/logs as a plain ASGI application."""

from __future__ import annotations

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import orjson

from tocsin.ingest import counters
from tocsin.ingest.body import decompress, from_json
from tocsin.ingest.gate import Admission, Gate, Key, Refused
from tocsin.ingest.http import (
    Body,
    Headers,
    Receive,
    Send,
    answer,
    content_type_of,
    failure_headers,
    headers_of,
    secret_of,
)
from tocsin.ingest.taking import take
from tocsin.ingest.validate import REQUESTS, Checked, parse
from tocsin.ingest.wire import partial_success, status
from tocsin.storage.telemetry.decode import OTLP_SIGNALS, Signal

PATHS = {f"/v1/{signal}": signal for signal in OTLP_SIGNALS}
PROTOBUF, JSON = "application/x-protobuf", "application/json"
REJECTED_NAMES = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}


class OtlpHttp:
    """ASGI application for the OTLP paths. Mount it beside the pages; it answers 404 for every other path."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        is_json = content_type_of(headers) == JSON
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        signal = PATHS.get(path)
        body = Body(receive)
        try:
            if signal is None:
                raise Refused(HTTPStatus.NOT_FOUND, f"cannot find {path}; OTLP has {', '.join(PATHS)}")
            checked = await self._take(signal, scope["method"], headers, is_json, body)
            outcome = HTTPStatus.OK
            payload = _success(signal, checked, is_json)
            extra: Headers = []
        except Refused as refused:
            outcome = refused.status
            payload = _failure(refused, is_json)
            extra = failure_headers(refused)
            if refused.status is not HTTPStatus.REQUEST_TIMEOUT:
                await body.drain()
        if signal is not None:
            counters.requests.labels(signal, "http", str(outcome.value)).inc()
        await answer(send, outcome, JSON if is_json else PROTOBUF, payload, extra)

    async def _take(
        self, signal: Signal, method: str, headers: dict[bytes, str], is_json: bool, incoming: Body
    ) -> Checked:
        if method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"cannot {method} telemetry; POST it")
        key = self._gate.authenticate(secret_of(headers))
        content_type = content_type_of(headers)
        if content_type not in (PROTOBUF, JSON):
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"cannot read content-type {content_type!r}; send {PROTOBUF} or {JSON}",
            )
        body = await incoming.read_within(self._gate.settings, headers)
        encoding = headers.get(b"content-encoding", "")

        def admit(body: bytes) -> Admission:
            return self._admit(signal, body, encoding, is_json, key)

        return await take(self._gate, signal, body, admit)

    def _admit(self, signal: Signal, body: bytes, encoding: str, is_json: bool, key: Key | None) -> Admission:
        """Everything between the bytes as sent and the spool. Raises Refused, BodyError and BodyTooLargeError."""
        settings = self._gate.settings
        plain = decompress(body, encoding, settings.max_json_bytes if is_json else settings.max_message_bytes)
        if not is_json:
            return self._gate.admit(signal, plain, parse(signal, plain), key)
        request = REQUESTS[signal]()
        from_json(plain, request)
        return self._gate.admit(signal, None, request, key)


def _success(signal: Signal, checked: Checked, is_json: bool) -> bytes:
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
