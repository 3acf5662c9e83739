"""Counts of calls as our SDK sends them, for tests of what the server makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otlp import NOW_NS
from tocsin.sdk.call_digest import CallTable
from tocsin.sdk.calls import Kind, Operation
from tocsin.sdk.encode import resource
from tocsin.sdk.encode_metrics import MetricEncoder
from tocsin.sdk.red import RedCollection

MS = 10**6
RESOURCE = {"service.name": "shop", "deployment.environment.name": "test", "telemetry.sdk.name": "tocsin"}


def operation(group: str, text: str, attributes: Mapping[str, Any], cache: str = "", origin: str = "") -> Operation:
    """Equal calls of a kind: db, cache, http or pool."""
    kind = Kind("db.client.operation.duration", "database_query_duration_seconds", "", "", "", "", "", group=group)
    made = Operation(kind, text, attributes, {}, {}, cache)
    made.origin = origin
    return made


def statement(text: str, digest: str, table: str = "orders", origin: str = "shop/orders.py:9 in load") -> Operation:
    attributes = {
        "db.system.name": "postgresql", "db.namespace": "shop", "server.address": "db1", "server.port": 5432,
        "db.query.text": text, "tocsin.db.fingerprint": digest, "db.collection.name": table,
    }  # fmt: skip
    return operation("db", text, attributes, origin=origin)


def request_to(host: str, template: str) -> Operation:
    attributes = {"http.request.method": "POST", "server.address": host, "server.port": 443, "url.template": template}
    return operation("http", f"POST {template}", attributes, origin="shop/pay.py:7 in pay")


def lookup(key: str) -> Operation:
    attributes = {
        "db.system.name": "redis", "server.address": "cache", "tocsin.cache": key, "db.query.text": f"GET {key}",
    }  # fmt: skip
    return operation("cache", f"GET {key}", attributes, key)


def call(
    milliseconds: float, error: str = "", amount: int = -1, of: int = 1, facts: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    return (0, round(milliseconds * MS), None, error, amount, of, facts, b"")


def sent(table: CallTable, time_ns: int = NOW_NS, of: Mapping[str, Any] = RESOURCE) -> ExportMetricsServiceRequest:
    """What the SDK sends of a table."""
    red = RedCollection(time_ns, time_ns, {})
    body = MetricEncoder(resource(of), "1").encode_request(red, [], [], time_ns, table.collect())
    return ExportMetricsServiceRequest.FromString(body)
