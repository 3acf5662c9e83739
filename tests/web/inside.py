"""Telemetry for every page about the inside of a product, of acme and globex, on one server.

Both run statements, requests to other services and look-ups (globex' own are marked as such), jobs, critical operations
and releases (releasing.py), cross each other's border (mixed_tenants.py), and raise errors (served.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import releasing
from served import Served, served

import mixed_tenants
from calls import call, lookup, request_to, sent, statement
from otlp import SECOND_NS, gauge, log_record, log_request, metric_request, number, span, trace_request
from tocsin.sdk.call_digest import CallTable, PlaceKey
from waiting import eventually

STATEMENT = "ab12ab12ab12ab12"
JOB = "invoices process"
FAULT = "9f2c01aa77de41b0"
SECRET = "globex"
"""What nobody but globex and the platform may read."""
PATHS = (
    "/database",
    f"/database/{STATEMENT}",
    "/dependencies",
    "/jobs",
    f"/jobs/{JOB.replace(' ', '%20')}",
    "/errors",
    f"/errors/{FAULT}",
    "/isolation",
    "/releases",
    "/releases/shop/2.0",
    "/operations",
    "/operations/login",
)
PLATFORM_PATHS = ("/runtime",)
"""Pages about processes, which serve all tenants."""
PROCESS = {"service.name": "shop", "service.instance.id": "one", "process.pid": 7, "telemetry.sdk.name": "tocsin"}


@contextmanager
def open_inside(folder: Path) -> Iterator[Served]:
    with served(folder) as site:
        releasing.send(site.administrator)
        for signal, request in requests(time.time_ns() - 20 * SECOND_NS):
            _post(site.administrator, signal, request)
        eventually(lambda: _is_there(site.administrator), "the telemetry is visible", pause_seconds=0.1)
        yield site


def requests(now_ns: int) -> list[tuple[str, Any]]:
    """(signal, OTLP request) of everything but releases and operations."""
    counted, happened = mixed_tenants.all_of_it(now_ns)
    return [
        ("metrics", _calls(now_ns)), ("metrics", counted), ("metrics", _process(now_ns)),
        ("logs", happened), ("logs", _blocked(now_ns)), ("traces", _jobs(now_ns)),
    ]  # fmt: skip


def _calls(now_ns: int) -> Any:
    table = CallTable()
    orders = statement("SELECT * FROM orders WHERE org = ?", STATEMENT)
    for tenant in ("acme", "globex"):
        table.record(orders, tenant, [call(10, amount=2)] * 20, "GET /orders")
        table.record_repeat(PlaceKey(orders, tenant, "GET /orders", "shop/orders.py:57 in listed"), 18, 0.18)
        table.record(request_to("pay.example", "/charge"), tenant, [call(5, "httpx.ConnectTimeout")] * 6, "POST /pay")
        table.record(lookup("price"), tenant, [call(1, amount=1)] * 30, "GET /orders")
    table.record(
        statement("SELECT 1 FROM globex_only", "9090909090909090", "globex_only"), "globex", [call(9)], "GET /g"
    )
    table.record(request_to("globex.example", "/globex"), "globex", [call(9)] * 5, "GET /g")
    table.record(lookup("globex-key"), "globex", [call(1, amount=0)] * 30, "GET /g")
    return sent(table, now_ns)


def _process(now_ns: int) -> Any:
    times = [now_ns - place * 5 * SECOND_NS for place in range(60, -4, -1)]

    def level(name: str, value: float) -> Any:
        return gauge(name, [number(value, time_ns=at, attrs={}) for at in times])

    return metric_request([level("process_uptime_seconds", 60.0), level("process_resident_memory_bytes", 9e7)], PROCESS)


def _blocked(now_ns: int) -> Any:
    said = {
        "tocsin.blocked.line": "shop/live.py:27 in listed", "tocsin.blocked.times": 9, "tocsin.blocked.seconds": 2.7,
        "tocsin.blocked_ms": 300.0, "http.request.method": "GET", "http.route": "/live", "tocsin.tenant": "globex",
    }  # fmt: skip
    return log_request([log_record("still", time_ns=now_ns, attrs=said, event_name="tocsin.runtime.blocked")], PROCESS)


def _jobs(now_ns: int) -> Any:
    attrs = {"messaging.system": "rabbitmq", "messaging.destination.name": "invoices"}

    def run(name: str, tenant: str, **more: Any) -> Any:
        return span(name, kind=5, attrs=attrs, seconds=2.0, start_ns=now_ns, tenant=tenant, **more)

    return trace_request([run(JOB, "acme", status=2), run(JOB, "globex"), run("globex process", "globex")])


def _post(client: httpx2.Client, signal: str, request: Any) -> None:
    headers = {"Content-Type": "application/x-protobuf"}
    body = request.SerializeToString()
    answer = httpx2.post(client.base_url.join(f"/v1/{signal}"), content=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def _is_there(client: httpx2.Client) -> bool:
    def ask(path: str) -> Any:
        return client.get(f"/api/v1{path}").json()

    return bool(
        ask("/database/repeats")["repeats"] and ask("/dependencies")["dependencies"] and ask("/caches")["caches"]
        and len(ask("/jobs")["jobs"]) == 2 and ask("/isolation")["crossings"] and ask("/isolation")["coverage"]
        and ask("/runtime")["processes"] and ask("/runtime")["blocking"] and ask("/errors")["errors"]
    )  # fmt: skip
