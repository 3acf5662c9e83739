"""Exceptions grouped by fault."""

from __future__ import annotations

from typing import Any

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SHOP, exception, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.errors import error_groups
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Filter(Window(NOW_NS, NOW_NS + HOUR_NS))


def failure(fault: str, minute: int, tenant: str = "acme", route: str = "/orders") -> Any:
    start = NOW_NS + minute * MINUTE_NS
    event = exception("ValueError", f"{fault} at {minute}", f'File "a/b.py", line 1, in {fault}\n', time_ns=start)
    return span(start_ns=start, tenant=tenant, route=route, method="GET", status=2, events=[event])


def test_groups_come_most_frequent_first_with_their_latest(store: TelemetryStore, put: Any) -> None:
    often = [failure("often", 1, "globex"), failure("often", 9, route="/pay"), failure("often", 5)]
    put(trace_request([*often, failure("once", 3)], SHOP | {"service.version": "1.2"}))
    first, second = error_groups(store, PLATFORM, HOUR)
    assert (first.count, second.count) == (3, 1)
    assert (first.type, first.message) == ("ValueError", "often at 9")
    assert sorted(first.tenants) == ["acme", "globex"]
    assert first.routes == ["GET /orders", "GET /pay"]
    assert (first.services, first.releases) == (["shop"], ["1.2"])
    assert (first.first_seen_ns, first.last_seen_ns) == (NOW_NS + MINUTE_NS, NOW_NS + 9 * MINUTE_NS)
    assert first.sample_trace_id == often[1].trace_id.hex()
    assert first.fingerprint != second.fingerprint


def test_groups_are_narrowed_like_everything_else(store: TelemetryStore, put: Any) -> None:
    put(trace_request([failure("a", 1), failure("a", 2, "globex"), failure("b", 3, route="/pay"), failure("c", 90)]))
    assert len(error_groups(store, PLATFORM, HOUR)) == 2
    assert len(error_groups(store, PLATFORM, HOUR, limit=1)) == 1
    assert [group.count for group in error_groups(store, Scope.of("globex"), HOUR)] == [1]
    assert [group.message for group in error_groups(store, PLATFORM, Filter(HOUR.window, route="/pay"))] == ["b at 3"]
    assert error_groups(store, PLATFORM, Filter(HOUR.window, service="other")) == []
