"""One request to a provider: within a time, an answer of bounded size, and what its status means for trying again."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Protocol

import httpx2
import orjson

from tocsin.collect.discovery import headers_of
from tocsin.collect.scrape_config import Access
from tocsin.collect.tls import tls_context
from tocsin.notify.contract import DeliveryError

ANSWER_BYTES = 256 * 1024
TOLD_CHARS = 300
LATER = frozenset({408, 425, 429})
LONGEST_WAIT_SECONDS = 3600.0
AGENT = "Tocsin"


class Asking(Protocol):
    """How who asks is let in, and how long it waits; a `Message` is one."""

    @property
    def access(self) -> Access: ...

    @property
    def timeout_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said, its status below 400."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()

    def json(self) -> dict[str, Any]:
        """The answer as an object. Raises DeliveryError: a provider that answers otherwise did not take the message."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise DeliveryError(f"it answered {self.status} without JSON: {told(self.text)}", retryable=True) from error
        if not isinstance(value, dict):
            raise DeliveryError(f"it answered {self.status} with no object: {told(self.text)}", retryable=True)
        return value


def ask(
    asking: Asking,
    method: str,
    url: str,
    *,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    address: str = "",
) -> Answer:
    """The provider's answer. Raises DeliveryError, retryable after 408, 425, 429, 5xx and when nobody answers in time.

    address: connect to this IP address instead of asking for that of the host, whose name and certificate stay those of
    the URL. The whole exchange has `asking.timeout_seconds`: who drips an answer byte by byte is cut off. Secrets of
    the address do not appear in errors.
    """
    sent = {"user-agent": AGENT, **(headers or {})}
    body = content
    if json is not None:
        body = orjson.dumps(json)
        sent.setdefault("content-type", "application/json")
    until = time.monotonic() + asking.timeout_seconds
    try:
        sent |= headers_of(asking.access)
        target, extensions = (url, None) if not address else _pinned(url, address, sent)
        with (
            _client(asking.access, asking.timeout_seconds) as client,
            client.stream(method, target, content=body, data=form, headers=sent, extensions=extensions) as answer,
        ):
            read = _read(answer, until)
            return _judged(answer.status_code, answer.headers, read)
    except httpx2.TimeoutException as error:
        raise _late(url, asking.timeout_seconds) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        is_ours = isinstance(error, (httpx2.UnsupportedProtocol, httpx2.InvalidURL, OSError, ValueError))
        kind = type(error).__name__
        said = str(error) if not isinstance(error, httpx2.InvalidURL) else "the address is not a URL"
        raise DeliveryError(f"cannot reach {host_of(url)}: {said or kind}", retryable=not is_ours) from error


def host_of(url: str) -> str:
    """scheme://host of an address: what comes after it is often a secret."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return "the address"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.scheme}://{parsed.host}{port}"


def told(text: str) -> str:
    """Somebody else's words, short enough for a log line."""
    line = " ".join(text.split())
    return line if len(line) <= TOLD_CHARS else line[:TOLD_CHARS] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which counts them or names a time (RFC 9110)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if seconds == seconds else None


def _pinned(url: str, address: str, headers: dict[str, str]) -> tuple[httpx2.URL, dict[str, Any]]:
    """The URL with the address in place of its host, which is named in the headers and in TLS."""
    parsed = httpx2.URL(url)
    headers["host"] = parsed.netloc.decode("ascii")
    return parsed.copy_with(host=address), {"sni_hostname": parsed.host}


@cache
def _usual_trust() -> ssl.SSLContext:
    # Reading the certificates takes a hundred times as long as everything else a client needs.
    return httpx2.create_ssl_context()


def _client(access: Access, timeout_seconds: float) -> httpx2.Client:
    verify = tls_context(access.tls) if access.tls else _usual_trust()
    return httpx2.Client(timeout=timeout_seconds, verify=verify, follow_redirects=False)


def _read(answer: httpx2.Response, until: float) -> bytes:
    read = bytearray()
    for chunk in answer.iter_bytes():
        read += chunk
        if time.monotonic() > until:
            raise httpx2.ReadTimeout("the answer takes too long")
        if len(read) > ANSWER_BYTES:
            break
    return bytes(read[:ANSWER_BYTES])


def _judged(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    if status < 300:
        return Answer(status, headers, body)
    said = told(body.decode("utf-8", "replace"))
    reason = f"it answered {status}{': ' + said if said else ''}"
    is_later = status in LATER or status >= 500
    raise DeliveryError(reason, retryable=is_later, retry_after_seconds=retry_after(headers), status=status)


def _late(url: str, seconds: float) -> DeliveryError:
    return DeliveryError(f"{host_of(url)} did not answer within {seconds:g} s", retryable=True)
