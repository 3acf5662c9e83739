"""Telemetry of a product that was deployed ten minutes ago and whose critical operations run, for tests of the pages.

2.0 made POST /export slower for acme only; sign-in fails for acme in a tenth of its runs, not for globex.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from served import Served, served

from otlp import exception, log_record, log_request, span
from tocsin.sdk.encode import resource
from tocsin.sdk.encode_metrics import MetricEncoder
from tocsin.sdk.increases import Increases
from tocsin.sdk.red import RedTable
from waiting import eventually

SHOP = {"service.name": "shop", "deployment.environment.name": "production"}
SECOND_NS = 10**9
DEPLOYED_SECONDS_AGO = 600
FAILED_LOGIN = "f1" * 16


@contextmanager
def open_releasing(folder: Path) -> Iterator[Served]:
    with served(folder, with_telemetry=False) as site:
        send(site.administrator)
        yield site


def send(client: httpx2.Client) -> None:
    deploy_ns = time.time_ns() - DEPLOYED_SECONDS_AGO * SECOND_NS
    generator = np.random.default_rng(5)
    for release, from_ns, slower in (("1.9", deploy_ns - 500 * SECOND_NS, 1.0), ("2.0", deploy_ns, 3.0)):
        for tenant, route, factor in (("acme", "/export", slower), ("globex", "/export", 1.0), ("acme", "/items", 1.0)):
            seconds = generator.lognormal(math.log(0.2), 0.3, 120) * factor
            _post(client, "traces", _requests(release, from_ns, tenant, route, seconds.tolist()))
    _post(client, "traces", _failed(deploy_ns + SECOND_NS))
    _post(client, "metrics", None, _operations())
    told = {"feature_flag.key": "fast-lists", "feature_flag.result.variant": "on", "tocsin.tenant": "acme"}
    flip = log_record(
        "flag fast-lists for acme: off → on", time_ns=deploy_ns, event_name="tocsin.flag.flip", attrs=told
    )
    _post(client, "logs", log_request([flip], SHOP))
    eventually(lambda: _is_there(client), "the telemetry is visible", pause_seconds=0.1)


def _is_there(client: httpx2.Client) -> bool:
    releases = client.get("/api/v1/releases").json()["releases"]
    operations = client.get("/api/v1/operations").json()["operations"]
    happened = client.get("/api/v1/annotations").json()
    is_traced = client.get(f"/api/v1/traces/{FAILED_LOGIN}").status_code == 200
    return len(releases) >= 2 and len(operations) >= 2 and any(one["kind"] == "flag" for one in happened) and is_traced


def _requests(release: str, from_ns: int, tenant: str, route: str, seconds: list[float]) -> ExportTraceServiceRequest:
    spans = [
        span(
            f"POST {route}", start_ns=from_ns + place * 4 * SECOND_NS, seconds=each, tenant=tenant, method="POST",
            route=route, status_code=200,
        )
        for place, each in enumerate(seconds)
    ]  # fmt: skip
    return _traces(spans, release)


def _failed(start_ns: int) -> ExportTraceServiceRequest:
    stack = 'File "/srv/app/login.py", line 8, in sign_in'
    raised = exception("app.ProviderDown", "no answer", stack, start_ns, **{"tocsin.error.fingerprint": "down"})
    made = span(
        "POST /login", trace_id=bytes.fromhex(FAILED_LOGIN), start_ns=start_ns, method="POST", route="/login",
        status_code=500, status=int(Status.STATUS_CODE_ERROR), attrs={"tocsin.operation": "login"}, events=[raised],
    )  # fmt: skip
    return _traces([made], "2.0")


def _traces(spans: list[Any], release: str) -> ExportTraceServiceRequest:
    from otlp import trace_request

    return trace_request(spans, {**SHOP, "service.version": release})


def _operations() -> bytes:
    increases = Increases()
    for operation, outcome, reason, tenant, number in (
        ("login", "success", "", "acme", 90),
        ("login", "failure", "ProviderDown", "acme", 10),
        ("login", "rejected", "401", "acme", 30),
        ("login", "success", "", "globex", 100),
        ("form_automation", "success", "", "globex", 50),
    ):
        labels = (("operation", operation), ("outcome", outcome), *((("reason", reason),) if reason else ()))
        increases.count("operation_outcomes_total", labels, tenant, number)
        increases.time("operation_duration_seconds", (("operation", operation),), tenant, 0.25)
    _flags(increases)
    encoder = MetricEncoder(resource({**SHOP, "service.instance.id": "1"}), "1")
    return encoder.encode_request(RedTable(10).collect(), [], [], time.time_ns(), None, increases.collect())


def _flags(increases: Increases) -> None:
    """`compact` makes GET /items 40 % slower for acme, which got both variants; globex only has it off."""
    generator = np.random.default_rng(7)
    for tenant, variant, factor in (("acme", "off", 1.0), ("acme", "on", 1.4), ("globex", "off", 1.0)):
        said = (("flag", "compact"), ("reason", "targeting_match"), ("variant", variant))
        increases.count("feature_flag_evaluations_total", said, tenant, 400)
        labels = (("flag", "compact"), ("method", "GET"), ("route", "/items"), ("variant", variant))
        for seconds in generator.lognormal(math.log(0.1), 0.3, 400) * factor:
            increases.time("feature_flag_request_duration_seconds", labels, tenant, float(seconds))
    increases.count("feature_flag_evaluations_total", (("flag", "steady"), ("variant", "on")), "globex", 9)


def _post(client: httpx2.Client, signal: str, request: Any, body: bytes = b"") -> None:
    content = body or request.SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    answer = httpx2.post(client.base_url.join(f"/v1/{signal}"), content=content, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
