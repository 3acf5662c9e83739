"""Loki's push as a plain ASGI application: what Promtail, Grafana Alloy, Fluent Bit and log handlers send."""

from __future__ import annotations

from collections.abc import MutableMapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

from tocsin.ingest import counters
from tocsin.ingest.body import decompress
from tocsin.ingest.gate import Gate, Refused
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
from tocsin.ingest.reasons import told
from tocsin.ingest.remote_write import unsnapped
from tocsin.ingest.taking import take
from tocsin.ingest.validate import Checked
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
            pushed, checked = await self._take(scope["method"], headers, body)
            outcome, payload = _outcome(pushed, checked)
        except Refused as refused:
            outcome, payload = refused.status, f"{refused.message}\n"
            extra = failure_headers(refused)
            if refused.status is not HTTPStatus.REQUEST_TIMEOUT:
                await body.drain()
        counters.requests.labels(SIGNAL, "http", str(outcome.value)).inc()
        await answer(send, outcome, "text/plain; charset=utf-8", payload.encode(), extra)

    async def _take(self, method: str, headers: dict[bytes, str], incoming: Body) -> tuple[Pushed, Checked]:
        if method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"cannot {method} log lines; POST them")
        key = self._gate.authenticate(secret_of(headers))
        body = await incoming.read_within(self._gate.settings, headers)

        def admit(body: bytes) -> tuple[Future[bool], tuple[Pushed, Checked]]:
            pushed = self._read(body, headers)
            stored, checked = self._gate.admit(Signal.LOGS, None, pushed.batch.request, key)
            return stored, (pushed, checked)

        return await take(self._gate, SIGNAL, body, admit)

    def _read(self, body: bytes, headers: dict[bytes, str]) -> Pushed:
        """Raises BodyError, BodyTooLargeError and Refused."""
        tenant = headers.get(b"x-scope-orgid", "").strip()
        tenant = "" if tenant in NO_TENANT else tenant
        encoding = headers.get(b"content-encoding", "").strip().lower()
        is_json = content_type_of(headers) == JSON
        settings = self._gate.settings
        limit = settings.max_json_bytes if is_json else settings.max_message_bytes
        if encoding and encoding != "snappy":
            body = decompress(body, encoding, limit)
        if is_json:
            return read_json(unsnapped(body, limit) if encoding == "snappy" else body, tenant)
        return read_protobuf(unsnapped(body, limit), tenant)


def _outcome(pushed: Pushed, checked: Checked) -> tuple[HTTPStatus, str]:
    """As Loki answers: 400 if any line was not taken, though the others are stored."""
    parts = told(pushed.problems, "lines rejected")
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
