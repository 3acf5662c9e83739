"""OTLP metrics come to the spool as samples of known series; the rest of the way is `tests/query/test_series.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.serving import Ingest, ingest_of
from otlp import NOW_NS, counter, gauge, metric_request, number
from tocsin.ingest.known_series import SeriesSettings
from tocsin.ingest.validate import parse
from tocsin.storage.telemetry.decode import Signal
from waiting import PATIENCE_SECONDS

SHOP = {"service.name": "shop"}
OURS = {"service.name": "shop", "telemetry.sdk.name": "tocsin"}


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path) as open_to_all:
        yield open_to_all


def send(ingest: Ingest, request: object) -> object:
    body = request.SerializeToString()  # type: ignore[attr-defined]
    admission = ingest.gate.admit(Signal.METRICS, body, parse(Signal.METRICS, body), None)
    admission.stored.result(PATIENCE_SECONDS)
    return admission


def test_a_batch_sent_again_is_one_and_a_like_one_of_another_sender_is_two(ingest: Ingest) -> None:
    first = metric_request([counter("orders", [number(1.0)], temporality=1)], SHOP)
    other = metric_request([counter("orders", [number(1.0, time_ns=NOW_NS + 1)], temporality=1)], SHOP)
    for request in (first, first, other):
        send(ingest, request)
    assert len(ingest.stored(Signal.DELTAS)) == 2


def test_only_our_sdks_counts_of_requests_go_on_as_otlp(ingest: Ingest) -> None:
    send(ingest, metric_request([gauge("level", [number(1.0)])], OURS))
    assert ingest.stored(Signal.METRICS) == []
    duration = counter("unused", [])
    duration.name = "http.server.request.duration"
    duration.exponential_histogram.aggregation_temporality = 1  # type: ignore[assignment]
    duration.exponential_histogram.data_points.add(time_unix_nano=NOW_NS, count=1, scale=6)
    request = metric_request([duration], OURS)
    send(ingest, request)
    assert ingest.stored(Signal.METRICS) == [request.SerializeToString()]
    assert ingest.stored(Signal.NATIVE_HISTOGRAMS) == []


def test_series_beyond_the_limit_are_told_as_rejected_points(tmp_path: Path) -> None:
    with ingest_of(tmp_path, series=SeriesSettings(max_per_tenant=2)) as limited:
        points = [number(1.0, attrs={"tenant": "acme", "n": str(n)}) for n in range(4)]
        admission = send(limited, metric_request([gauge("level", points)], {}))
        checked = admission.checked  # type: ignore[attr-defined]
        assert (checked.items, checked.rejected) == (2, 2)
        assert "tenant 'acme' has its limit of 2 series" in checked.explanation
