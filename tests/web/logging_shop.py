"""A server with log lines of acme and globex, inside and outside of traces, as an OpenTelemetry SDK sends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from served import Served, served

import waiting
from otlp import SECOND_NS, log_record, log_request, span, trace_request
from waiting import eventually

SHOP = {
    "service.name": "shop", "service.version": "2.1", "deployment.environment.name": "production", "host.name": "web-1",
    "service.instance.id": "web-1/77",
}  # fmt: skip
TRACE, GLOBEX_TRACE = "1a" * 16, "2b" * 16
ROUTE = "/exports/{id}"
STACK = 'Traceback (most recent call last):\n  File "/srv/app/export.py", line 88, in export\nTimeoutError: pool'


@contextmanager
def open_logging(folder: Path) -> Iterator[Served]:
    with served(folder, with_telemetry=False) as running:
        for request in requests(time.time_ns()):
            signal = "logs" if "Logs" in type(request).__name__ else "traces"
            send(running, signal, request)
        asked = {"limit": 1000}
        eventually(
            lambda: len(running.administrator.get("/api/v1/logs", params=asked).json()["lines"]) >= 106,
            "the lines are visible",
        )
        yield running


def send(running: Served, signal: str, request: Any) -> None:
    address = f"{running.url}/v1/{signal}"
    answer = waiting.post(
        address, content=request.SerializeToString(), headers={"Content-Type": "application/x-protobuf"}
    )
    assert answer.status_code == 200, answer.text


def requests(now_ns: int) -> list[Any]:
    """100 quiet lines of both tenants, and around one failed request of acme six lines that say something."""
    at = now_ns - 20 * SECOND_NS
    own: dict[str, Any] = {"tocsin.tenant": "acme", "enduser.id": "u_193"}
    root, inner = b"\x01" * 8, b"\x02" * 8
    acme, globex = bytes.fromhex(TRACE), bytes.fromhex(GLOBEX_TRACE)
    spans = [
        span(
            f"POST {ROUTE}", trace_id=acme, span_id=root, start_ns=at, seconds=2.0, method="POST", route=ROUTE,
            status_code=500, status=2,
        ),
        span("SELECT items", trace_id=acme, span_id=inner, parent=root, start_ns=at + SECOND_NS, seconds=0.5, kind=3),
        span(f"POST {ROUTE}", trace_id=globex, start_ns=at, method="POST", route=ROUTE, tenant="globex"),
    ]  # fmt: skip
    failed = {
        **own, "exception.type": "TimeoutError", "exception.message": "pool", "exception.stacktrace": STACK,
        "plan": "<b>gold</b>",
    }  # fmt: skip
    loud = [
        log_record("export begins", time_ns=at, severity_number=9, trace_id=acme, span_id=root, attrs=own),
        log_record(
            "Slow query: SELECT * FROM items (1500 ms)", time_ns=at + SECOND_NS, severity_number=13, trace_id=acme,
            span_id=inner, attrs=own,
        ),
        log_record(
            "export <failed>", time_ns=at + 2 * SECOND_NS, severity_number=17, trace_id=acme, span_id=root, attrs=failed
        ),
        log_record("Failed login for u_9", time_ns=at, severity_number=13, attrs={"tocsin.tenant": "globex"}),
        log_record("Invoice 7 paid", time_ns=at, severity_number=9, attrs={"tocsin.tenant": "globex"}),
        log_record("globex export", time_ns=at, trace_id=globex, attrs={"tocsin.tenant": "globex"}),
    ]  # fmt: skip
    quiet = [
        log_record(
            f"tick {place}", time_ns=at - place * SECOND_NS, severity_number=5,
            attrs={"tocsin.tenant": ("acme", "globex")[place % 2], "n": place},
        )
        for place in range(1, 101)
    ]  # fmt: skip
    return [trace_request(spans, SHOP), log_request([*loud, *quiet], SHOP)]
