"""Numbers of the product's own: counted, bounded, sent and shown with the tenant they belong to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import tocsin
from tocsin.sdk.encode_metrics import MetricEncoder
from tocsin.sdk.guard import faults
from tocsin.sdk.measures import measures
from tocsin.sdk.red import RedTable


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    measures.forget()
    yield
    measures.forget()
    faults.clear()


def samples(name: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return next(family.samples for family in measures.families() if family.name == name)


def test_counters_add_up_apart_by_label_and_tenant() -> None:
    for tenant in ("acme", "globex", "acme"):
        tocsin.set_tenant(tenant)
        tocsin.count("reports_rendered_total", format="pdf")
    tocsin.set_tenant(None)
    assert samples("reports_rendered_total") == {
        ("", (("format", "pdf"), ("tenant", "acme"))): 2,
        ("", (("format", "pdf"), ("tenant", "globex"))): 1,
    }


def test_gauges_keep_the_last_value() -> None:
    tocsin.gauge("queue_length", 3)
    tocsin.gauge("queue_length", 1)
    assert samples("queue_length") == {("", ()): 1}


def test_timings_become_a_histogram_and_the_exception_passes_on() -> None:
    with pytest.raises(KeyError), tocsin.timing("render_seconds", format="a4"):
        raise KeyError
    found = samples("render_seconds")
    assert found["_count", (("format", "a4"),)] == 1
    assert found["_bucket", (("format", "a4"), ("le", "+Inf"))] == 1


def test_seconds_that_are_known_already_are_a_timing_too() -> None:
    tocsin.timing("onboarding_seconds", 90.0, plan="team")
    tocsin.timing("onboarding_seconds", 30, tenant="acme", plan="team")
    found = samples("onboarding_seconds")
    assert found["_sum", (("plan", "team"),)] == 90
    assert found["_sum", (("plan", "team"), ("tenant", "acme"))] == 30


def test_a_timing_is_a_decorator_that_keeps_its_labels() -> None:
    @tocsin.timing("render_seconds", tenant="acme", format="a4")
    def render() -> None:
        pass

    render()
    render()
    assert samples("render_seconds")["_count", (("format", "a4"), ("tenant", "acme"))] == 2


@pytest.mark.parametrize(
    "measure",
    [
        lambda: tocsin.gauge("queue_length", "seven"),  # type: ignore[arg-type]  # as users do
        lambda: tocsin.gauge("queue_length", object()),  # type: ignore[arg-type]
        lambda: tocsin.count("jobs_total", -1),
        lambda: tocsin.count("jobs_total", float("nan")),
        lambda: tocsin.count("jobs_total", float("inf")),
        lambda: tocsin.count("jobs_total", "1"),  # type: ignore[arg-type]
        lambda: tocsin.timing("render_seconds", -3.0),
        lambda: tocsin.timing("render_seconds", "3"),  # type: ignore[call-overload]
        lambda: tocsin.count("jobs_total", 1, **{"le": "5"}),
        lambda: tocsin.count("jobs_total", 1, **{"two words": "5"}),
        lambda: tocsin.count("x" * 201),
        lambda: tocsin.count("known"),
    ],
)
def test_what_cannot_be_measured_is_a_counted_fault_and_hurts_nothing_else(measure: Callable[[], None]) -> None:
    tocsin.gauge("known", 1)
    measure()
    assert sum(faults.values()) == 1
    assert [family.name for family in measures.families()] == ["known"]


def test_numbers_of_every_kind_can_be_sent() -> None:
    for value in (2**70, Decimal("1.5"), True, float("inf")):
        tocsin.gauge("queue_length", value)  # type: ignore[arg-type]  # a Decimal is a number, too
        assert MetricEncoder(b"\x0a\x00", "1").encode_request(RedTable(10).collect(), measures.figures(), [], 1)
    for _ in range(3):
        tocsin.count("bytes_total", 2**62)
    assert MetricEncoder(b"\x0a\x00", "1").encode_request(RedTable(10).collect(), measures.figures(), [], 1)
    assert not faults


def test_endless_labels_and_tenants_are_cut() -> None:
    tocsin.count("jobs_total", tenant="x" * 500, kind="y" * 500)
    [(_, labels)] = samples("jobs_total")
    assert {name: len(value) for name, value in labels} == {"kind": 256, "tenant": 128}


def test_threads_lose_no_count() -> None:
    def work() -> None:
        for _ in range(2000):
            tocsin.count("jobs_total")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples("jobs_total") == {("", ()): 8000}


def test_a_label_that_should_not_be_one_is_bounded_and_counted() -> None:
    for number in range(5100):
        tocsin.count("visits_total", visitor=number)
    assert len(samples("visits_total")) == 5000
    assert measures.dropped == 100


def test_a_name_that_is_no_metric_name_never_raises_and_is_a_counted_fault() -> None:
    tocsin.count("no name")
    assert measures.families() == []
    assert faults["Measures.count"] == 1


def test_all_kinds_go_out_over_otlp_with_their_tenant() -> None:
    tocsin.count("reports_rendered_total", tenant="acme")
    tocsin.gauge("queue_length", 3)
    with tocsin.timing("render_seconds"):
        pass
    body = MetricEncoder(b"\x0a\x00", "1").encode_request(
        RedTable(10).collect(), measures.figures(), measures.copied_timings(), 5
    )
    [resource] = ExportMetricsServiceRequest.FromString(body).resource_metrics
    sent = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    point = sent["reports_rendered_total"].sum.data_points[0]
    [attribute] = point.attributes
    assert (point.as_int, attribute.key, attribute.value.string_value) == (1, "tocsin.tenant", "acme")
    assert sent["reports_rendered_total"].sum.is_monotonic
    assert sent["queue_length"].gauge.data_points[0].as_int == 3
    assert sent["render_seconds"].exponential_histogram.data_points[0].count == 1
    assert sent["render_seconds"].exponential_histogram.aggregation_temporality == 2


def test_what_another_process_has_counted_adds_up() -> None:
    from tocsin.sdk.measures import Measures

    ours, theirs = Measures(), Measures()
    for one in (ours, theirs):
        one.count("invoices_total", 2, {"tenant": "acme"})
        one.set("level", 3, {})
        one.time("render_seconds", 0.5, {})
    ours.add_packed(json.loads(json.dumps(theirs.packed())))
    numbers = {(key.name, key.tenant): value for key, value in ours.sums.numbers.items()}
    assert numbers == {("invoices_total", "acme"): 4, ("level", ""): 3}
    [timing] = ours.sums.timings.values()
    assert (timing.count, timing.seconds) == (2, 1.0)


def test_of_gauges_about_something_shared_the_largest_holds() -> None:
    from tocsin.sdk.exposition import Family, add_up

    families = []
    for value in (5.0, 7.0):
        for name in ("job_last_run_timestamp_seconds", "threads"):
            family = Family(name, "gauge", "")
            family.add(value)
            families.append(family)
    assert [next(iter(family.samples.values())) for family in add_up(families)] == [7.0, 12.0]
