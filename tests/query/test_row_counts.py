"""Events and spans counted by what tells them apart, within a window and a scope."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otlp import NOW_NS, SECOND_NS, log_record, log_request, span, trace_request
from tocsin.model.rows import EVENTS, TRACES, Rows
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query import row_counts as counting
from tocsin.query.row_counts import TooManyCountsError, row_counts
from tocsin.storage.telemetry.store import TelemetryStore

NOW_MS = NOW_NS // 1_000_000
AROUND = (NOW_MS - 60_000, NOW_MS + 60_000)
CROSSINGS = Rows(EVENTS, ("crossing",), by=("tenant",))
ORDERS = Rows(TRACES, where={"http.route": "/orders"}, by=("tenant",))


def sent(tenant: str, second: int = 0, **attrs: Any) -> Any:
    return log_record(
        "x", time_ns=NOW_NS + second * SECOND_NS, event_name="crossing", attrs={"tocsin.tenant": tenant, **attrs}
    )


def order(tenant: str = "acme", second: float = 0, **more: Any) -> Any:
    """A span that ends at a second after now."""
    seconds = more.pop("seconds", 1.0)
    start_ns = NOW_NS + round((second - seconds) * SECOND_NS)
    return span(tenant=tenant, start_ns=start_ns, seconds=seconds, method="POST", route="/orders", **more)


def totals(store: TelemetryStore, rows: Rows, scope: Scope = PLATFORM) -> dict[str, float]:
    """By the texts of their labels."""
    found = row_counts(store, scope, rows, *AROUND, AROUND[1] - AROUND[0])
    assert all(len(parts) == 1 for _, parts in found)
    return {" ".join(labels.values()): parts[0][1] for labels, parts in found}


def test_events_are_counted_by_label_sets_within_window_and_scope(store: TelemetryStore, put: Any) -> None:
    put(log_request([sent("acme"), sent("acme", 1, kind="read"), sent("globex"), sent("acme", -600)]))

    assert totals(store, CROSSINGS) == {"acme": 2, "globex": 1}
    assert totals(store, CROSSINGS, Scope.of("globex")) == {"globex": 1}


def test_events_are_narrowed_by_attribute_and_grouped_by_it(store: TelemetryStore, put: Any) -> None:
    put(log_request([sent("acme", kind="read"), sent("acme", kind="write"), sent("acme")]))

    assert totals(store, replace(CROSSINGS, where={"kind": "read"}, by=())) == {"": 1}
    assert totals(store, replace(CROSSINGS, by=("kind",))) == {"read": 1, "write": 1, "": 1}
    assert totals(store, Rows(EVENTS, ("other",), by=())) == {}


def test_spans_count_when_they_end_and_within_their_scope(store: TelemetryStore, put: Any) -> None:
    long = order(second=10, seconds=1800)
    put(trace_request([order(), order("globex"), long, order(second=-60), order(second=60), order(second=60.001)]))

    assert totals(store, ORDERS) == {"acme": 3, "globex": 1}
    assert totals(store, ORDERS, Scope.of("globex")) == {"globex": 1}


def test_spans_are_narrowed_by_what_they_are(store: TelemetryStore, put: Any) -> None:
    failed = order(status=2, status_code=200, attrs={"plan": "gold", "vip": True})
    refused = order(status_code=503, seconds=3, name="POST /orders")
    put(trace_request([order(kind=3), failed, refused], {"service.name": "shop", "zone": "b"}))

    assert totals(store, replace(ORDERS, is_error=True)) == {"acme": 2}
    assert totals(store, replace(ORDERS, is_error=False)) == {"acme": 1}
    assert totals(store, replace(ORDERS, least_seconds=3)) == {"acme": 1}
    assert totals(store, replace(ORDERS, names=("POST /orders",))) == {"acme": 1}
    for where in ({"plan": "gold"}, {"vip": "true"}, {"status_code": "503"}, {"kind": "client"}):
        assert totals(store, replace(ORDERS, where=where)) == {"acme": 1}, where
    assert totals(store, replace(ORDERS, where={"zone": "b", "service": "shop"})) == {"acme": 3}
    by = ("service", "http.route", "http.request.method", "http.response.status_code", "kind")
    assert totals(store, replace(ORDERS, by=by)) == {
        "shop /orders POST client": 1, "shop /orders POST 200 server": 1, "shop /orders POST 503 server": 1,
    }  # fmt: skip


def test_rows_are_counted_in_parts_of_the_time(
    store: TelemetryStore, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(trace_request([order(second=-59), order(second=-45), order(second=-44.999), order(second=60)]))

    [(labels, parts)] = row_counts(store, PLATFORM, ORDERS, *AROUND, 15_000)
    assert labels == {"tenant": "acme"}
    assert sorted(parts) == [(0, 2), (1, 1), (7, 1)]
    monkeypatch.setattr(counting, "MOST_PARTS", 2)
    with pytest.raises(TooManyCountsError, match="ask for a shorter time"):
        row_counts(store, PLATFORM, ORDERS, *AROUND, 15_000)
