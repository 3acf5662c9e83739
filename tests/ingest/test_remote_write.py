"""Prometheus' remote write over HTTP: what is stored, what is refused, and what the sender hears."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.serving import Ingest, http_server, ingest_of
from prometheus import SNAPPY, SNAPPY_2, request_2, series, snappy, write_request
from tocsin.ingest.known_series import Identity, KnownSeries, SeriesSettings
from tocsin.ingest.prometheus_messages import CLASSES, message_classes
from tocsin.ingest.remote_write import RemoteWrite
from tocsin.ingest.remote_write_parse import read_1
from tocsin.ingest.sample_batch import TimeBounds
from tocsin.storage.telemetry.decode import MESSAGES, Signal
from waiting import PATIENCE_SECONDS

NOW = round(time.time() * 1000)
DAY_MS = 86_400_000
Answer = tuple[int, str, dict[str, str]]
Post = Callable[..., Answer]


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with ingest_of(tmp_path) as open_to_all:
        yield open_to_all


def poster(port: int) -> Post:
    def post(
        body: bytes, headers: dict[str, str] = SNAPPY, path: str = "/api/v1/write", method: str = "POST"
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request(method, "/api/v1/write", body, headers)
        answer = connection.getresponse()
        read = answer.read().decode()
        connection.close()
        return answer.status, read, {name.lower(): value for name, value in answer.getheaders()}

    return post


@pytest.fixture
def post(ingest: Ingest) -> Iterator[Post]:
    with http_server(ingest.gate, RemoteWrite(ingest.gate)) as port:
        yield poster(port)


def samples(ingest: Ingest) -> list[tuple[str, str, float, int]]:
    """(metric, tenant, value, time) of every sample in the spool."""
    decoded = message_rows(ingest, Signal.SAMPLES)
    return [(row.name, row.tenant, row.value, row.time) for row in decoded]


def message_rows(ingest: Ingest, signal: Signal) -> list[Any]:
    classes = message_classes(f"test.{signal}", MESSAGES[signal])
    return [row for message in ingest.stored(signal) for row in classes[MESSAGES[signal].name].FromString(message).rows]


def test_samples_are_acknowledged_once_they_are_spooled(ingest: Ingest, post: Post) -> None:
    entries = [series("up", [(NOW, 1.0), (NOW + 1, 0.0)], tenant_id="acme"), series("down", [(NOW, 0.0)])]
    status, text, _ = post(snappy(write_request(entries)))
    assert (status, text) == (204, "")
    assert samples(ingest) == [("up", "acme", 1.0, NOW), ("up", "acme", 0.0, NOW + 1), ("down", "", 0.0, NOW)]
    announced = message_rows(ingest, Signal.SERIES)
    assert [(row.name, row.tenant) for row in announced] == [("up", "acme"), ("down", "")]


def test_a_known_series_is_announced_once_a_day(ingest: Ingest, post: Post) -> None:
    noon = NOW // DAY_MS * DAY_MS - DAY_MS // 2
    for at in (noon - DAY_MS, noon, noon + 1, noon - DAY_MS + 1):
        assert post(snappy(write_request([series("up", [(at, 1.0)])])))[0] == 204
    assert [row.day for row in message_rows(ingest, Signal.SERIES)] == [(noon - DAY_MS) // DAY_MS, noon // DAY_MS]
    assert len(samples(ingest)) == 4


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        ([("__name__", "m"), ("a", "1"), ("a", "2")], "label 'a' is there twice"),
        ([("b", "1"), ("__name__", "m")], "its labels are not sorted: '__name__' comes after 'b'"),
        ([("a", "1")], "it has no metric name"),
        ([("", "x"), ("__name__", "m")], "a label has no name"),
        ([("__name__", "m"), ("a", "x" * 5000)], "label 'a' is longer than 4096 bytes"),
        ([("__name__", "m"), *((f"l{n:03}", "x") for n in range(70))], "it has 71 labels, more than the 64 allowed"),
    ],
)
def test_a_series_that_cannot_be_stored_is_named_and_the_rest_kept(
    ingest: Ingest, post: Post, labels: list[tuple[str, str]], cause: str
) -> None:
    bad = CLASSES["TimeSeries"]()
    for name, value in labels:
        bad.labels.add(name=name, value=value)
    bad.samples.add(timestamp=NOW, value=1)
    status, text, _ = post(snappy(write_request([bad, series("good", [(NOW, 2.0)])])))
    assert status == 400
    assert cause in text
    assert "1 others of this request are stored" in text
    assert [name for name, *_ in samples(ingest)] == ["good"]


def test_times_out_of_reach_are_refused(ingest: Ingest, post: Post) -> None:
    for at, cause in ((NOW - 60 * DAY_MS, "older than the retention"), (NOW + DAY_MS, "in the future")):
        post(snappy(write_request([series("m", [(NOW, 1.0)])])))  # so that the next is a known series
        status, text, _ = post(snappy(write_request([series("m", [(at, 1.0)])])))
        assert status == 400
        assert cause in text


@pytest.mark.parametrize(
    ("body", "headers", "status", "cause"),
    [
        (b"garbage", SNAPPY, 400, "cannot decompress the body"),
        (snappy(b"\xff\xff"), SNAPPY, 400, "cannot read the body as remote write 1.0"),
        (snappy(b"\x0a\x04\x0a\x02\x0a\x05"), SNAPPY, 400, "cannot read the body as remote write 1.0"),
        (b"\xff\xff\xff\xff\x0f" + b"x" * 100, SNAPPY, 413, "holds 4294967295 bytes"),
        (b"\x80\x80\x80\x08" + b"x" * 100, SNAPPY, 400, "bytes of snappy cannot hold"),
        (b"", SNAPPY | {"content-type": "text/plain"}, 415, "content-type 'text/plain'"),
        (b"", SNAPPY | {"content-encoding": "gzip"}, 415, "content-encoding 'gzip'"),
        (b"", SNAPPY | {"content-type": "application/x-protobuf;proto=other.Message"}, 415, "proto=other.Message"),
    ],
)
def test_what_cannot_be_read_is_refused(
    ingest: Ingest, post: Post, body: bytes, headers: dict[str, str], status: int, cause: str
) -> None:
    answered, text, _ = post(body, headers)
    assert answered == status
    assert cause in text
    assert samples(ingest) == []
    assert post(snappy(write_request([series("m", [(NOW, 1.0)])])))[0] == 204


def test_other_methods_are_told_what_to_do(post: Post) -> None:
    status, _, headers = post(b"", method="GET")
    assert (status, headers["allow"]) == (405, "POST")


def test_version_2_tells_how_much_was_written(ingest: Ingest, post: Post) -> None:
    body = request_2(
        [({"__name__": "m_total", "tenant": "acme"}, [(NOW, 1.0), (NOW + 1, 2.0)]), ({"a": "no name"}, [(NOW, 3.0)])],
        type=1, help="All", unit="items",
    )  # fmt: skip
    status, text, headers = post(snappy(body), SNAPPY_2)
    assert (status, headers["x-prometheus-remote-write-samples-written"]) == (400, "2")
    assert "it has no metric name" in text
    assert samples(ingest) == [("m_total", "acme", 1.0, NOW), ("m_total", "acme", 2.0, NOW + 1)]
    (about,) = message_rows(ingest, Signal.METADATA)
    assert (about.name, about.type, about.help, about.unit) == ("m_total", "counter", "All", "items")
    by_version = SNAPPY | {"x-prometheus-remote-write-version": "2.0.0"}
    good = request_2([({"__name__": "m"}, [(NOW, 1.0)])])
    status, _, headers = post(snappy(good), by_version)
    assert (status, headers["x-prometheus-remote-write-samples-written"]) == (204, "1")
    assert headers["x-prometheus-remote-write-exemplars-written"] == "0"


def test_version_2_with_references_to_nowhere_is_named(ingest: Ingest, post: Post) -> None:
    request = CLASSES["Request2"](symbols=["", "__name__", "m"])
    for refs in ([1, 9], [1, 2, 1], [1, 2]):
        entry = request.timeseries.add(labels_refs=refs)
        entry.samples.add(timestamp=NOW, value=len(refs))
    status, text, headers = post(snappy(request.SerializeToString()), SNAPPY_2)
    assert (status, headers["x-prometheus-remote-write-samples-written"]) == (400, "1")
    assert "its labels refer to a symbol that the request does not have" in text
    assert "its labels have a name without a value" in text
    assert samples(ingest) == [("m", "", 2.0, NOW)]
    assert post(snappy(CLASSES["Request2"](symbols=["x"], timeseries=[{}]).SerializeToString()), SNAPPY_2)[0] == 400


def test_native_histograms_are_counted_out(ingest: Ingest, post: Post) -> None:
    entry = series("h", [])
    histogram = entry.histograms.add(count_int=6, sum=1.5, schema=3, zero_count_int=1, timestamp=NOW)
    for offset, length in ((-2, 2), (1, 1)):
        histogram.positive_spans.add(offset=offset, length=length)
    histogram.positive_deltas.extend([1, 1, -1])
    broken = series("broken", [])
    broken.histograms.add(count_int=1, schema=77, timestamp=NOW)
    status, text, _ = post(snappy(write_request([entry, broken])))
    assert status == 400
    assert "cannot use histogram schema 77" in text
    (row,) = message_rows(ingest, Signal.NATIVE_HISTOGRAMS)
    assert (row.name, row.count, list(row.positive_indexes), list(row.positive_counts)) == (
        "h",
        6,
        [-2, -1, 1],
        [1, 2, 1],
    )


def test_too_many_series_are_answered_with_the_limit(tmp_path: Path) -> None:
    with (
        ingest_of(tmp_path, series=SeriesSettings(max_per_tenant=2)) as limited,
        http_server(limited.gate, RemoteWrite(limited.gate)) as port,
    ):
        post = poster(port)

        def sent(*names: str, tenant: str = "acme") -> Answer:
            return post(snappy(write_request([series(name, [(NOW, 1.0)], tenant=tenant) for name in names])))

        assert sent("a", "b")[0] == 204
        status, text, _ = sent("a", "c")
        assert status == 429
        assert "tenant 'acme' has its limit of 2 series; drop labels" in text
        assert "[series] max_per_tenant" in text
        assert [name for name, *_ in samples(limited)] == ["a", "b", "a"]  # what was known goes on
        assert sent("c", tenant="globex")[0] == 204


def test_keys_and_a_full_spool_are_as_for_otlp(tmp_path: Path) -> None:
    body = snappy(write_request([series("m", [(NOW, 1.0)])]))
    with (
        ingest_of(tmp_path / "keys", require_key=True) as closed,
        http_server(closed.gate, RemoteWrite(closed.gate)) as port,
    ):
        post = poster(port)
        status, _, headers = post(body)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert post(body, SNAPPY | {"authorization": "Bearer good"})[0] == 204
        slow = SNAPPY | {"authorization": "Bearer slow"}
        more = [snappy(write_request([series("m", [(NOW + n, 1.0)] * 3)])) for n in range(3)]
        assert [post(each, slow)[0] for each in more][-1] == 429
    with ingest_of(tmp_path / "full", spool_bytes=1) as full, http_server(full.gate, RemoteWrite(full.gate)) as port:
        status, _, headers = poster(port)(body)
        assert (status, headers["retry-after"]) == (503, "5")


def test_a_series_whose_row_was_not_spooled_is_announced_again(tmp_path: Path) -> None:
    body = write_request([series("m", [(NOW, 1.0)])])
    with ingest_of(tmp_path, spool_bytes=1) as full:
        with pytest.raises(Exception, match="cannot accept telemetry for now"):
            full.gate.admit_samples(read_1, body, None)
        full.spool.settings = type(full.spool.settings)(max_bytes=10**6, min_free_bytes=0)
        full.gate.admit_samples(read_1, body, None)[0].result(PATIENCE_SECONDS)
        assert len(message_rows(full, Signal.SERIES)) == 1


def test_the_next_days_rows_come_in_the_hour_before_it_bit_by_bit() -> None:
    known, midnight = KnownSeries(), NOW // DAY_MS * DAY_MS
    slots = np.array(
        [known.learn(Identity.of_labels((("__name__", "m"), ("n", f"{n:03}"))), "", ()) for n in range(600)], np.intp
    )
    counts = []
    for minutes in (-90, -45, -30, -15, 0, 15):
        times = np.full(600, midnight + minutes * 60_000, np.int64)
        counts.append([day * DAY_MS == midnight for _, day in known.unannounced(slots, times)])
    assert (len(counts[0]), sum(counts[0])) == (600, 0)
    assert all(100 <= sum(count) <= 200 for count in counts[1:5])
    assert sum(sum(count) for count in counts) == 600
    assert counts[5] == []


def test_series_that_fell_silent_are_forgotten() -> None:
    known = KnownSeries(SeriesSettings(max_per_tenant=1))
    bounds = TimeBounds(2**36, 2**41)
    read_1(known, write_request([series("a", [(NOW, 1.0)])]), "", bounds)
    known.sweep(NOW)
    assert read_1(known, write_request([series("b", [(NOW, 1.0)])]), "", bounds).is_over_limit
    known.sweep(NOW + 2 * DAY_MS)
    assert len(known) == 0
    assert not read_1(known, write_request([series("b", [(NOW, 1.0)])]), "", bounds).is_over_limit
