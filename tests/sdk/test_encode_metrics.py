from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from sdk.receiver import attributes_of
from tocsin.sdk.encode import resource
from tocsin.sdk.encode_metrics import Figure, MetricEncoder
from tocsin.sdk.red import RedTable

KEY = ("GET", "/items", 200, "acme", "")
FAILED = ("GET", "/items", 500, "globex", "ValueError")


def encoded(table: RedTable, figures: list[Figure]) -> dict[str, object]:
    encoder = MetricEncoder(resource({"service.name": "shop"}), "1")
    message = ExportMetricsServiceRequest.FromString(encoder.encode_request(table.collect(), figures, [], 5))
    (scope,) = message.resource_metrics[0].scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_the_official_decoder_reads_exponential_histograms() -> None:
    table = RedTable(10)
    for seconds in (0.5, 0.5, 4.0):
        table.record(KEY, seconds, -1, 10)
    table.record(FAILED, 0.001, 7, 0)
    metrics = encoded(table, [])
    duration = metrics["http.server.request.duration"]
    assert (duration.unit, duration.exponential_histogram.aggregation_temporality) == ("s", 1)  # type: ignore[attr-defined]
    good, bad = duration.exponential_histogram.data_points  # type: ignore[attr-defined]
    assert attributes_of(good) == {
        "http.request.method": "GET",
        "http.route": "/items",
        "http.response.status_code": 200,
        "tocsin.tenant": "acme",
    }
    assert attributes_of(bad)["error.type"] == "ValueError"
    assert (good.count, good.sum, good.scale, good.zero_count) == (3, 5.0, 6, 0)
    assert good.positive.offset == -64
    assert [(i, n) for i, n in enumerate(good.positive.bucket_counts) if n] == [(0, 2), (192, 1)]
    assert 0 < good.start_time_unix_nano <= good.time_unix_nano


def test_sizes_and_background_are_count_and_sum() -> None:
    table = RedTable(10)
    table.record(KEY, 0.5, 7, 10)
    table.record(KEY, 0.5, -1, 30)
    table.record_background(KEY, 2.5)
    metrics = encoded(table, [])
    expected = {
        "http.server.response.body.size": ("By", 2, 40.0),
        "http.server.request.body.size": ("By", 1, 7.0),
        "tocsin.http.server.background.duration": ("s", 1, 2.5),
    }
    for name, (unit, count, total) in expected.items():
        metric = metrics[name]
        (point,) = metric.histogram.data_points  # type: ignore[attr-defined]
        assert (metric.unit, point.count, point.sum, list(point.bucket_counts)) == (unit, count, total, [])  # type: ignore[attr-defined]
        assert attributes_of(point)["tocsin.tenant"] == "acme"


def test_figures_are_sums_and_gauges() -> None:
    figures = [
        Figure("active", "{request}", 3, {}, is_sum=True),
        Figure("active", "{request}", 2, {"tocsin.tenant": "acme"}, is_sum=True),
        Figure("dropped", "{item}", 9, {"reason": "queue_full"}, is_sum=True, is_monotonic=True),
        Figure("cost", "s", 0.25, {"instrument": "request"}),
    ]
    metrics = encoded(RedTable(1), figures)
    active, dropped, cost = metrics["active"].sum, metrics["dropped"].sum, metrics["cost"].gauge  # type: ignore[attr-defined]
    assert [(p.as_int, attributes_of(p)) for p in active.data_points] == [(3, {}), (2, {"tocsin.tenant": "acme"})]
    assert (active.aggregation_temporality, active.is_monotonic, active.data_points[0].start_time_unix_nano) == (
        2,
        False,
        5,
    )
    assert (dropped.aggregation_temporality, dropped.is_monotonic) == (2, True)
    assert cost.data_points[0].as_double == 0.25
