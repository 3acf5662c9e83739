"""Prometheus' remote write, 1.0 and 2.0, as a plain ASGI application."""

from __future__ import annotations

from collections.abc import MutableMapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

import cramjam

from tocsin.ingest import counters
from tocsin.ingest.body import BodyError
from tocsin.ingest.gate import Gate, Refused, too_large
from tocsin.ingest.http import Body, Headers, Receive, Send, answer, failure_headers, headers_of, secret_of
from tocsin.ingest.remote_write_parse import read_1, read_2
from tocsin.ingest.sample_batch import Collected
from tocsin.ingest.taking import take

PATHS = ("/prometheus/api/v1/write", "/api/v1/write")
PROTOBUF = "application/x-protobuf"
READERS = {"prometheus.WriteRequest": read_1, "io.prometheus.write.v2.Request": read_2}
VERSION_2 = "io.prometheus.write.v2.Request"
SIGNAL = "remote_write"
MAX_SNAPPY_RATIO = 64  # what snappy reaches at most is about 21


class RemoteWrite:
    """ASGI application for the remote-write paths."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        body = Body(receive)
        extra: Headers = []
        try:
            message = _message_name(headers)
            collected = await self._take(scope["method"], headers, message, body)
            outcome, payload = _outcome(collected)
            if message == VERSION_2:
                extra = _written(collected)
        except Refused as refused:
            outcome, payload = refused.status, refused.message
            extra = failure_headers(refused) + _written(Collected())
            if refused.status is not HTTPStatus.REQUEST_TIMEOUT:
                await body.drain()
        counters.requests.labels(SIGNAL, "http", str(outcome.value)).inc()
        await answer(send, outcome, "text/plain; charset=utf-8", payload.encode(), extra)

    async def _take(self, method: str, headers: dict[bytes, str], message: str, incoming: Body) -> Collected:
        if method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"cannot {method} samples; POST them")
        key = self._gate.authenticate(secret_of(headers))
        encoding = headers.get(b"content-encoding", "").strip().lower()
        if encoding not in ("", "snappy"):
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"cannot read content-encoding {encoding!r}; remote write has snappy"
            )
        body = await incoming.read_within(self._gate.settings, headers)

        def admit(body: bytes) -> tuple[Future[bool], Collected]:
            plain = unsnapped(body, self._gate.settings.max_message_bytes)
            return self._gate.admit_samples(READERS[message], plain, key)

        return await take(self._gate, SIGNAL, body, admit)


def unsnapped(body: bytes, max_bytes: int) -> bytes:
    """A snappy block's content. Its length stands in front, so a bomb is known before it goes off.

    Raises Refused (413) beyond `max_bytes` and BodyError for damaged data.
    """
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > max_bytes:
            raise too_large(f"it holds {size} bytes, {max_bytes} are allowed once decompressed")
        if size > MAX_SNAPPY_RATIO * len(body):
            raise BodyError(f"cannot decompress the body: {len(body)} bytes of snappy cannot hold {size}")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise BodyError(
            f"cannot decompress the body as a snappy block: {error}; it must be the raw format, without framing"
        ) from error


def _message_name(headers: dict[bytes, str]) -> str:
    """The protobuf message a request holds: by its content type, else by its version. Raises Refused (415)."""
    content_type, _, parameters = headers.get(b"content-type", "").partition(";")
    if content_type.strip().lower() != PROTOBUF:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"cannot read content-type {content_type.strip()!r}; send {PROTOBUF}"
        )
    named = dict(part.strip().partition("=")[::2] for part in parameters.split(";"))
    name = named.get("proto", "").strip().strip('"')
    if not name:
        is_second = headers.get(b"x-prometheus-remote-write-version", "").startswith("2.")
        return VERSION_2 if is_second else "prometheus.WriteRequest"
    if name not in READERS:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"cannot read proto={name[:80]}; send {' or '.join(READERS)}")
    return name


def _outcome(collected: Collected) -> tuple[HTTPStatus, str]:
    if not collected.problems:
        return HTTPStatus.NO_CONTENT, ""
    taken = collected.samples + collected.histograms
    status = HTTPStatus.TOO_MANY_REQUESTS if collected.is_over_limit else HTTPStatus.BAD_REQUEST
    return status, f"cannot store all samples: {collected.explanation}; {taken} others of this request are stored\n"


def _written(collected: Collected) -> Headers:
    """2.0 wants to hear how much was written, also of a request that is refused in part."""
    counts = {"samples": collected.samples, "histograms": collected.histograms, "exemplars": collected.exemplars}
    return [(f"x-prometheus-remote-write-{kind}-written".encode(), b"%d" % count) for kind, count in counts.items()]
