"""Senders of OTLP as an exporter is one: batches of spans, the same bytes again after a lost answer."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF = {"content-type": "application/x-protobuf"}


def attribute(key: str, value: str | int) -> KeyValue:
    as_value = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    return KeyValue(key=key, value=as_value)


def span(
    tenant: str = "acme",
    *,
    route: str = "/orders/{order_id}",
    status_code: int = 200,
    start_ns: int = 0,
    seconds: float = 0.02,
    trace_id: bytes = b"",
    **attributes: str,
) -> Span:
    """A request of `tenant`, now unless `start_ns` says otherwise."""
    started = start_ns or time.time_ns()
    return Span(
        trace_id=trace_id or os.urandom(16),
        span_id=os.urandom(8),
        name=f"GET {route}",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=started,
        end_time_unix_nano=started + int(seconds * 1e9),
        attributes=[
            attribute("http.request.method", "GET"),
            attribute("http.route", route),
            attribute("http.response.status_code", status_code),
            attribute("tenant.id", tenant),
            *(attribute(key, value) for key, value in attributes.items()),
        ],
    )


def export(spans: Sequence[Span], service: str = "shop") -> bytes:
    """An ExportTraceServiceRequest."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(attribute("service.name", service))
    resource.scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


class Sender(threading.Thread):
    """Sends batch after batch until told to stop, and does not give up on one before it is acknowledged."""

    def __init__(self, url: str, seed: int, clock_shift_seconds: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.acknowledged: set[bytes] = set()
        self.unexpected: list[str] = []
        self._url = f"{url}/v1/traces"
        self._random = random.Random(seed)
        self._shift_ns = int(clock_shift_seconds * 1e9)
        self._stopped = threading.Event()

    def run(self) -> None:
        with httpx2.Client(timeout=5, trust_env=False) as client:
            while not self._stopped.is_set():
                start_ns = time.time_ns() + self._shift_ns
                spans = [
                    span(self._random.choice(("acme", "globex")), start_ns=start_ns)
                    for _ in range(self._random.randint(1, 40))
                ]
                if self._deliver(client, export(spans)):
                    self.acknowledged |= {item.span_id for item in spans}
                self._stopped.wait(0.01)

    def finish(self) -> None:
        """Stop after the batch in hand is acknowledged."""
        self._stopped.set()
        self.join(60)
        assert not self.is_alive(), "a batch was not acknowledged within a minute"

    def _deliver(self, client: httpx2.Client, body: bytes) -> bool:
        while True:
            try:
                answer = client.post(self._url, content=body, headers=PROTOBUF)
            except httpx2.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                return True
            if answer.status_code not in (429, 503) or "retry-after" not in answer.headers:
                self.unexpected.append(f"{answer.status_code} {answer.text}")
                return False
            time.sleep(min(0.2, float(answer.headers["retry-after"])))
