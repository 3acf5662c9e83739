"""Prometheus' remote-write requests, 1.0 and 2.0, read into a batch of samples.

In 1.0 a series whose labels were seen before, to the byte, is neither parsed nor checked again: what follows the
labels is one sample of known length, and its bytes are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from google.protobuf.message import DecodeError

from tocsin.ingest.body import BodyError
from tocsin.ingest.histogram_rows import HistogramError, histogram_row, of_prometheus
from tocsin.ingest.known_series import DAY_MS, Identity, KnownSeries, SeriesLimitError
from tocsin.ingest.prometheus_messages import METRIC_TYPES, Request2, TimeSeries, WriteRequest
from tocsin.ingest.sample_batch import (
    Collected,
    Describe,
    SampleBatch,
    TimeBounds,
    encoded_labels,
    exemplar_row,
    metadata_row,
)
from tocsin.model.labels import METRIC_NAME, Labels, tenant_of

SAMPLE_BYTES = 18  # of a whole sample within a series: its key, its length, value and time
SAMPLE_KEY = b"\x12\x10"
ZERO_BYTES = 9  # of a sample whose value is 0 and therefore left out
ZERO_KEY = b"\x12\x07"
ZERO_VALUE = b"\x09" + bytes(8)
TRACE_LABELS, SPAN_LABELS = ("trace_id", "traceID", "traceId"), ("span_id", "spanID", "spanId")


class LabelError(ValueError):
    """The labels of a series cannot be used."""


def read_1(known: KnownSeries, body: bytes, key_id: str, bounds: TimeBounds) -> Collected:
    """A prometheus.WriteRequest. Raises BodyError when it is not one."""
    try:
        request = WriteRequest.FromString(body)
    except DecodeError as error:
        raise _unreadable("1.0", error) from error
    reader = _Reader1(known, key_id, bounds)
    for series in request.timeseries:
        reader.take(series)
    for entry in request.metadata:
        kind = METRIC_TYPES[entry.type] if 0 <= entry.type < len(METRIC_TYPES) else "unknown"
        for tenant in known.tenants_with(entry.metric_family_name):
            reader.note(entry.metric_family_name, tenant, kind, entry.unit, entry.help)
    return reader.batch.finish()


def read_2(known: KnownSeries, body: bytes, key_id: str, bounds: TimeBounds) -> Collected:
    """An io.prometheus.write.v2.Request. Raises BodyError when it is not one."""
    try:
        request = Request2.FromString(body)
    except DecodeError as error:
        raise _unreadable("2.0", error) from error
    symbols = list(request.symbols)
    if request.timeseries and (not symbols or symbols[0]):
        raise BodyError("cannot read the body as remote write 2.0: its first symbol must be the empty string")
    reader = _Reader2(known, key_id, bounds, symbols)
    for series in request.timeseries:
        reader.take(series)
    return reader.batch.finish()


class _Reader:
    """What both versions do with a series once its labels are known."""

    def __init__(self, known: KnownSeries, key_id: str, bounds: TimeBounds, describe: Describe) -> None:
        self.batch = SampleBatch(known, bounds, describe)
        self.known = known
        self.key_id = key_id
        self.bounds = bounds

    def slot(self, labels: Labels, hashes: tuple[int, ...] = ()) -> int:
        """Raises LabelError or SeriesLimitError."""
        check_labels(labels, self.known.settings.max_labels, self.known.settings.max_label_bytes)
        return self.known.learn(Identity.of_labels(labels), self.key_id, hashes)

    def refuse(self, series: Any, error: Exception) -> None:
        """Count a series that is left out."""
        self.batch.collected.problems[str(error)] += len(series.samples) + len(series.histograms) or 1
        self.batch.collected.is_over_limit |= isinstance(error, SeriesLimitError)

    def samples(self, slot: int, series: Any, origin: Any) -> None:
        add, oldest_ms, newest_ms = self.batch.samples.add, self.bounds.oldest_ms, self.bounds.newest_ms
        for sample in series.samples:
            time_ms = sample.timestamp
            if oldest_ms <= time_ms <= newest_ms:
                add(slot, sample.value, time_ms, origin)
            else:
                self.batch.collected.problems[self.bounds.problem(time_ms)] += 1

    def histograms(self, slot: int, series: Any, origin: Any) -> None:
        fields = self.known.fields(slot)
        for histogram in series.histograms:
            try:
                problem = self.bounds.problem(histogram.timestamp)
                row = b"" if problem else histogram_row(fields, histogram.timestamp, of_prometheus(histogram))
            except HistogramError as error:
                problem = str(error)
            if problem:
                self.batch.collected.problems[problem] += 1
            else:
                self.batch.histograms.append(row)
                self.batch.announce(slot, histogram.timestamp, origin)

    def exemplar(self, slot: int, exemplar: Any, own: dict[str, str], origin: Any) -> None:
        """Exemplars are an extra: one out of bounds is left out and costs its sample nothing."""
        if self.bounds.problem(exemplar.timestamp):
            return
        trace_id, span_id = (next((own[n] for n in names if n in own), "") for names in (TRACE_LABELS, SPAN_LABELS))
        self.batch.exemplars.append(
            exemplar_row(
                self.known.fields(slot), exemplar.value, exemplar.timestamp, trace_id, span_id, sorted(own.items())
            )
        )
        self.batch.announce(slot, exemplar.timestamp, origin)

    def note(self, name: str, tenant: str, kind: str, unit: str, help: str) -> None:
        if not self.known.is_news(hash(("sent", name, tenant, kind, unit, help)), self.bounds.newest_ms // DAY_MS):
            return
        self.batch.metadata[metadata_row(name, tenant, kind, unit, help, self.bounds.newest_ms // 1000)] = None


class _Reader1(_Reader):
    def __init__(self, known: KnownSeries, key_id: str, bounds: TimeBounds) -> None:
        super().__init__(known, key_id, bounds, _described)
        rows = self.batch.samples
        self._slots, self._tails, self._origins = rows.slots, rows.tails, rows.origins

    def take(self, series: bytes) -> None:
        # This runs for every sample that ever arrives: one slice, one hash and one look-up in the usual case.
        if series[-18:-16] == SAMPLE_KEY:
            slot = self.known.slots.get(hash(series[:-18]))
            tail = series[-16:]
        elif series[-9:-7] == ZERO_KEY:
            slot = self.known.slots.get(hash(series[:-9]))
            tail = ZERO_VALUE + series[-7:]
        else:
            slot = None
        if slot is None:
            self._parse(series)
            return
        self._slots.append(slot)
        self._tails.append(tail)
        self._origins.append(series)

    def _parse(self, encoded: bytes) -> None:
        try:
            series = TimeSeries.FromString(encoded)
        except DecodeError as error:
            raise _unreadable("1.0", error) from error
        labels = _labels_of(series.labels)
        try:
            slot = self.slot(labels, self._hashes(encoded, series))
        except (LabelError, SeriesLimitError) as error:
            self.refuse(series, error)
            return
        self.samples(slot, series, encoded)
        if series.histograms:
            self.histograms(slot, series, encoded)
        for exemplar in series.exemplars:
            self.exemplar(slot, exemplar, dict(_labels_of(exemplar.labels)), encoded)

    def _hashes(self, encoded: bytes, series: Any) -> tuple[int, ...]:
        """By which `take` will find the series next time, if it is of the usual kind."""
        if len(series.samples) != 1 or series.histograms or series.exemplars:
            return ()
        for size, key in ((SAMPLE_BYTES, SAMPLE_KEY), (ZERO_BYTES, ZERO_KEY)):
            if encoded[-size:].startswith(key) and _are_all_labels(encoded[:-size], len(series.labels)):
                return (hash(encoded[:-size]),)
        return ()


class _Reader2(_Reader):
    def __init__(self, known: KnownSeries, key_id: str, bounds: TimeBounds, symbols: Sequence[str]) -> None:
        super().__init__(known, key_id, bounds, self._described)
        self._symbols = symbols

    def take(self, series: Any) -> None:
        refs = tuple(series.labels_refs)
        try:
            # As texts, in one call: the numbers mean something else in every request.
            found_by = hash(itemgetter(0, *refs)(self._symbols))
            slot = self.known.slots.get(found_by)
            if slot is None:
                labels = self._labels(refs)
                slot = self.slot(labels, (found_by,))
                self._note(series.metadata, labels)
        except IndexError:
            self.refuse(series, LabelError("its labels refer to a symbol that the request does not have"))
            return
        except (LabelError, SeriesLimitError) as error:
            self.refuse(series, error)
            return
        self.samples(slot, series, refs)
        if series.histograms:
            self.histograms(slot, series, refs)
        for exemplar in series.exemplars:
            try:
                own = dict(self._labels(exemplar.labels_refs))
            except (LabelError, IndexError):
                continue
            self.exemplar(slot, exemplar, own, refs)

    def _labels(self, refs: Sequence[int]) -> Labels:
        """Raises LabelError or IndexError."""
        texts = [self._symbols[ref] for ref in refs]
        if len(texts) % 2:
            raise LabelError("its labels have a name without a value")
        return tuple((name, value) for name, value in zip(texts[0::2], texts[1::2], strict=True) if value)

    def _described(self, refs: Sequence[int]) -> tuple[Identity, bytes]:
        labels = self._labels(refs)
        return Identity.of_labels(labels), encoded_labels(labels)

    def _note(self, metadata: Any, labels: Labels) -> None:
        kind = METRIC_TYPES[metadata.type] if 0 <= metadata.type < len(METRIC_TYPES) else "unknown"
        refs = (metadata.unit_ref, metadata.help_ref)
        unit, help = (self._symbols[ref] if ref < len(self._symbols) else "" for ref in refs)
        if kind != "unknown" or unit or help:
            named = dict(labels)
            self.note(_family(named[METRIC_NAME], kind), tenant_of(named), kind, unit, help)


def check_labels(labels: Labels, max_labels: int, max_bytes: int) -> None:
    """Raises LabelError unless they are sorted, unique, within bounds, and name the metric."""
    if len(labels) > max_labels:
        raise LabelError(f"it has {len(labels)} labels, more than the {max_labels} allowed ([series] max_labels)")
    before = ""
    has_name = False
    for name, value in labels:
        if not name:
            raise LabelError("a label has no name")
        if name == before:
            raise LabelError(f"label {name[:80]!r} is there twice")
        if name < before:
            raise LabelError(f"its labels are not sorted: {name[:80]!r} comes after {before[:80]!r}")
        if len(value) > max_bytes or len(name) > max_bytes:
            raise LabelError(f"label {name[:80]!r} is longer than {max_bytes} bytes ([series] max_label_bytes)")
        if name == METRIC_NAME:
            has_name = bool(value)
        before = name
    if not has_name:
        raise LabelError("it has no metric name, that is, no label __name__")


def _are_all_labels(head: bytes, count: int) -> bool:
    """Whether these bytes are a series' labels and nothing else."""
    try:
        series = TimeSeries.FromString(head)
    except DecodeError:
        return False
    return len(series.labels) == count and not (series.samples or series.exemplars or series.histograms)


def _labels_of(labels: Any) -> Labels:
    """A label without a value is as good as none."""
    return tuple((label.name, label.value) for label in labels if label.value)


def _described(encoded: bytes) -> tuple[Identity, bytes]:
    series = TimeSeries.FromString(encoded)
    for name in ("samples", "exemplars", "histograms"):
        series.ClearField(name)
    # The labels are the same field in a row of the engine's.
    return Identity.of_labels(_labels_of(series.labels)), series.SerializeToString()


def _family(name: str, kind: str) -> str:
    """The name metadata are kept under: that of the family, without the suffix of one of its series."""
    if kind in ("histogram", "summary", "gaugehistogram"):
        for suffix in ("_bucket", "_count", "_sum"):
            name = name.removesuffix(suffix)
    return name


def _unreadable(version: str, error: Exception) -> BodyError:
    return BodyError(
        f"cannot read the body as remote write {version}: it is not valid protobuf, or a string in it is not UTF-8 "
        f"({error}); check the sender's protobuf_message setting"
    )
