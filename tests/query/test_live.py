"""What is under way right now: active requests, and the processes that send."""

from __future__ import annotations

import time
from typing import Any

from otlp import MINUTE_NS, SECOND_NS, counter, gauge, metric_request, number, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.active import active_requests
from tocsin.query.filters import Filter
from tocsin.query.senders import Sender, senders
from tocsin.storage.telemetry.store import TelemetryStore

NOW = time.time_ns() // MINUTE_NS * MINUTE_NS
QUARTER = Filter(Window(NOW - 15 * MINUTE_NS, NOW))


def active(value: int, seconds_ago: float, instance: str = "one", tenant: str = "acme", service: str = "shop") -> Any:
    point = number(value, time_ns=NOW - round(seconds_ago * SECOND_NS), attrs={"tocsin.tenant": tenant})
    resource = {"service.name": service, "service.instance.id": instance}
    return metric_request([gauge("http.server.active_requests", [point])], resource)


def test_active_requests_are_summed_over_processes_and_tenants(store: TelemetryStore, put: Any) -> None:
    put(active(3, 1), active(2, 1, "two"), active(4, 1, tenant="globex"), active(9, 5), active(1, 1, service="billing"))
    assert active_requests(store, PLATFORM, QUARTER).now == 10
    assert active_requests(store, Scope.of("acme"), QUARTER).now == 6
    assert active_requests(store, PLATFORM, Filter(QUARTER.window, service="billing")).now == 1


def test_process_that_reported_a_step_earlier_still_counts(store: TelemetryStore, put: Any) -> None:
    put(active(3, 35), active(2, 1, "two"))
    assert active_requests(store, PLATFORM, QUARTER).now == 5


def test_active_requests_are_unknown_without_a_recent_report(store: TelemetryStore, put: Any) -> None:
    assert active_requests(store, PLATFORM, QUARTER).now is None
    put(active(3, 90))
    found = active_requests(store, PLATFORM, QUARTER)
    assert found.now is None
    assert [value for value in found.values if value is not None] == [3]


def test_active_requests_over_time_have_every_step_and_its_highest(store: TelemetryStore, put: Any) -> None:
    put(active(3, 61), active(8, 62), active(2, 1))
    found = active_requests(store, PLATFORM, QUARTER, points=15)
    assert (found.step_seconds, len(found.times), len(found.values)) == (60, 15, 15)
    assert found.values[-2:] == [8, 2]
    assert set(found.values[:-2]) == {None}


def test_senders_are_processes_with_what_they_dropped(store: TelemetryStore, put: Any) -> None:
    now = time.time_ns()

    def health(instance: str, name: str, value: int, age_seconds: int, **attrs: str) -> Any:
        point = number(value, time_ns=now - age_seconds * SECOND_NS, attrs=attrs)
        point.start_time_unix_nano = now - 3600 * SECOND_NS
        resource = {"service.name": "shop", "service.instance.id": instance, "telemetry.sdk.name": "tocsin"}
        return metric_request([counter(name, [point])], resource)

    put(
        health("one", "tocsin.sdk.dropped", 5, 60, reason="full"),
        health("one", "tocsin.sdk.dropped", 12, 10, reason="full"),
        health("one", "tocsin.sdk.dropped", 3, 10, reason="closed"),
        health("one", "tocsin.sdk.exported", 900, 5),
        health("two", "tocsin.sdk.exported", 7, 30),
        health("gone", "tocsin.sdk.exported", 7, 1200),
        trace_request([span(start_ns=now - SECOND_NS)], {"service.name": "legacy"}),
    )
    found = {(sender.service, sender.instance): sender for sender in senders(store, PLATFORM)}
    assert set(found) == {("shop", "one"), ("shop", "two"), ("legacy", "")}
    assert found["shop", "one"] == Sender("shop", "one", (now - 5 * SECOND_NS) // 10**6 * 10**6, 15)
    assert found["shop", "two"].dropped == 0
    assert found["legacy", ""].newest_ns == now - SECOND_NS
    assert [sender.service for sender in senders(store, Scope.of("acme"))] == ["legacy"]
