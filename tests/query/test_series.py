"""What was written to the remote-write endpoint comes back as NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otlp import MINUTE_NS, NOW_NS, counter, gauge, metric_request, number
from prometheus import MINUTE_MS, NOW_MS, series, write_request
from tocsin.ingest.gate import Gate
from tocsin.ingest.known_series import KnownSeries
from tocsin.ingest.otlp_series import read_otlp
from tocsin.ingest.remote_write_parse import read_1
from tocsin.ingest.sample_batch import TimeBounds
from tocsin.model.labels import ENVIRONMENT
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query import series_lists
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.source import Hints, Matcher
from tocsin.query.series import StoreSource, TooManySeriesError
from tocsin.storage.telemetry.chdb import ChdbEngine
from tocsin.storage.telemetry.downsample import Downsampler
from tocsin.storage.telemetry.spool import Spool, write_messages
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.storage.telemetry.writer import Writer
from waiting import PATIENCE_SECONDS

HINTS = Hints(0, 0, 0, 0)


@pytest.fixture
def written(engine: ChdbEngine, tmp_path: Path) -> Any:
    """written(body) takes a remote-write body the whole way into the store."""
    spool = Spool(tmp_path / "spool")
    gate = Gate(spool, lambda secret: None)

    def write(body: bytes, read: Any = read_1) -> Any:
        stored, collected = gate.admit_samples(read, body, None)
        stored.result(PATIENCE_SECONDS)
        Writer(spool, engine, tmp_path / "rejected").drain()
        return collected

    yield write
    spool.close()


def selected(store: TelemetryStore, *matchers: Matcher, scope: Scope = PLATFORM) -> dict[str, list[tuple[int, float]]]:
    found = StoreSource(store, scope).select(matchers, NOW_MS - 60 * MINUTE_MS, NOW_MS + 60 * MINUTE_MS, HINTS)
    return {
        ",".join(f"{name}={value}" for name, value in sorted(entry.labels.items())): list(
            zip(entry.timestamps.tolist(), entry.values.tolist(), strict=True)
        )
        for entry in found
    }


def test_samples_written_come_back_as_arrays(store: TelemetryStore, written: Any) -> None:
    points = [(NOW_MS + step * 15_000, step * 1.5) for step in range(5)]
    for _, point in enumerate(points):  # one a request, as Prometheus sends
        written(write_request([series("up_total", [point], job="shop"), series("other", [point], job="shop")]))
    assert selected(store, Matcher("__name__", "=", "up_total")) == {"__name__=up_total,job=shop": points}


def test_matchers_are_prometheus_own(store: TelemetryStore, written: Any) -> None:
    at = [(NOW_MS, 1.0)]
    written(write_request([series("m", at, job=job) for job in ("api", "api-2", "web")] + [series("m", at)]))

    def jobs(*matchers: Matcher) -> list[str]:
        found = StoreSource(store, PLATFORM).select(matchers, NOW_MS - 1, NOW_MS, HINTS)
        return [entry.labels.get("job", "") for entry in found]

    named = Matcher("__name__", "=", "m")
    assert jobs(named) == ["", "api", "api-2", "web"]
    assert jobs(named, Matcher("job", "=~", "api")) == ["api"]  # anchored
    assert jobs(named, Matcher("job", "=~", "api.*|x")) == ["api", "api-2"]
    assert jobs(named, Matcher("job", "!~", "api.*")) == ["", "web"]
    assert jobs(named, Matcher("job", "!=", "web")) == ["", "api", "api-2"]
    assert jobs(named, Matcher("job", "=", "")) == [""]
    assert jobs(Matcher("__name__", "=~", "[a-m]"), Matcher("job", "!=", "")) == ["api", "api-2", "web"]
    assert jobs(named, Matcher("job", "=", "x') OR 1=1 --")) == []


def test_of_samples_with_one_time_the_last_written_counts(store: TelemetryStore, written: Any) -> None:
    written(write_request([series("m", [(NOW_MS, 1.0), (NOW_MS + 1000, 2.0)])]))
    counted = written(write_request([series("m", [(NOW_MS, 5.0)]), series("m", [(NOW_MS + 1000, 2.0)])]))
    assert (counted.out_of_order, counted.repeated) == (1, 1)
    assert selected(store, Matcher("__name__", "=", "m")) == {"__name__=m": [(NOW_MS, 5.0), (NOW_MS + 1000, 2.0)]}


def test_samples_out_of_order_come_back_in_order(store: TelemetryStore, written: Any) -> None:
    for offset in (3, 1, 2):
        written(write_request([series("m", [(NOW_MS + offset, float(offset))])]))
    assert [value for _, value in selected(store, Matcher("__name__", "=", "m"))["__name__=m"]] == [1, 2, 3]


def test_range_is_open_at_its_start(store: TelemetryStore, written: Any) -> None:
    written(write_request([series("m", [(NOW_MS + offset, 1.0) for offset in range(4)])]))
    (found,) = StoreSource(store, PLATFORM).select([Matcher("__name__", "=", "m")], NOW_MS, NOW_MS + 2, HINTS)
    assert found.timestamps.tolist() == [NOW_MS + 1, NOW_MS + 2]


def test_stale_marker_and_odd_numbers_keep_their_bits(store: TelemetryStore, written: Any) -> None:
    stale = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
    values = [stale, float("nan"), float("inf"), -0.0, 5e-324]
    written(write_request([series("m", [(NOW_MS + i, value) for i, value in enumerate(values)])]))
    for i, value in enumerate(values):
        written(write_request([series("single", [(NOW_MS + i, value)])]))
    for name in ("m", "single"):
        (found,) = StoreSource(store, PLATFORM).select([Matcher("__name__", "=", name)], NOW_MS - 1, NOW_MS + 9, HINTS)
        assert found.values.view(np.uint64).tolist() == np.array(values).view(np.uint64).tolist()


def test_tenants_see_their_own_series_only(store: TelemetryStore, written: Any) -> None:
    written(write_request([series("m", [(NOW_MS, 1.0)], tenant=tenant) for tenant in ("acme", "globex")]))
    named = Matcher("__name__", "=", "m")
    assert len(selected(store, named)) == 2
    assert list(selected(store, named, scope=Scope.of("acme"))) == ["__name__=m,tenant=acme"]
    assert selected(store, named, Matcher("tenant", "=", "globex"), scope=Scope.of("acme")) == {}


def test_too_many_series_are_refused(store: TelemetryStore, written: Any) -> None:
    written(write_request([series("m", [(NOW_MS, 1.0)], n=str(n)) for n in range(4)]))
    with pytest.raises(TooManySeriesError, match="more than 3 series at once"):
        StoreSource(store, PLATFORM, 3).select([Matcher("__name__", "=", "m")], NOW_MS - 1, NOW_MS, HINTS)


def test_deltas_are_added_up_from_all_that_came_before(store: TelemetryStore, put: Any) -> None:
    def sent(value: float, minutes: int) -> Any:
        point = number(value, time_ns=NOW_NS + minutes * MINUTE_NS, attrs={"kind": "paid"})
        return metric_request([counter("orders", [point], temporality=1)], {"service.name": "shop"})

    put(*(sent(value, minutes) for value, minutes in ((5.0, 2), (1.0, -180), (2.0, -30), (4.0, 1))))
    put(sent(8.0, 1))  # late, with a time that was there: another part of the same increase
    found = selected(store, Matcher("__name__", "=", "orders_total"))
    minute = NOW_MS + MINUTE_MS
    assert found == {
        "__name__=orders_total,job=shop,kind=paid": [
            (NOW_MS - 30 * MINUTE_MS, 3.0),
            (minute, 15.0),
            (minute + MINUTE_MS, 20.0),
        ]
    }


def test_a_segment_inserted_twice_counts_once(store: TelemetryStore, engine: ChdbEngine, tmp_path: Path) -> None:
    point = number(3.0, attrs={})
    body = metric_request([counter("orders", [point], temporality=1), gauge("level", [point])]).SerializeToString()
    messages = read_otlp(KnownSeries(), body, "", TimeBounds(2**36, 2**41)).messages
    for _ in range(2):
        for signal, message in messages.items():
            write_messages(tmp_path / "segment", [message])
            engine.insert_segment(signal, tmp_path / "segment", f"twice-{signal}")
    counts = {
        table: store.read(PLATFORM, f"SELECT count() FROM {table}").rows[0][0]
        for table in ("samples", "deltas", "deltas_1h", "series", "metric_metadata")
    }
    assert counts == {"samples": 2, "deltas": 1, "deltas_1h": 1, "series": 3, "metric_metadata": 2}
    assert store.read(PLATFORM, "SELECT sum(value) FROM deltas_1h").rows == [[3.0]]


def test_histograms_become_buckets_and_native_ones_stay_whole(store: TelemetryStore, put: Any) -> None:
    classic, native = Metric(name="wait", unit="s"), Metric(name="size", unit="By")
    classic.histogram.aggregation_temporality = 2  # type: ignore[assignment]
    classic.histogram.data_points.add(
        time_unix_nano=NOW_NS, count=6, sum=3.5, bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 1]
    )
    native.exponential_histogram.aggregation_temporality = 2  # type: ignore[assignment]
    point = native.exponential_histogram.data_points.add(
        time_unix_nano=NOW_NS, count=9, sum=1.5, scale=9, zero_count=2, zero_threshold=0.25
    )
    point.positive.offset, point.negative.offset = -7, 5
    point.positive.bucket_counts.extend([1, 0, 2])
    point.negative.bucket_counts.extend([4])
    put(metric_request([classic, native], {"service.name": "shop", "service.namespace": "eu"}))
    assert selected(store, Matcher("__name__", "=~", "wait.*")) == {
        "__name__=wait_seconds_bucket,job=eu/shop,le=+Inf": [(NOW_MS, 6.0)],
        "__name__=wait_seconds_bucket,job=eu/shop,le=0.5": [(NOW_MS, 1.0)],
        "__name__=wait_seconds_bucket,job=eu/shop,le=1": [(NOW_MS, 3.0)],
        "__name__=wait_seconds_count,job=eu/shop": [(NOW_MS, 6.0)],
        "__name__=wait_seconds_sum,job=eu/shop": [(NOW_MS, 3.5)],
    }
    (found,) = StoreSource(store, PLATFORM).select(
        [Matcher("__name__", "=", "size_bytes")], NOW_MS - 1, NOW_MS + 1, HINTS
    )
    # Scale 9 is merged down to 8; index i of OpenTelemetry is i + 1 of Prometheus.
    assert found.histograms is not None
    [histogram] = found.histograms
    assert histogram is not None
    assert histogram.same_as(NativeHistogram(8, 9.0, 1.5, 0.25, 2.0, {-3: 1.0, -2: 2.0}, {3: 4.0}))


def test_target_info_and_staleness_of_otlp(store: TelemetryStore, put: Any) -> None:
    gone = number(0.0, attrs={})
    gone.flags = 1
    resource = {"service.name": "shop", "service.instance.id": "one", "host.name": "h1"}
    put(metric_request([gauge("level", [gone])], resource))
    found = selected(store, Matcher("job", "=", "shop"))
    assert found["__name__=target_info,host_name=h1,instance=one,job=shop"] == [(NOW_MS, 1.0)]
    (level,) = StoreSource(store, PLATFORM).select([Matcher("__name__", "=", "level")], NOW_MS - 1, NOW_MS, HINTS)
    assert level.values.view(np.uint64).tolist() == [0x7FF0000000000002]


def test_days_are_read_from_the_hours(store: TelemetryStore, engine: ChdbEngine, written: Any) -> None:
    hour = 60 * MINUTE_MS
    first = NOW_MS - 60 * hour
    points = [(first + step * 10 * MINUTE_MS, float(step % 100)) for step in range(60 * 6)]  # reset at every hundred
    written(write_request([series("c_total", points)]))
    Downsampler(engine).step()
    assert store.read(PLATFORM, "SELECT count() FROM samples_1h").rows == [[60]]
    matcher = [Matcher("__name__", "=", "c_total")]
    hints = Hints(first, NOW_MS, hour, 4 * hour, "increase")
    (found,) = StoreSource(store, PLATFORM).select(matcher, first - 1, NOW_MS, hints)
    assert len(found.timestamps) == 60
    # From the last sample of the first hour, 5, over three resets from 99 to 0, up to 59.
    assert found.values[-1] - found.values[0] == 3 * 99 + 59 - 5
    assert (np.diff(found.values) >= 0).all()
    (raw,) = StoreSource(store, PLATFORM).select(
        matcher, first - 1, NOW_MS, Hints(first, NOW_MS, 60_000, 300_000, "rate")
    )
    assert len(raw.timestamps) == 360


def test_an_hour_done_again_replaces_its_rows(store: TelemetryStore, engine: ChdbEngine, written: Any) -> None:
    first = NOW_MS - 5 * 60 * MINUTE_MS
    written(write_request([series("m", [(first, 1.0)])]))
    done = Downsampler(engine, lambda: {first // 3_600_000})
    done.step()
    written(write_request([series("m", [(first, 3.0), (first + 1, 4.0)])]))
    assert first // 3_600_000 in done.step()
    assert store.read(PLATFORM, "SELECT first, last, sum, count FROM samples_1h FINAL WHERE count > 0").rows == [
        [3.0, 4.0, 7.0, 2]
    ]


def test_lists_of_what_there_is(store: TelemetryStore, written: Any) -> None:
    acme, globex = (series("m", [(NOW_MS, 1.0)], tenant=tenant, path=f"/{tenant}") for tenant in ("acme", "globex"))
    acme.exemplars.add(value=0.5, timestamp=NOW_MS).labels.add(name="trace_id", value="abc")
    written(write_request([acme, globex], [{"metric_family_name": "m", "type": 1, "help": "All of it"}]))
    scope, range_ = Scope.of("acme"), (NOW_MS - MINUTE_MS, NOW_MS)
    assert series_lists.label_names(store, scope, [], *range_) == ["__name__", "path", "tenant"]
    assert series_lists.label_values(store, scope, "path", [], *range_) == ["/acme"]
    assert series_lists.label_values(store, PLATFORM, "path", [], *range_) == ["/acme", "/globex"]
    assert [labels["tenant"] for labels in series_lists.series(store, scope, [], *range_)] == ["acme"]
    (kept,) = series_lists.exemplars(store, scope, [Matcher("__name__", "=", "m")], *range_)
    assert (kept.trace_id, kept.value, kept.labels["path"]) == ("abc", 0.5, "/acme")
    (about,) = series_lists.metadata(store, PLATFORM, "m")
    assert (about.type, about.help) == ("counter", "All of it")
    most = series_lists.cardinality(store, PLATFORM, *range_)
    assert (most.series, most.by_metric, most.by_tenant) == (2, [("m", 2)], [("acme", 1), ("globex", 1)])
    assert series_lists.cardinality(store, scope, *range_).series == 1


def test_environment_is_that_of_the_sender_and_none_belongs_to_all(
    store: TelemetryStore, put: Any, written: Any
) -> None:
    point = number(1, time_ns=NOW_NS)
    for environment in ("production", "staging"):
        resource = {"service.name": "shop", "service.instance.id": environment,
                    "deployment.environment.name": environment}  # fmt: skip
        put(metric_request([gauge("depth", [point])], resource))
    written(write_request([series("depth", [(NOW_MS, 2)], job="node")]))
    found = selected(store, Matcher("__name__", "=", "depth"), Matcher(ENVIRONMENT, "=", "staging"))
    assert sorted(points[0][1] for points in found.values()) == [1, 2]
