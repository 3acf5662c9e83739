"""Names of OpenTelemetry become those that Prometheus' own OTLP endpoint gives them."""

from __future__ import annotations

import pytest

from tocsin.ingest.otlp_names import label_name, labels_of, metric_name, number_text


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "", "http_server_request_duration_seconds"),
        ("http.server.response.body.size", "By", "", "http_server_response_body_size_bytes"),
        ("system.cpu.time", "s", "is_counter", "system_cpu_time_seconds_total"),
        ("system.cpu.utilization", "1", "is_gauge", "system_cpu_utilization_ratio"),
        ("system.filesystem.usage", "By", "", "system_filesystem_usage_bytes"),
        ("orders.total", "{order}", "is_counter", "orders_total"),
        ("items", "1", "is_counter", "items_total"),
        ("broken.rate", "By/s", "", "broken_rate_bytes_per_second"),
        ("rate", "{packet}/s", "", "rate_per_second"),
        ("latency.seconds", "s", "", "latency_seconds"),
        ("cpu.frequency", "GHz", "", "cpu_frequency_GHz"),
        ("temperature", "%", "is_gauge", "temperature_percent"),
        ("2xx.answers", "", "is_counter", "_2xx_answers_total"),
        ("a..b--c", "", "", "a_b_c"),
        ("job:rate5m", "", "", "job:rate5m"),
        ("größe", "", "", "gr_e"),
        ("speed", "m/s", "", "speed_meters_per_second"),
    ],
)
def test_metric_names(name: str, unit: str, kind: str, expected: str) -> None:
    assert metric_name(name, unit, **({kind: True} if kind else {})) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http.request.method", "http_request_method"),
        ("1st", "key_1st"),
        ("a-b", "a_b"),
        ("_x", "_x"),
        ("a__b", "a__b"),
    ],
)
def test_label_names(name: str, expected: str) -> None:
    assert label_name(name) == expected


def test_attributes_that_become_the_same_label_are_joined() -> None:
    assert labels_of([("a.b", "two"), ("a-b", "one"), ("empty", "")]) == {"a_b": "one;two"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.005, "0.005"),
        (1.0, "1"),
        (2.5, "2.5"),
        (float("inf"), "+Inf"),
        (1e-07, "1e-07"),
        (10000.0, "10000"),
        (0.0, "0"),
    ],
)
def test_bounds_are_printed_as_prometheus_prints_them(value: float, text: str) -> None:
    assert number_text(value) == text
