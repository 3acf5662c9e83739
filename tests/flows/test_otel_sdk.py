"""A product on the official OpenTelemetry SDK appears like one on ours, whichever exporter it uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from product_process import ProductProcess
from server_process import ServerProcess, read_store

from waiting import eventually

pytestmark = pytest.mark.xdist_group("opentelemetry")
EXPORTERS = ("http-protobuf", "http-json", "grpc")
RESOURCE = Resource({"service.name": "ledger", "deployment.environment.name": "test", "service.version": "1.2"})


@pytest.mark.parametrize("needs_key", [False, True], ids=["open", "with key"])
def test_products_on_the_official_sdk_appear_with_every_exporter(
    start_server: Callable[..., ServerProcess], start_product: Callable[..., ProductProcess], needs_key: bool
) -> None:
    server = start_server(options=["--require-ingest-key"] if needs_key else [])
    headers = {}
    if needs_key:
        with server.client() as admin:
            secret = admin.post("/api/v1/keys", json={"name": "orders"}).json()["secret"]
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={quote(f'Bearer {secret}')}"}
    for exporter in EXPORTERS:
        endpoint = f"http://127.0.0.1:{server.grpc_port}" if exporter == "grpc" else server.url
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **headers}
        product = start_product(["otel-only", "--exporter", exporter], settings)
        for tenant, requests in (("acme", 4), ("globex", 2)):
            with product.client(tenant) as client:
                for number in range(requests):
                    client.get(f"/orders/{number}")
                client.post("/orders/9/ship")
    services = {f"orders-{exporter}" for exporter in EXPORTERS}

    def complete() -> bool:
        listed = server.ask("/api/v1/services")["services"]
        return {row["service"] for row in listed if row["red"]["requests"] == 8} == services

    eventually(complete, "every request of every service is counted")
    for service in services:
        assert_appears(server, service)
    tenants = {row["tenant"]: row["red"]["requests"] for row in server.ask("/api/v1/tenants")["tenants"]}
    assert tenants == {"acme": 15, "globex": 9}


def assert_appears(server: ServerProcess, service: str) -> None:
    endpoints = server.ask(f"/api/v1/services/{service}/endpoints")["endpoints"]
    shown = {(row["method"], row["route"]): row["red"] for row in endpoints}
    assert set(shown) == {("GET", "/orders/{order_id}"), ("POST", "/orders/{order_id}/ship")}
    shown_orders, shipped = shown["GET", "/orders/{order_id}"], shown["POST", "/orders/{order_id}/ship"]
    assert (shown_orders["requests"], shown_orders["client_errors"], shown_orders["errors"]) == (6, 2, 0)
    assert (shipped["requests"], shipped["error_ratio"]) == (2, 1.0)
    found = server.ask("/api/v1/traces", service=service, tenant="globex", status="error")["traces"]
    assert [(trace["route"], trace["status_code"]) for trace in found] == [("/orders/{order_id}/ship", 500)]
    assert "carrier has no account" in str(server.ask(f"/api/v1/traces/{found[0]['trace_id']}"))
    [slowest] = server.ask("/api/v1/traces", service=service, operation="load order", limit=1)["traces"]
    assert slowest["spans"] >= 2
    assert slowest["environment"] == "demo"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_metrics_and_logs_of_the_official_sdk_are_stored_to_the_letter(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    endpoint = f"http://127.0.0.1:{server.grpc_port}" if protocol == "grpc" else server.url
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    record_metrics(protocol)
    record_logs(protocol)
    server.drained()
    server.stop()
    samples, metadata, native, logs = read_store(
        server.data,
        "SELECT s.name, i.labels['le'], s.value, i.tenant, i.labels['kind'], i.service, i.environment "
        "FROM samples AS s INNER JOIN series AS i ON s.series = i.id WHERE s.name LIKE 'ledger%' AND "
        "s.time = (SELECT max(time) FROM samples WHERE name = 'ledger_entries_total') ORDER BY s.name, s.value, 2",
        "SELECT DISTINCT name, type, unit, help FROM metric_metadata WHERE name LIKE 'ledger_%' ORDER BY name",
        "SELECT name, count, sum, zero_count, arraySum(positive_counts) FROM native_histograms",
        "SELECT severity, severity_text, body, tenant, attributes['invoice'], attribute_types, service "
        "FROM logs ORDER BY time",
    )
    about = ["acme", "paid", "ledger", "test"]
    assert sorted(samples) == sorted(
        [
            ["ledger_balance", "", -2, *about],
            ["ledger_entries_total", "", 7, *about],
            ["ledger_rate_ratio", "", 0.25, *about],
            ["ledger_amount_bucket", "1", 1, *about],
            ["ledger_amount_bucket", "10", 2, *about],
            ["ledger_amount_bucket", "100", 2, *about],
            ["ledger_amount_bucket", "+Inf", 3, *about],
            ["ledger_amount_count", "", 3, *about],
            ["ledger_amount_sum", "", 111.5, *about],
        ]
    )
    assert metadata == [
        ["ledger_amount", "histogram", "{coin}", ""],
        ["ledger_balance", "gauge", "{coin}", "Coins left."],
        ["ledger_entries_total", "counter", "{entry}", "Entries made."],
        ["ledger_rate_ratio", "gauge", "1", "Exchange rate."],
        ["ledger_wait_seconds", "histogram", "s", ""],
    ]
    assert native == [["ledger_wait_seconds", 3, 3, 1, 2]]
    assert logs == [
        [13, "WARN", "invoice 7 is late", "acme", "7", "sib", "ledger"],
        [17, "ERROR", "invoice 8 is lost", "globex", "8", "sib", "ledger"],
    ]


def record_metrics(protocol: str) -> None:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        exporter = GrpcExporter(insecure=True)
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

        exporter = HttpExporter()
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    wait = View(
        instrument_type=Histogram, instrument_name="ledger.wait", aggregation=ExponentialBucketHistogramAggregation()
    )
    provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False, views=[wait])
    meter = provider.get_meter("books")
    about = {"tenant.id": "acme", "kind": "paid"}
    meter.create_counter("ledger.entries", "{entry}", "Entries made.").add(7, about)
    meter.create_up_down_counter("ledger.balance", "{coin}", "Coins left.").add(-2, about)
    meter.create_gauge("ledger.rate", "1", "Exchange rate.").set(0.25, about)
    amounts = meter.create_histogram("ledger.amount", "{coin}", explicit_bucket_boundaries_advisory=[1.0, 10.0, 100.0])
    waits = meter.create_histogram("ledger.wait", "s")
    for amount, seconds in ((0.5, 0.0), (10.0, 1.0), (101.0, 2.0)):
        amounts.record(amount, about)
        waits.record(seconds, about)
    provider.shutdown()


def record_logs(protocol: str) -> None:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        exporter = GrpcExporter(insecure=True)
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter

        exporter = HttpExporter()
    provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("books")
    lines = ((SeverityNumber.WARN, "acme", "is late", 7), (SeverityNumber.ERROR, "globex", "is lost", 8))
    for severity, tenant, what, invoice in lines:
        logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=severity,
                severity_text=severity.name,
                body=f"invoice {invoice} {what}",
                attributes={"tenant.id": tenant, "invoice": invoice, "paid": False},
            )
        )
    provider.shutdown()
