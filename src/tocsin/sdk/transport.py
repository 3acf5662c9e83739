"""Carries one encoded OTLP request to the server and brings back its answer."""

from __future__ import annotations

import gzip
import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_GZIP_MAGIC = b"\x1f\x8b"
_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """What the server said. status 0 means that no answer came and `cause` says why."""

    status: int
    body: bytes = b""
    retry_after_seconds: float | None = None
    cause: str = ""

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_retryable(self) -> bool:
        return self.status in (0, 408, 429, 500, 502, 503, 504)


# (signal, body) -> Response, where signal is traces, metrics or logs and body is one OTLP export request.
Transport = Callable[[str, bytes], Response]


class HttpTransport:
    """OTLP/HTTP over one kept-alive connection; used by one thread at a time. Never raises on network trouble."""

    def __init__(self, endpoint: str, ingest_key: str, timeout_seconds: float) -> None:
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._secure else 80)
        self._path = parts.path.rstrip("/")
        self.timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "tocsin-sdk"}
        if ingest_key:
            self._headers["Authorization"] = f"Bearer {ingest_key}"

    def __call__(self, signal: str, body: bytes) -> Response:
        reused = self._connection is not None
        response = self._attempt(signal, body)
        if response.status == 0 and reused and response.cause != "timeout":
            # An idle connection may have been closed by the server meanwhile: once more on a fresh one.
            response = self._attempt(signal, body)
        return response

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, signal: str, body: bytes) -> Response:
        try:
            return self._exchange(signal, body)
        except TimeoutError:
            self.close()
            return Response(0, cause="timeout")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Response(0, cause=type(error).__name__)

    def _exchange(self, signal: str, body: bytes) -> Response:
        if self._connection is None:
            self._connection = self._connect()
        headers = self._headers
        if body[:2] == _GZIP_MAGIC:
            headers = {**headers, "Content-Encoding": "gzip"}
        self._connection.request("POST", f"{self._path}/v1/{signal}", body, headers)
        answer = self._connection.getresponse()
        content = answer.read(_ANSWER_BYTES)
        if answer.will_close or not answer.isclosed():
            self.close()
        return Response(answer.status, content, _seconds(answer.getheader("Retry-After")))

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self.timeout_seconds, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout_seconds)


def compressor(compression: str, endpoint: str) -> Callable[[bytes], bytes]:
    """What is done to a body before it is sent: gzip at its cheapest level, or nothing."""
    is_local = urlsplit(endpoint).hostname in _LOOPBACK
    if compression == "none" or (compression == "auto" and is_local):
        return bytes
    return _gzip


def _gzip(body: bytes) -> bytes:
    # mtime=0: the same batch gives the same bytes, by which the server recognises a retry.
    return gzip.compress(body, compresslevel=1, mtime=0)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None  # an HTTP date: our own back-off is near enough
