"""Counts of calls become rollup rows: our SDK's exact ones, and others' by their spans."""

from __future__ import annotations

from typing import Any

import pytest

from calls import call, lookup, sent, statement
from otlp import span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.sdk.call_digest import CallTable, PlaceKey
from tocsin.sdk.calls import Operation
from tocsin.storage.telemetry.store import TENANT_TABLES, TelemetryStore

CALL_TABLES = [name for name in TENANT_TABLES if name.startswith("calls_")]
SELECT = statement("SELECT * FROM orders WHERE id = ?", "ab12")


@pytest.fixture
def table() -> CallTable:
    table = CallTable()
    table.record(SELECT, "acme", [call(10, amount=3), call(30, "TimeoutError")], "GET /orders")
    table.record(SELECT, "globex", [call(20, amount=4)], "GET /orders")
    table.record(SELECT, "globex", [call(5, amount=1)], "POST /orders")
    return table


@pytest.mark.parametrize("name", CALL_TABLES)
def test_every_rollup_adds_up_what_the_sdk_counted(
    store: TelemetryStore, put: Any, table: CallTable, name: str
) -> None:
    put(sent(table))
    sql = (
        "SELECT kind, system, target, sum(r.calls), round(sum(r.seconds), 6), sum(r.amount), "
        f"sumIf(r.calls, r.error != ''), length(sumMap(r.buckets)) FROM {name} AS r GROUP BY kind, system, target"
    )
    assert store.read(PLATFORM, sql).rows == [["db", "postgresql", "db1:5432/shop", 4, 0.065, 8, 1, 4]]


def test_a_row_says_what_was_called_by_whom_for_whom(store: TelemetryStore, put: Any, table: CallTable) -> None:
    put(sent(table))
    sql = (
        "SELECT tenant, caller, error, digest, any(operation), any(collection), environment, service, sum(calls) "
        "FROM calls_1h GROUP BY ALL ORDER BY ALL"
    )
    text, where = "SELECT * FROM orders WHERE id = ?", ["test", "shop"]
    assert store.read(PLATFORM, sql).rows == [
        ["acme", "GET /orders", "", "ab12", text, "orders", *where, 1],
        ["acme", "GET /orders", "TimeoutError", "ab12", text, "orders", *where, 1],
        ["globex", "GET /orders", "", "ab12", text, "orders", *where, 1],
        ["globex", "POST /orders", "", "ab12", text, "orders", *where, 1],
    ]


def test_a_tenant_sees_its_own_calls_alone(store: TelemetryStore, put: Any, table: CallTable) -> None:
    put(sent(table))
    counts = {
        name: store.read(Scope(frozenset({"acme"})), f"SELECT sum(calls) FROM {name}").rows[0][0]
        for name in CALL_TABLES
    }
    assert counts == {name: 0 if "_operations" in name else 2 for name in CALL_TABLES}


def test_requests_that_repeat_a_statement_are_counted_by_line(store: TelemetryStore, put: Any) -> None:
    table = CallTable()
    for calls in (41, 12):
        table.record(SELECT, "acme", [call(1)], "GET /orders")
        table.record_repeat(PlaceKey(SELECT, "acme", "GET /orders", "shop/orders.py:57 in listed"), calls, calls / 1000)
    put(sent(table))
    sql = (
        "SELECT caller, line, sum(repeat_requests), sum(repeat_calls), round(sum(repeat_seconds), 6), sum(calls) "
        "FROM calls_1m_operations GROUP BY ALL ORDER BY line"
    )
    assert store.read(PLATFORM, sql).rows == [
        ["GET /orders", "", 0, 0, 0, 2],
        ["GET /orders", "shop/orders.py:57 in listed", 2, 53, 0.053, 0],
    ]


def test_lookups_are_hits_out_of_what_was_asked(store: TelemetryStore, put: Any) -> None:
    get = lookup("user:*")
    inside = Operation(get.kind._replace(metric=""), "user:*", {**get.attributes, "db.query.text": "P"}, {}, {}, "u")
    table = CallTable()
    table.record(get, "acme", [call(1, amount=1), call(1, amount=0)], "GET /")
    table.record(inside, "acme", [call(0, amount=2, of=5)], "GET /")
    put(sent(table))
    sql = "SELECT collection, sum(calls), sum(amount), sum(asked) FROM calls_10s GROUP BY ALL"
    assert store.read(PLATFORM, sql).rows == [["user:*", 2, 3, 7]]


def test_other_senders_calls_come_from_their_spans(store: TelemetryStore, put: Any) -> None:
    client = 3
    put(
        trace_request(
            [
                span("SELECT", kind=client, seconds=0.5, attrs={
                    "db.system": "postgresql", "db.name": "shop", "net.peer.name": "db1",
                    "db.statement": "SELECT * FROM orders WHERE id = 17"}),
                span("SELECT", kind=client, seconds=0.5, attrs={
                    "db.system.name": "postgresql", "db.namespace": "shop", "server.address": "db1",
                    "db.query.text": "SELECT * FROM orders WHERE id = 18"}),
                span("GET", kind=client, method="GET", status_code=503, attrs={
                    "server.address": "rates.example", "server.port": "443", "url.template": "/v1/rates"}),
                span("GET user:17", kind=client, attrs={
                    "db.system": "redis", "server.address": "cache", "db.statement": "GET user:17"}),
                span("mail publish", kind=4, attrs={
                    "messaging.system": "kafka", "messaging.destination.name": "mail"}),
                span("GET /orders", kind=2, method="GET", route="/orders"),
            ]
        )
    )  # fmt: skip
    sql = (
        "SELECT kind, system, target, any(operation), error, sum(calls), round(sum(seconds), 6) FROM calls_1m "
        "GROUP BY kind, system, target, digest, error ORDER BY kind"
    )
    assert store.read(PLATFORM, sql).rows == [
        ["cache", "redis", "cache", "GET", "", 1, 0.1],
        ["db", "postgresql", "db1/shop", "SELECT * FROM orders WHERE id = ?", "", 2, 1],
        ["http", "http", "rates.example", "GET /v1/rates", "503", 1, 0.1],
        ["queue", "kafka", "mail", "mail publish", "", 1, 0.1],
    ]
