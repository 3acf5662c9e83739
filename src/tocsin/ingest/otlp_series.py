"""OTLP metrics read into a batch of samples, as Prometheus' own OTLP endpoint would.

Numbers become a series each; histograms `_bucket{le}`, `_sum` and `_count`; summaries a series a quantile; exponential
histograms native ones; what a resource says beyond job and instance `target_info`. Delta temporality stays as it is:
the increases are stored and added up when read. What our SDK counts of requests and calls goes into rollups instead.
"""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from tocsin.ingest.histogram_rows import histogram_row
from tocsin.ingest.known_series import DAY_MS, Identity, KnownSeries, SeriesLimitError
from tocsin.ingest.otlp_messages import MetricsData
from tocsin.ingest.otlp_names import labels_of, metric_name, number_text
from tocsin.ingest.sample_batch import (
    Collected,
    SampleBatch,
    SampleRows,
    TimeBounds,
    encoded_labels,
    exemplar_row,
    metadata_row,
)
from tocsin.model.histogram import NativeHistogram
from tocsin.model.labels import METRIC_NAME
from tocsin.storage.telemetry.decode import REQUEST_METRICS, Signal
from tocsin.storage.telemetry.decode_calls import CALL_METRICS, CALLS
from tocsin.storage.telemetry.otlp_sql import TENANT_KEYS

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NO_RECORDED_VALUE = 1  # flag of a point
DELTA, CUMULATIVE = 1, 2  # temporality
NS_PER_MS = 10**6
MAX_SCALE, MIN_SCALE = 8, -4
DEFAULT_ZERO_THRESHOLD = 1e-128
IDENTIFYING = ("service.namespace", "service.name", "service.instance.id")
KNOWN_RESOURCES = 10_000
COUNTED = frozenset((*REQUEST_METRICS, *CALL_METRICS))


@dataclass(frozen=True, slots=True)
class Source:
    """A resource: who sends. `info` are the labels of its target_info, without job and instance."""

    key: int
    job: str
    instance: str
    service: str
    environment: str
    tenant: str
    info: dict[str, str]
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """What all points of a metric share."""

    key: int
    name: str
    is_delta: bool
    is_rising: bool = False


Origin = tuple[Source, Kind, tuple[bytes, ...], str, tuple[tuple[str, str], ...]]
"""Source, metric, attributes, what is added to its name, and labels of its own such as `le`."""


def read_otlp(known: KnownSeries, body: bytes, key_id: str, bounds: TimeBounds) -> Collected:
    """The samples of an OTLP metrics request that was checked before."""
    reader = _Reader(known, key_id, bounds)
    for part in MetricsData.FromString(body).resource_items:
        source = _source(part.resource)
        newest = 0
        for scope in part.scope_items:
            for metric in scope.metrics:
                newest = max(newest, reader.take(source, metric))
        if newest and source.info and (source.job or source.instance):
            info = Kind(hash("target_info"), "target_info", False)
            reader.number(reader.batch.samples, newest, 1.0, (source, info, (), "", ()))
    collected = reader.batch.finish()
    if Signal.DELTAS in collected.messages:
        # Two senders may report the same increase in the same millisecond: their messages must differ all the same,
        # or the second would pass for a repetition. The engine skips the field.
        collected.messages[Signal.DELTAS] += b"\x7a\x10" + hashlib.blake2b(body, digest_size=16).digest()
    return collected


def counted_signals(body: bytes) -> list[Signal]:
    """Of which rollups counts of our SDK may be among the metrics; they have a way of their own."""
    signals = [Signal.METRICS] if any(name.encode() in body for name in REQUEST_METRICS) else []
    return [*signals, Signal.CALLS] if CALLS.encode() in body else signals


class _Reader:
    def __init__(self, known: KnownSeries, key_id: str, bounds: TimeBounds) -> None:
        self.batch = SampleBatch(known, bounds, _described)
        self._known = known
        self._key_id = key_id
        self._bounds = bounds

    def take(self, source: Source, metric: Any) -> int:
        """Read all points of a metric; the newest time among them in milliseconds, 0 without any."""
        number = metric.sum.points or metric.gauge.points
        temporality = metric.sum.temporality or metric.histogram.temporality or metric.exponential.temporality
        if source.is_ours and metric.name in COUNTED and temporality == DELTA:
            return 0
        is_counter = bool(metric.sum.points) and metric.sum.is_monotonic
        name = metric_name(metric.name, metric.unit, is_counter=is_counter, is_gauge=bool(metric.gauge.points))
        is_rising = temporality in (CUMULATIVE, DELTA) and (is_counter or not metric.sum.points)
        kind = Kind(hash((source.key, name, temporality == DELTA)), name, temporality == DELTA, is_rising)
        rows = self.batch.deltas if kind.is_delta else self.batch.samples
        newest = 0
        for points, read in (
            (number, self._number_point),
            (metric.histogram.points, self._histogram_point),
            (metric.exponential.points, self._exponential_point),
            (metric.summary.points, self._summary_point),
        ):
            for point in points:
                time_ms = point.time_unix_nano // NS_PER_MS
                newest = max(newest, time_ms)
                try:
                    read(rows, point, time_ms, source, kind)
                except SeriesLimitError as error:
                    self.batch.collected.problems[str(error)] += 1
                    self.batch.collected.is_over_limit = True
        if newest:
            self._note(metric, name, is_counter)
        return newest

    def number(self, rows: SampleRows, time_ms: int, value: float, origin: Origin, start_ms: int = 0) -> int:
        """Add one sample; the slot of its series. Raises SeriesLimitError.

        A counter that is new here was 0 at its start: its first increase is then seen, too.
        """
        source, kind, attributes, suffix, own = origin
        key = hash((source.key, kind.key, attributes, suffix, own))
        slot = self._known.slots.get(key)
        if slot is None:
            slot = self._known.learn(_identity(origin), self._key_id, (key,))
            if kind.is_rising and start_ms < time_ms and not self._bounds.problem(start_ms):
                rows.add(slot, 0.0, start_ms, origin)
        rows.add(slot, value, time_ms, origin)
        return slot

    def _number_point(self, rows: SampleRows, point: Any, time_ms: int, source: Source, kind: Kind) -> None:
        value = float(point.as_int) if point.HasField("as_int") else point.as_double
        origin: Origin = (source, kind, tuple(point.attributes), "", ())
        slot = self._add(rows, time_ms, value, origin, point)
        if point.exemplars and slot is not None:
            self._exemplars(point.exemplars, [(float("inf"), slot, origin)])

    def _histogram_point(self, rows: SampleRows, point: Any, time_ms: int, source: Source, kind: Kind) -> None:
        attributes = tuple(point.attributes)
        buckets: list[tuple[float, int, Origin]] = []
        below = 0
        bounds = (*point.explicit_bounds, float("inf")) if point.bucket_counts else (float("inf"),)
        for bound, count in zip(bounds, point.bucket_counts or (point.count,), strict=False):
            below += count
            value = float(point.count) if bound == float("inf") else float(below)
            origin: Origin = (source, kind, attributes, "_bucket", (("le", number_text(bound)),))
            slot = self._add(rows, time_ms, value, origin, point)
            if slot is not None:
                buckets.append((bound, slot, origin))
        if point.HasField("sum"):
            self._add(rows, time_ms, point.sum, (source, kind, attributes, "_sum", ()), point)
        self._add(rows, time_ms, float(point.count), (source, kind, attributes, "_count", ()), point)
        if point.exemplars:
            self._exemplars(point.exemplars, buckets)

    def _summary_point(self, rows: SampleRows, point: Any, time_ms: int, source: Source, kind: Kind) -> None:
        attributes = tuple(point.attributes)
        for entry in point.quantile_values:
            own = (("quantile", number_text(entry.quantile)),)
            self._add(rows, time_ms, entry.value, (source, kind, attributes, "", own), point)
        self._add(rows, time_ms, point.sum, (source, kind, attributes, "_sum", ()), point)
        self._add(rows, time_ms, float(point.count), (source, kind, attributes, "_count", ()), point)

    def _exponential_point(self, rows: SampleRows, point: Any, time_ms: int, source: Source, kind: Kind) -> None:
        if point.scale < MIN_SCALE:
            self.batch.collected.problems[f"an exponential histogram of scale {point.scale} is too coarse"] += 1
            return
        origin: Origin = (source, kind, tuple(point.attributes), "", ())
        key = hash((source.key, kind.key, origin[2], "", ()))
        slot = self._known.slots.get(key)
        if slot is None:
            slot = self._known.learn(_identity(origin), self._key_id, (key,))
        histogram = _native(point)
        self.batch.histograms.append(
            histogram_row(self._known.fields(slot), time_ms, histogram, is_delta=kind.is_delta)
        )
        self.batch.announce(slot, time_ms, origin)
        self._exemplars(point.exemplars, [(float("inf"), slot, origin)])

    def _add(self, rows: SampleRows, time_ms: int, value: float, origin: Origin, point: Any) -> int | None:
        if point.flags & NO_RECORDED_VALUE:
            if rows is self.batch.deltas:
                return None  # no increase
            value = STALE
        return self.number(rows, time_ms, value, origin, point.start_time_unix_nano // NS_PER_MS)

    def _exemplars(self, encoded: Any, buckets: list[tuple[float, int, Origin]]) -> None:
        """Each goes with the bucket that its value falls into."""
        for entry in encoded:
            exemplar = Exemplar.FromString(entry)
            value = float(exemplar.as_int) if exemplar.HasField("as_int") else exemplar.as_double
            time_ms = exemplar.time_unix_nano // NS_PER_MS
            found = next((bucket for bucket in buckets if value <= bucket[0]), None)
            if found is None or self._bounds.problem(time_ms):
                continue
            _, slot, origin = found
            labels = sorted(labels_of((a.key, text_of(a.value)) for a in exemplar.filtered_attributes).items())
            trace_id, span_id = exemplar.trace_id.hex(), exemplar.span_id.hex()
            fields = self._known.fields(slot)
            self.batch.exemplars.append(exemplar_row(fields, value, time_ms, trace_id, span_id, labels))
            self.batch.announce(slot, time_ms, origin)

    def _note(self, metric: Any, name: str, is_counter: bool) -> None:
        tenants = self._known.tenants_with(name)
        key = hash(("metadata", name, metric.unit, metric.description, is_counter, len(tenants)))
        if not self._known.is_news(key, self._bounds.newest_ms // DAY_MS):
            return
        is_histogram = bool(metric.histogram.points or metric.exponential.points)
        kind = "histogram" if is_histogram else "summary" if metric.summary.points else "counter"
        if not is_histogram and not metric.summary.points and not is_counter:
            kind = "gauge"
        for tenant in tenants:
            row = metadata_row(name, tenant, kind, metric.unit, metric.description, self._bounds.newest_ms // 1000)
            self.batch.metadata[row] = None


_sources: OrderedDict[bytes, Source] = OrderedDict()


def _source(encoded: bytes) -> Source:
    found = _sources.get(encoded)
    if found is None:
        found = _sources[encoded] = _read_source(encoded)
        if len(_sources) > KNOWN_RESOURCES:
            _sources.popitem(last=False)
    return found


def _read_source(encoded: bytes) -> Source:
    attributes = {a.key: text_of(a.value) for a in ResourceMessage.FromString(encoded).attributes}
    namespace, service = attributes.get("service.namespace", ""), attributes.get("service.name", "")
    environment = attributes.get("deployment.environment.name") or attributes.get("deployment.environment", "")
    return Source(
        key=hash(encoded),
        job=f"{namespace}/{service}" if namespace else service,
        instance=attributes.get("service.instance.id", ""),
        service=service or "unknown_service",
        environment=environment,
        tenant=_tenant_of(attributes),
        info=labels_of((name, value) for name, value in attributes.items() if name not in IDENTIFYING),
        is_ours=attributes.get("telemetry.sdk.name") == "tocsin",
    )


def _identity(origin: Origin) -> Identity:
    source, kind, encoded, suffix, own = origin
    attributes = {a.key: text_of(a.value) for a in map(KeyValue.FromString, encoded)}
    tenant = _tenant_of(attributes) or source.tenant
    labels = labels_of((name, value) for name, value in attributes.items() if name not in TENANT_KEYS)
    labels |= source.info if kind.name == "target_info" else {}
    labels |= {"job": source.job, "instance": source.instance, "tenant": tenant, **dict(own)}
    labels[METRIC_NAME] = kind.name + suffix
    return Identity(
        tuple(sorted((name, value) for name, value in labels.items() if value)),
        tenant,
        source.service,
        source.environment,
        source.instance,
        kind.is_delta,
    )


def _described(origin: Origin) -> tuple[Identity, bytes]:
    identity = _identity(origin)
    return identity, encoded_labels(identity.labels)


def _tenant_of(attributes: dict[str, str]) -> str:
    return next((attributes[name] for name in TENANT_KEYS if attributes.get(name)), "")


def _native(point: Any) -> NativeHistogram:
    """OTLP's bucket i begins where Prometheus' bucket i + 1 does; a scale beyond 8 is merged down to it."""
    merge = max(0, point.scale - MAX_SCALE)
    is_stale = point.flags & NO_RECORDED_VALUE
    return NativeHistogram(
        schema=point.scale - merge,
        count=float(point.count),
        sum=STALE if is_stale else point.sum,
        zero_threshold=point.zero_threshold or DEFAULT_ZERO_THRESHOLD,
        zero_count=float(point.zero_count),
        positive=_merged(point.positive, merge),
        negative=_merged(point.negative, merge),
    )


def _merged(buckets: Any, merge: int) -> dict[int, float]:
    merged: dict[int, float] = {}
    for index, count in enumerate(buckets.bucket_counts, start=buckets.offset):
        if count:
            at = (index >> merge) + 1
            merged[at] = merged.get(at, 0.0) + count
    return merged


def text_of(value: AnyValue) -> str:
    """An attribute's value as text, as it is stored everywhere; lists and maps as their protobuf bytes in hex."""
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    found = getattr(value, kind)
    if kind == "string_value":
        return str(found)
    if kind == "bool_value":
        return "true" if found else "false"
    if kind == "double_value":
        return number_text(found) if found == found else "NaN"
    if kind == "int_value":
        return str(found)
    return bytes(found if kind == "bytes_value" else found.SerializeToString()).hex()
