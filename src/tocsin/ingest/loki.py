"""Loki's push as a plain ASGI application: what Promtail, Grafana Alloy, Fluent Bit and log handlers send."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from tocsin.ingest import counters
from tocsin.ingest.body import BodyError, BodyTooLargeError, decompress
from tocsin.ingest.gate import LARGE_BODY_BYTES, Admission, Gate, Key, Refused, too_large
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
from tocsin.ingest.loki_parse import Pushed, read_json, read_protobuf
from tocsin.ingest.remote_write import unsnapped
from tocsin.storage.telemetry.decode import Signal

PATHS = ("/loki/api/v1/push", "/api/prom/push")
JSON = "application/json"
SIGNAL = "loki"
NO_TENANT = ("", "fake", "anonymous")
"""What Loki's clients call the tenant where there is but one."""


class LokiPush:
    """ASGI application for the paths of Loki's push."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        body = Body(receive)
        extra: Headers = []
        try:
            pushed, admission = await self._take(scope["method"], headers, body)
            outcome, payload = _outcome(pushed, admission)
        except Refused as refused:
            outcome, payload = refused.status, f"{refused.message}\n"
            extra = failure_headers(refused)
            if refused.status is not HTTPStatus.REQUEST_TIMEOUT:
                await body.drain()
        counters.requests.labels(SIGNAL, "http", str(outcome.value)).inc()
        await answer(send, outcome, "text/plain; charset=utf-8", payload.encode(), extra)

    async def _take(self, method: str, headers: dict[bytes, str], incoming: Body) -> tuple[Pushed, Admission]:
        if method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"cannot {method} log lines; POST them")
        key = self._gate.authenticate(secret_of(headers))
        body = await incoming.read_within(self._gate.settings, headers)
        counters.received_bytes.labels(SIGNAL).inc(len(body))
        self._gate.reserve(len(body))
        try:
            is_large = len(body) > LARGE_BODY_BYTES
            pushed, admission = (
                await asyncio.to_thread(self._admit, body, headers, key)
                if is_large
                else self._admit(body, headers, key)
            )
            is_new = await asyncio.wrap_future(admission.stored)
        except OSError as error:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, f"cannot write to the spool: {error}; retry later", 5
            ) from error
        finally:
            self._gate.release(len(body))
        if not is_new:
            counters.repeated.labels(SIGNAL).inc()
        return pushed, admission

    def _admit(self, body: bytes, headers: dict[bytes, str], key: Key | None) -> tuple[Pushed, Admission]:
        tenant = headers.get(b"x-scope-orgid", "").strip()
        tenant = "" if tenant in NO_TENANT else tenant
        try:
            pushed = self._read(body, headers, tenant)
        except BodyError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        return pushed, self._gate.admit(Signal.LOGS, None, pushed.batch.request, key)

    def _read(self, body: bytes, headers: dict[bytes, str], tenant: str) -> Pushed:
        """Raises BodyError, and Refused for what is too large or of another kind."""
        settings = self._gate.settings
        encoding = headers.get(b"content-encoding", "").strip().lower()
        is_json = content_type_of(headers) == JSON
        limit = settings.max_json_bytes if is_json else settings.max_message_bytes
        try:
            if encoding and encoding != "snappy":
                body = decompress(body, encoding, limit)
        except BodyTooLargeError as error:
            raise too_large(f"it holds more than the {limit} bytes allowed once decompressed") from error
        except BodyError as error:
            is_unknown = "content-encoding" in str(error)
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE if is_unknown else HTTPStatus.BAD_REQUEST, str(error)
            ) from error
        if is_json:
            return read_json(unsnapped(body, limit) if encoding == "snappy" else body, tenant)
        return read_protobuf(unsnapped(body, limit), tenant)


def _outcome(pushed: Pushed, admission: Admission) -> tuple[HTTPStatus, str]:
    """As Loki answers: 400 if any line was not taken, though the others are stored."""
    checked = admission.checked
    parts = [f"{count} lines rejected: {reason}" for reason, count in pushed.problems.most_common()]
    left_out = pushed.problems.total()
    counters.rejected_items.labels(Signal.LOGS).inc(left_out)
    if checked.explanation:
        parts.append(checked.explanation)
    if not left_out and not checked.rejected:
        return HTTPStatus.NO_CONTENT, ""
    return (
        HTTPStatus.BAD_REQUEST,
        f"cannot store all lines: {'; '.join(parts)}; {checked.items} others of this request are stored\n",
    )
