"""What cannot be stored is taken out and explained; the rest passes untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, SummaryDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp import (
    HOUR_NS,
    NOW_NS,
    SECOND_NS,
    attributes,
    gauge,
    log_record,
    log_request,
    metric_request,
    number,
    span,
    trace_request,
)
from tocsin.ingest.body import BodyError
from tocsin.ingest.validate import Bounds, Checked, check, parse
from tocsin.storage.telemetry.decode import OTLP_SIGNALS, Signal

BOUNDS = Bounds(oldest_ns=NOW_NS - 24 * HOUR_NS, newest_ns=NOW_NS + HOUR_NS, max_attributes=20, max_events=10)
YEAR_2100_NS = 4_102_444_800 * SECOND_NS
MANY = {f"key{index}": index for index in range(21)}


def checked(signal: Signal, request: Any) -> Checked:
    body = request.SerializeToString()
    return check(signal, body, parse(signal, body), BOUNDS)


def crowded_event(**of: Any) -> Span.Event:
    return Span.Event(name="e", attributes=attributes(MANY))


def null_trace() -> Span:
    return span(trace_id=bytes(16))


BAD_SPANS: dict[str, tuple[Callable[[], Span], str]] = {
    "no trace id": (lambda: with_ids(b"", b"s" * 8), "trace_id must be 16 bytes, not all zero"),
    "short trace id": (lambda: with_ids(b"t" * 15, b"s" * 8), "trace_id must be 16 bytes"),
    "long trace id": (lambda: with_ids(b"t" * 17, b"s" * 8), "trace_id must be 16 bytes"),
    "zero trace id": (lambda: with_ids(bytes(16), b"s" * 8), "trace_id must be 16 bytes, not all zero"),
    "no span id": (lambda: with_ids(b"t" * 16, b""), "span_id must be 8 bytes"),
    "zero span id": (lambda: with_ids(b"t" * 16, bytes(8)), "span_id must be 8 bytes, not all zero"),
    "1970": (lambda: span(start_ns=0), "start 1970-01-01 00:00 UTC is older than the retention"),
    "2100": (
        lambda: span(start_ns=YEAR_2100_NS),
        "start 2100-01-01 00:00 UTC is in the future; check the sender's clock",
    ),
    "far away": (lambda: span(start_ns=2**64 - 10, seconds=0), "is in the future"),
    "ends in 2100": (lambda: span(seconds=(YEAR_2100_NS - NOW_NS) / 1e9), "end 2100-01-01 00:00 UTC is in the future"),
    "attributes": (lambda: span(attrs=MANY), "more than 20 attributes"),
    "event attributes": (
        lambda: span(attrs={"big": "x" * 20_000}, events=[crowded_event()]),
        "more than 20 attributes",
    ),
    "events": (lambda: span(attrs={"big": "x" * 20_000}, events=[Span.Event(name="e")] * 11), "more than 10 events"),
    "links": (
        lambda: span(attrs={"big": "x" * 20_000}, links=[Span.Link(trace_id=b"t" * 16)] * 11),
        "events and links",
    ),
}


def with_ids(trace_id: bytes, span_id: bytes) -> Span:
    sent = span()
    sent.trace_id, sent.span_id = trace_id, span_id
    return sent


@pytest.mark.parametrize("problem", BAD_SPANS)
def test_bad_span_is_taken_out_alone_and_explained(problem: str) -> None:
    make, reason = BAD_SPANS[problem]
    good = [span("first"), span("last", attrs={"list": [1, {"a": b"\xff"}]})]
    answer = checked(Signal.TRACES, trace_request([good[0], make(), good[1]]))
    assert (answer.items, answer.rejected) == (2, 1)
    assert answer.explanation.startswith("1 spans rejected: ")
    assert reason in answer.explanation
    assert answer.message == trace_request(good).SerializeToString()


def test_sound_request_passes_untouched() -> None:
    body = trace_request([span(), span()]).SerializeToString() + b"\xfa\x3e\x03new"  # a field of a later version
    answer = check(Signal.TRACES, body, parse(Signal.TRACES, body), BOUNDS)
    assert answer.message is body
    assert (answer.items, answer.rejected, answer.explanation) == (2, 0, "")


def test_span_that_ends_before_it_starts_is_kept_with_a_note() -> None:
    answer = checked(Signal.TRACES, trace_request([span(seconds=-5)]))
    assert (answer.items, answer.rejected) == (1, 0)
    assert answer.explanation == (
        "1 spans accepted: they end before they start and are kept with duration 0; check the sender's clock"
    )


def test_edges_of_the_time_bounds_are_within() -> None:
    spans = [span(start_ns=BOUNDS.oldest_ns), span(start_ns=BOUNDS.newest_ns, seconds=0)]
    assert checked(Signal.TRACES, trace_request(spans)).rejected == 0
    spans = [span(start_ns=BOUNDS.oldest_ns - 1), span(start_ns=BOUNDS.newest_ns + 1, seconds=0)]
    assert checked(Signal.TRACES, trace_request(spans)).rejected == 2


def test_resource_with_too_many_attributes_takes_its_spans_along_and_no_others() -> None:
    request = trace_request([span(), span()], MANY)
    request.resource_spans.extend(trace_request([span()]).resource_spans)
    assert checked(Signal.TRACES, request).rejected == 2


def test_million_attributes_are_refused_in_any_company() -> None:
    monster = span(attrs={f"k{index}": True for index in range(100_000)})
    answer = checked(Signal.TRACES, trace_request([span() for _ in range(2000)] + [monster]))
    assert (answer.items, answer.rejected) == (2000, 1)


def test_each_reason_is_told_with_its_count() -> None:
    answer = checked(Signal.TRACES, trace_request([span(start_ns=0), span(start_ns=1), null_trace(), span(seconds=-1)]))
    assert (answer.items, answer.rejected) == (1, 3)
    assert [part[:20] for part in answer.explanation.split("; ") if part[0].isdigit()] == [
        "2 spans rejected: st",
        "1 spans rejected: tr",
        "1 spans accepted: th",
    ]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (lambda: log_record(time_ns=SECOND_NS), "time 1970-01-01 00:00 UTC is older than the retention"),
        (lambda: log_record(time_ns=0), "1970"),
        (lambda: log_record(time_ns=0, observed_time_unix_nano=YEAR_2100_NS), "time 2100-01-01"),
        (lambda: log_record(trace_id=b"t" * 15), "trace_id must be empty or 16 bytes"),
        (lambda: log_record(span_id=b"s"), "span_id empty or 8 bytes"),
        (lambda: log_record(attrs=MANY), "more than 20 attributes"),
    ],
)
def test_bad_log_record_is_taken_out_alone(record: Any, reason: str) -> None:
    good = [log_record("one"), log_record("two", time_ns=0, observed_time_unix_nano=NOW_NS)]
    answer = checked(Signal.LOGS, log_request([good[0], record(), good[1]]))
    assert (answer.items, answer.rejected) == (2, 1)
    assert "1 log records rejected: " in answer.explanation
    assert reason in answer.explanation
    assert answer.message == log_request(good).SerializeToString()


def test_bad_data_points_of_every_kind_are_taken_out_alone() -> None:
    def metrics(extra: bool) -> list[Metric]:
        bad_time = SECOND_NS
        kinds = [gauge("g", [number(1), *([number(2, time_ns=bad_time)] if extra else [])]), Metric(name="s")]
        kinds[1].sum.data_points.extend([number(3), *([number(4, attrs=MANY)] if extra else [])])
        kinds.append(Metric(name="h"))
        kinds[2].histogram.data_points.append(HistogramDataPoint(time_unix_nano=NOW_NS, count=1))
        kinds.append(Metric(name="q"))
        if extra:
            kinds[3].summary.data_points.append(SummaryDataPoint(time_unix_nano=YEAR_2100_NS))
        else:
            kinds[3].summary.SetInParent()
        return [*kinds, Metric(name="without data")]

    answer = checked(Signal.METRICS, metric_request(metrics(extra=True)))
    assert (answer.items, answer.rejected) == (3, 3)
    assert "data points rejected" in answer.explanation
    assert answer.message == metric_request(metrics(extra=False)).SerializeToString()


@pytest.mark.parametrize("signal", OTLP_SIGNALS)
@pytest.mark.parametrize("body", [b"\xff", b"garbage", b"\x0a\x7fshort", b"\x0a" * 50, b'{"resourceSpans": []}'])
def test_bytes_that_are_no_request_are_refused(signal: Signal, body: bytes) -> None:
    with pytest.raises(BodyError, match=f"cannot read the body as an OTLP {signal} request"):
        parse(signal, body)


def test_text_that_is_not_utf8_is_refused() -> None:
    body = trace_request([span("NAME")]).SerializeToString().replace(b"NAME", b"\xff\xfe\xfd\xfc")
    with pytest.raises(BodyError, match="not UTF-8"):
        parse(Signal.TRACES, body)


def test_empty_request_has_nothing_to_store() -> None:
    assert checked(Signal.TRACES, trace_request([])).items == 0
