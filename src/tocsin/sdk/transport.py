"""Carries one encoded OTLP request to the server and brings back its answer."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_GZIP_MAGIC = b"\x1f\x8b"
_ANSWER_BYTES = 64 * 1024
_MORE = getattr(socket, "MSG_MORE", 0)
_LINE_BYTES, _HEADER_LINES = 8192, 100


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
    """OTLP/HTTP over one kept-alive connection; used by one thread at a time. Never raises on network trouble.

    The few lines of HTTP/1.1 that this takes are spoken here: `http.client` reads headers with the parser for
    e-mail, a quarter of a millisecond for each of ten batches a second.
    """

    def __init__(self, endpoint: str, ingest_key: str, timeout_seconds: float) -> None:
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._secure else 80)
        self._path = parts.path.rstrip("/")
        self.timeout_seconds = timeout_seconds
        lines = [f"Host: {parts.netloc.rpartition('@')[2]}", "Content-Type: application/x-protobuf",
                 "User-Agent: tocsin-sdk"]  # fmt: skip
        if ingest_key.strip():
            lines.append(f"Authorization: Bearer {ingest_key.strip()}")
        self._headers = "".join(f"{line}\r\n" for line in lines)
        self._socket: socket.socket | None = None
        self._answers: BinaryIO | None = None

    def __call__(self, signal: str, body: bytes) -> Response:
        is_fresh = self._socket is None
        response = self._attempt(signal, body)
        if not response.status and response.cause != "timeout" and not is_fresh:
            # The server has closed the idle connection meanwhile: once more on a fresh one.
            response = self._attempt(signal, body)
        return response

    def close(self) -> None:
        if self._answers is not None:
            self._answers.close()
        if self._socket is not None:
            self._socket.close()
        self._answers = self._socket = None

    def _attempt(self, signal: str, body: bytes) -> Response:
        try:
            return self._exchange(signal, body)
        except TimeoutError:
            self.close()
            return Response(0, cause="timeout")
        except (OSError, ValueError) as error:
            self.close()
            return Response(0, cause=type(error).__name__)

    def _exchange(self, signal: str, body: bytes) -> Response:
        if self._socket is None or self._answers is None:
            self._socket = self._connect()
            self._answers = self._socket.makefile("rb")
        self._socket.settimeout(self.timeout_seconds)
        encoding = "Content-Encoding: gzip\r\n" if body[:2] == _GZIP_MAGIC else ""
        head = f"POST {self._path}/v1/{signal} HTTP/1.1\r\n{self._headers}{encoding}Content-Length: {len(body)}\r\n\r\n"
        # Two calls, because joining a large body with its head costs more than a call; and one packet where it can be.
        self._socket.sendall(head.encode("latin-1"), 0 if self._secure else _MORE)
        self._socket.sendall(body)
        return self._read_answer(self._answers)

    def _read_answer(self, answers: BinaryIO) -> Response:
        """One response; raises ValueError when it is no HTTP, ConnectionError when it ends too early."""
        status = 100
        while 100 <= status < 200:  # interim responses may come first
            status, headers = _read_head(answers)
        content = b"" if status in (204, 304) else _read_body(answers, headers)
        if content is None or headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return Response(status, content or b"", _seconds(headers.get(b"retry-after")))

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), self.timeout_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._secure:
            return connection
        try:
            return ssl.create_default_context().wrap_socket(connection, server_hostname=self._host)
        except OSError:
            connection.close()
            raise


def _read_head(answers: BinaryIO) -> tuple[int, dict[bytes, bytes]]:
    line = answers.readline(_LINE_BYTES)
    if not line:
        raise ConnectionResetError("closed by the server")
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ValueError(f"cannot read answer {line[:40]!r}: no HTTP/1")
    headers = {} if version == b"HTTP/1.1" else {b"connection": b"close"}
    for _ in range(_HEADER_LINES):
        line = answers.readline(_LINE_BYTES)
        name, colon, value = line.partition(b":")
        if not colon:
            return int(rest[:3]), headers
        headers[name.lower()] = value.strip()
    raise ValueError("cannot read answer: too many headers")


def _read_body(answers: BinaryIO, headers: dict[bytes, bytes]) -> bytes | None:
    """The body; None when it is so long or so made that the connection cannot be used again."""
    if b"transfer-encoding" in headers:
        return _read_chunks(answers)
    size = int(headers.get(b"content-length", -1))
    return answers.read(size) if 0 <= size <= _ANSWER_BYTES else None


def _read_chunks(answers: BinaryIO) -> bytes | None:
    content = b""
    while len(content) <= _ANSWER_BYTES:
        size = int(answers.readline(_LINE_BYTES).partition(b";")[0], 16)
        if not 0 <= size <= _ANSWER_BYTES:
            return None
        content += answers.read(size + 2)[:size]
        if not size:
            return content
    return None


def compressor(compression: str, endpoint: str) -> Callable[[bytes], bytes]:
    """What is done to a body before it is sent: gzip at its cheapest level, or nothing."""
    is_local = urlsplit(endpoint).hostname in _LOOPBACK
    if compression == "none" or (compression == "auto" and is_local):
        return bytes
    return _gzip


def _gzip(body: bytes) -> bytes:
    # mtime=0: the same batch gives the same bytes, by which the server recognises a retry.
    return gzip.compress(body, compresslevel=1, mtime=0)


def _seconds(retry_after: bytes | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None  # an HTTP date: our own back-off is near enough
