"""A whole server in a process of its own, with telemetry of acme and globex in it, for tests of the pages.

acme's exports have been failing with an exception for 80 seconds, globex's do not; there are 400 seconds of both.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from fresh_data import lay_out
from waiting import await_exit, eventually
from warm_python import WarmProcess

ADMIN_TOKEN = "pages-of-acme-and-globex"
FAILING_TRACE = "ac" * 16
GLOBEX_TRACE = "91" * 16
EXPORT = "/reports/{id}/export"
STACK = 'Traceback (most recent call last):\n  File "/srv/app/export.py", line 88, in export\n    raise ValueError(1)'


class Forgetful(httpx2.Client):
    """Keeps no cookies, so that no test inherits what another chose; patient, for machines that are busy."""

    def send(self, *given: Any, **named: Any) -> httpx2.Response:
        answer = super().send(*given, **named)
        self.cookies.clear()
        return answer


@dataclass(frozen=True)
class Served:
    """`administrator` and `tom` (who may see acme only) are clients of the running server."""

    url: str
    administrator: httpx2.Client
    tom: httpx2.Client


@contextmanager
def served(folder: Path, with_telemetry: bool = True, with_packs: bool = False) -> Iterator[Served]:
    """The server, ready; with_telemetry also waits until the telemetry is visible. Without the shipped rules, which
    would have something to say of this machine, it takes next to no time of those beside it."""
    process, url = _start(folder, with_packs)
    administrator = Forgetful(base_url=url, headers=_bearer(ADMIN_TOKEN), timeout=30)
    try:
        asked = {"name": "tom", "role": "tenant_viewer", "tenants": ["acme"]}
        answer = administrator.post("/api/v1/tokens", json=asked)
        assert answer.status_code in (200, 201), answer.text
        with Forgetful(base_url=url, headers=_bearer(_secret_in(answer.text)), timeout=30) as tom:
            if with_telemetry:
                _send(administrator)
            yield Served(url, administrator, tom)
    finally:
        administrator.close()
        process.send_signal(signal.SIGTERM)
        await_exit(process)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Accept": "text/html"}


def _secret_in(text: str) -> str:
    found = re.findall(r"tcs_api_[\w-]+", text)
    assert found, text
    return max(found, key=len)


def _start(folder: Path, with_packs: bool) -> tuple[WarmProcess, str]:
    lay_out(folder)
    command = ["-m", "tocsin", "serve", "--data", str(folder), "--port", "0", "--grpc-port", "-1"]
    packs = {"TOCSIN_RULES_IS_PACKS_ON": str(with_packs).lower()}
    environ = os.environ | packs | {"TOCSIN_ADMIN_TOKEN": ADMIN_TOKEN}
    with (folder / "server.log").open("w") as log:
        process = WarmProcess(command, environ, folder, log, log)

    def address() -> re.Match[str] | None:
        text = (folder / "server.log").read_text()
        assert process.poll() is None, text
        return re.search(r"http://127\.0\.0\.1:\d+", text)

    try:
        return process, eventually(address, "the server says where it is")[0]
    except AssertionError:
        process.kill()
        process.wait()
        raise


def _send(client: httpx2.Client) -> None:
    body = _telemetry(time.time_ns()).SerializeToString()
    answer = httpx2.post(
        client.base_url.join("/v1/traces"), content=body, headers={"Content-Type": "application/x-protobuf"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    eventually(lambda: client.get(f"/traces/{GLOBEX_TRACE}").status_code == 200, "the telemetry is visible")


def _telemetry(now_ns: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend([_text("service.name", "reports"), _text("service.version", "2.1")])
    group.resource.attributes.append(_text("deployment.environment.name", "production"))
    spans = group.scope_spans.add().spans
    for place in range(200):
        start_ns = now_ns - 1_500_000_000 - place * 2_000_000_000
        is_first = place == 0
        spans.append(_span(start_ns, "acme", FAILING_TRACE if is_first else f"{place:032x}", is_error=place < 40))
        spans.append(_span(start_ns, "globex", GLOBEX_TRACE if is_first else f"{place + 1000:032x}", is_error=False))
    spans.append(_query(now_ns - 1_490_000_000, "acme", FAILING_TRACE))
    spans.append(_query(now_ns - 1_490_000_000, "globex", GLOBEX_TRACE))
    return request


def _span(start_ns: int, tenant: str, trace_id: str, is_error: bool) -> Span:
    status = 500 if is_error else 200
    made = Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(trace_id[16:]),
        name=f"POST {EXPORT}",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + 120_000_000,
        status=Status(code=Status.STATUS_CODE_ERROR if is_error else Status.STATUS_CODE_UNSET),
    )
    said = {"http.request.method": "POST", "http.route": EXPORT, "url.path": "/reports/7/export", "enduser.id": tenant}
    made.attributes.extend(_text(name, value) for name, value in (said | {"tocsin.tenant": tenant}).items())
    made.attributes.append(KeyValue(key="http.response.status_code", value=AnyValue(int_value=status)))
    if is_error:
        event = made.events.add(name="exception", time_unix_nano=start_ns + 100_000_000)
        event.attributes.append(_text("exception.type", "app.RateError"))
        event.attributes.append(_text("exception.message", "<b>no rate</b> for USD"))
        event.attributes.append(_text("exception.stacktrace", STACK))
        event.attributes.append(_text("tocsin.error.fingerprint", "9f2c01aa77de41b0"))
    return made


def _query(start_ns: int, tenant: str, trace_id: str) -> Span:
    made = Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=b"\x01" * 8,
        parent_span_id=bytes.fromhex(trace_id[16:]),
        name="SELECT rates",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + 40_000_000,
    )
    made.attributes.extend([_text("db.system.name", "sqlite"), _text("db.query.text", "SELECT rate FROM rates")])
    made.attributes.append(_text("tocsin.tenant", tenant))
    return made


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
