"""RED rows and the SDK's own figures to OTLP `Metric` messages. Source: opentelemetry-proto, metrics.proto."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tocsin.sdk.encode import AttributeCache, delimited, export_request, instrumentation_scope
from tocsin.sdk.encode_calls import CallEncoder
from tocsin.sdk.encode_points import (
    COUNT_AND_SUM,
    CUMULATIVE,
    DELTA,
    TIMES,
    Spread,
    exponential,
    head,
    metric,
    plain_point,
)
from tocsin.sdk.exposition import Labels, labels_of
from tocsin.sdk.red import RedCollection
from tocsin.sdk.totals import Histogram

if TYPE_CHECKING:
    from tocsin.sdk.call_digest import CallCollection, CallRows
    from tocsin.sdk.increases import Increase


_RISING = DELTA + b"\x18\x01"

# Integers beyond do not fit into 64 bits with a sign.
_MOST = 2**63


class Figure(NamedTuple):
    """One number about this process. is_sum: a cumulative, non-decreasing or up-and-down sum; else a gauge."""

    name: str
    unit: str
    value: int | float
    attributes: Mapping[str, str]
    is_sum: bool = False
    is_monotonic: bool = False


class Timed(Protocol):
    """What a timing is of."""

    @property
    def name(self) -> str: ...

    def attributes(self) -> dict[str, str]: ...


class MetricEncoder:
    """Encodes collections with the attributes of each key kept as bytes; used by one thread at a time."""

    def __init__(self, resource_field: bytes, version: str) -> None:
        self.resource_field = resource_field
        self._scope = instrumentation_scope("tocsin", version)
        self._exponential = AttributeCache(b"\x0a")
        self._histogram = AttributeCache(b"\x4a")
        self._number = AttributeCache(b"\x3a")
        self._calls = CallEncoder(version)

    def encode_request(
        self,
        red: RedCollection,
        figures: Iterable[Figure],
        timings: Iterable[tuple[Timed, Spread]],
        process_start_ns: int,
        calls: CallCollection | None = None,
        increase: Increase | None = None,
    ) -> bytes:
        """One ExportMetricsServiceRequest: RED metrics, calls and increases as deltas, the others cumulative."""
        metrics = self._red_metrics(red) if red.rows else []
        scopes: list[tuple[bytes, list[bytes]]] = []
        if calls is not None and calls.by_caller:
            metrics += self._call_metrics(calls.start_ns, calls.rows, red.end_ns)
            scopes = self._calls.encode(calls, red.end_ns)
        if increase is not None:
            metrics += self._increase_metrics(increase, red.end_ns)
        metrics += self._figure_metrics(figures, process_start_ns, red.end_ns)
        metrics += self._timing_metrics(timings, process_start_ns, red.end_ns)
        own = (self._scope, [delimited(b"\x12", metric) for metric in metrics])
        return export_request(self.resource_field, [own, *scopes])

    def _red_metrics(self, red: RedCollection) -> list[bytes]:
        times = TIMES.pack(b"\x11", red.start_ns, b"\x19", red.end_ns)
        durations: list[bytes] = []
        responses: list[bytes] = []
        requests: list[bytes] = []
        backgrounds: list[bytes] = []
        for key, row in red.rows.items():
            plain = self._histogram.encode_all(_labels(key))
            if row.count:
                labels = self._exponential.encode_all(_labels(key))
                durations.append(delimited(b"\x0a", labels + times + exponential(row)))
                responses.append(plain_point(plain, times, row.count, row.response_bytes))
            if row.request_count:
                requests.append(plain_point(plain, times, row.request_count, row.request_bytes))
            if row.background_count:
                backgrounds.append(plain_point(plain, times, row.background_count, row.background_seconds))
        metrics = [
            metric("http.server.request.duration", "s", b"\x52", durations),
            metric("http.server.response.body.size", "By", b"\x4a", responses),
            metric("http.server.request.body.size", "By", b"\x4a", requests),
            metric("tocsin.http.server.background.duration", "s", b"\x4a", backgrounds),
        ]
        return [metric for metric in metrics if metric]

    def _call_metrics(self, start_ns: int, rows: CallRows, now_ns: int) -> list[bytes]:
        times = TIMES.pack(b"\x11", start_ns, b"\x19", now_ns)
        durations: dict[str, list[bytes]] = {}
        amounts: dict[str, list[bytes]] = {}
        for (operation, tenant, error), row in rows.items():
            facts = dict(operation.facts)
            if tenant:
                facts["tocsin.tenant"] = tenant
            if error:
                facts["error.type"] = error
            point = delimited(b"\x0a", self._exponential.encode_all(facts) + times + exponential(row))
            durations.setdefault(operation.kind.metric, []).append(point)
            if row.amount and operation.kind.amounts:
                point = plain_point(self._histogram.encode_all(facts), times, row.count, row.amount)
                amounts.setdefault(operation.kind.amounts, []).append(point)
        made = [metric(name, "s", b"\x52", points) for name, points in durations.items()]
        made += [metric(name, "{row}", b"\x4a", points) for name, points in amounts.items()]
        return made + self._classic_durations(times, rows)

    def _classic_durations(self, times: bytes, rows: CallRows) -> list[bytes]:
        """Under the names of `/metrics` what OpenTelemetry calls otherwise, in buckets with fixed bounds."""
        families: dict[str, dict[tuple[Labels, str], Histogram]] = {}
        for (operation, tenant, _), row in rows.items():
            kind = operation.kind
            if kind.family != f"{kind.metric.replace('.', '_')}_seconds":
                of_family = families.setdefault(kind.family, {})
                key = labels_of(operation.labels), tenant
                of_family.setdefault(key, Histogram(kind.bounds)).add(row.buckets, row.seconds)
        made = []
        for name, histograms in families.items():
            points = [
                delimited(
                    b"\x0a", times + _explicit(histogram) + self._histogram.encode_all(_call_labels(labels, tenant))
                )
                for (labels, tenant), histogram in histograms.items()
            ]
            made.append(metric(name, "s", b"\x4a", points))
        return made

    def _increase_metrics(self, increase: Increase, now_ns: int) -> list[bytes]:
        times = TIMES.pack(b"\x11", increase.start_ns, b"\x19", now_ns)
        counts: dict[str, list[bytes]] = {}
        for key, number in increase.sums.numbers.items():
            point = times + _number(number) + self._number.encode_all(key.attributes())
            counts.setdefault(key.name, []).append(delimited(b"\x0a", point))
        durations = self._timing_points(increase.sums.timings.items(), times)
        made = [head(name, "") + delimited(b"\x3a", b"".join(points) + _RISING) for name, points in counts.items()]
        return made + [metric(name, "s", b"\x52", points) for name, points in durations.items()]

    def _figure_metrics(self, figures: Iterable[Figure], start_ns: int, now_ns: int) -> list[bytes]:
        by_name: dict[str, list[Figure]] = {}
        for figure in figures:
            by_name.setdefault(figure.name, []).append(figure)
        return [self._figures(name, group, start_ns, now_ns) for name, group in by_name.items()]

    def _timing_metrics(self, timings: Iterable[tuple[Timed, Spread]], start_ns: int, now_ns: int) -> list[bytes]:
        points = self._timing_points(timings, TIMES.pack(b"\x11", start_ns, b"\x19", now_ns))
        return [head(name, "s") + delimited(b"\x52", b"".join(made) + CUMULATIVE) for name, made in points.items()]

    def _timing_points(self, timings: Iterable[tuple[Timed, Spread]], times: bytes) -> dict[str, list[bytes]]:
        by_name: dict[str, list[bytes]] = {}
        for key, spread in timings:
            labels = self._exponential.encode_all(key.attributes())
            by_name.setdefault(key.name, []).append(delimited(b"\x0a", labels + times + exponential(spread)))
        return by_name

    def _figures(self, name: str, group: list[Figure], start_ns: int, now_ns: int) -> bytes:
        first = group[0]
        times = TIMES.pack(b"\x11", start_ns if first.is_sum else 0, b"\x19", now_ns)
        points = [delimited(b"\x0a", times + _number(f.value) + self._number.encode_all(f.attributes)) for f in group]
        begin = head(name, first.unit)
        if not first.is_sum:
            return begin + delimited(b"\x2a", b"".join(points))
        tail = CUMULATIVE + (b"\x18\x01" if first.is_monotonic else b"")
        return begin + delimited(b"\x3a", b"".join(points) + tail)


def _labels(key: tuple[str, str, int, str, str]) -> dict[str, str | int]:
    method, route, status, tenant, error_type = key
    labels: dict[str, str | int] = {"http.request.method": method, "http.route": route}
    if status:
        labels["http.response.status_code"] = status
    if tenant:
        labels["tocsin.tenant"] = tenant
    if error_type:
        labels["error.type"] = error_type
    return labels


def _call_labels(labels: Labels, tenant: str) -> dict[str, str]:
    return {**dict(labels), "tocsin.tenant": tenant} if tenant else dict(labels)


def _explicit(histogram: Histogram) -> bytes:
    counts = struct.pack(f"<{len(histogram.counts)}Q", *histogram.counts)
    bounds = struct.pack(f"<{len(histogram.bounds)}d", *histogram.bounds)
    total = COUNT_AND_SUM.pack(b"\x21", sum(histogram.counts), b"\x29", histogram.sum)
    return total + delimited(b"\x32", counts) + delimited(b"\x3a", bounds)


def _number(value: int | float) -> bytes:
    if isinstance(value, int) and -_MOST <= value < _MOST:
        return b"\x31" + struct.pack("<q", value)
    return b"\x21" + struct.pack("<d", value)
