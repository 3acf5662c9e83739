"""What HTTP clients have in common: a request's operation, the trace context sent along, and the note afterwards."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.calls import Kind, Operation, current_span, note
from tocsin.sdk.current import SPAN_KEY, current_context
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded, guarded_hook
from tocsin.sdk.instrument._contract import Gauge
from tocsin.sdk.propagation import format_traceparent, new_span_id
from tocsin.sdk.shapes import Shapes
from tocsin.sdk.spans import RecordingSpan
from tocsin.sdk.totals import BOUNDS

# Operations counted apart; beyond it those of one host and status are one, then all hosts.
_OPERATIONS = 1000
_OTHER = "other"
# Hosts whose certificate is remembered, and for how long before it is looked at again.
_CERTIFICATES, _CERTIFICATE_SECONDS = 200, 3600.0
_PORTS = {"http": 80, "https": 443}
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})

_REQUEST = Kind(
    "http.client.request.duration",
    "http_client_request_duration_seconds",
    "Seconds from sending a request to the head of its response, by host, method and status.",
    "http_client_requests_total",
    "Requests sent to other services, by host, method, status, tenant and error.",
    "http_client_seconds_total",
    "Seconds that requests to other services have taken, by tenant.",
    bounds=BOUNDS,
    group="http",
)


class Sent:
    """One request on its way. timings: milliseconds of its parts, by attribute, as far as the client tells.

    entered_ns: when our hook was entered; began_ns: when it was left again and the request began.
    """

    __slots__ = ("began_ns", "entered_ns", "span", "span_id", "timings")

    def __init__(self, span: RecordingSpan | None, entered_ns: int) -> None:
        self.span = span
        self.span_id = new_span_id() if span is not None else b""
        self.timings: dict[str, Any] = {}
        self.began_ns = self.entered_ns = entered_ns


class Client:
    """Takes note of the requests of one HTTP client library."""

    def __init__(self, library: str) -> None:
        self._library = library
        # By host: when its certificate ends, and when we looked (monotonic).
        self._certificates: dict[str, tuple[float, float]] = {}
        self._paths = Shapes("{id}", "/")
        self._hosts: set[str] = set()
        self._operations: dict[tuple[Any, ...], Operation] = {}
        self.begin = guarded(None)(self._begin)
        self.end = guarded_hook(self._end)

    def _begin(self, entered_ns: int, has_header: bool, set_header: Callable[[str, str], Any]) -> Sent:
        """To be called before sending; hands the trace on unless somebody else has."""
        sent = Sent(current_span(), entered_ns)
        span = sent.span
        # Where somebody else records the spans, the headers are theirs.
        if span is not None and not has_header and current_context().get(SPAN_KEY) is span:
            root = span.root
            root.identify()
            set_header("traceparent", format_traceparent(root.trace_id, sent.span_id, span.sampled_flag()))
            if root.trace_state:
                set_header("tracestate", root.trace_state)
        sent.began_ns = perf_counter_ns()
        return sent

    def _end(
        self, sent: Sent | None, ended_ns: int, method: str, url: tuple[str, str, int | None, str], status: int,
        error: BaseException | None,
    ) -> None:  # fmt: skip
        """To be called after the head of the response, or the error. url: scheme, host, port, path."""
        if sent is None:
            return
        scheme, host, port, path = url
        key = (method, scheme, host, port, self._paths.of(path or "/"), status)
        operation = self._operations.get(key) or self._make(key)
        name = qualified_name(error) if error is not None else (str(status) if status >= 400 else "")
        note(
            operation, sent.began_ns, ended_ns, sent.span, name, facts=sent.timings or None, span_id=sent.span_id,
            before_ns=sent.began_ns - sent.entered_ns,
        )  # fmt: skip

    def is_certificate_known(self, host: str) -> bool:
        """Whether we looked within an hour; looking costs some 50 µs."""
        looked = self._certificates.get(host)
        return looked is not None and time.monotonic() - looked[1] < _CERTIFICATE_SECONDS

    @guarded(None)
    def note_certificate(self, host: str, certificate: Mapping[str, Any] | None) -> None:
        """Takes note of a server's certificate, in the form of `ssl.SSLSocket.getpeercert`."""
        if certificate and "notAfter" in certificate and len(self._certificates) < _CERTIFICATES:
            self._certificates[host] = ssl.cert_time_to_seconds(certificate["notAfter"]), time.monotonic()

    def gauges(self) -> Iterator[Gauge]:
        words = "When the certificate ends that a server showed at the last connection, in Unix seconds."
        for host, (ends, _) in list(self._certificates.items()):
            labels = {"host": host, "client": self._library}
            yield Gauge("http_client_tls_expiry_timestamp_seconds", words, "s", ends, labels)

    def _make(self, key: tuple[Any, ...]) -> Operation:
        method, scheme, host, port, template, status = key
        if len(self._operations) >= _OPERATIONS:
            template = ""
            if host not in self._hosts:
                host = _OTHER
            key = (method, scheme, host, port, template, status)
            if key in self._operations:
                return self._operations[key]
        self._hosts.add(host)
        known = method if method in _METHODS else "_OTHER"
        facts: dict[str, Any] = {
            "http.request.method": known,
            "server.address": host,
            "server.port": port or _PORTS.get(scheme, 0),
            "url.template": template,
        }
        if status:
            facts["http.response.status_code"] = status
        attributes = {**facts, "url.scheme": scheme}
        labels = {"host": host, "method": known, "status": str(status or "")}
        name = f"{known} {template}".strip()
        operation = self._operations[key] = Operation(_REQUEST, name, attributes, facts, labels)
        return operation


def has_trace(headers: Mapping[Any, Any] | None) -> bool:
    return headers is not None and any(str(name).lower() == "traceparent" for name in headers)
