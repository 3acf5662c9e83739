"""What `load` does: samples into memory, as Prometheus' database would give them back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tocsin.query.promql.histogram import CUSTOM_SCHEMA, Hint, NativeHistogram
from tocsin.query.promql.matrix import key
from tocsin.query.promql.notation import Item
from tocsin.query.promql.source import Labels, MemorySource, Series

Sample = float | NativeHistogram


@dataclass
class Database:
    """Samples by series; a later sample of the same time wins."""

    samples: dict[tuple[tuple[str, str], ...], dict[int, Sample]] = field(default_factory=dict)

    def add(self, labels: Labels, time_ms: int, sample: Sample) -> None:
        self.samples.setdefault(key(labels), {})[time_ms] = sample

    def source(self) -> MemorySource:
        return MemorySource([_series(dict(labels), held) for labels, held in self.samples.items() if held])


def _series(labels: Labels, held: dict[int, Sample]) -> Series:
    times = sorted(held)
    values = np.array([np.nan if isinstance(held[time], NativeHistogram) else held[time] for time in times])
    histograms: list[NativeHistogram | None] | None = None
    if any(isinstance(held[time], NativeHistogram) for time in times):
        histograms = []
        before: NativeHistogram | None = None
        for time in times:
            sample = held[time]
            histogram = sample if isinstance(sample, NativeHistogram) else None
            histograms.append(None if histogram is None else _stored(before, histogram))
            before = histogram
    return Series(labels, np.array(times, dtype=np.int64), values.astype(np.float64), histograms)


def _stored(before: NativeHistogram | None, histogram: NativeHistogram) -> NativeHistogram:
    """With the hint that Prometheus' chunks keep: a counter that went on is known not to have been reset."""
    if histogram.hint == "gauge":
        return histogram
    hint: Hint = "unknown"  # also behind a reset: a chunk's first sample is read without what its header says
    if before is not None and before.hint != "gauge":
        bare = replace(histogram, hint="unknown")
        same_layout = (before.schema, before.zero_threshold, before.custom_values) == (
            histogram.schema,
            histogram.zero_threshold,
            histogram.custom_values,
        )
        if same_layout and histogram.hint != "reset" and not bare.is_reset_after(before):
            hint = "not_reset"
    return replace(histogram, hint=hint)


def load(database: Database, step_ms: int, lines: list[tuple[Labels, list[Item]]], *, with_nhcb: bool) -> None:
    for labels, items in lines:
        for place, item in enumerate(items):
            if item.value is not None:
                database.add(labels, place * step_ms, item.value)
    if with_nhcb:
        _convert(database, step_ms, lines)


def _convert(database: Database, step_ms: int, lines: list[tuple[Labels, list[Item]]]) -> None:
    """Classic histograms as native ones with custom buckets, beside the originals."""
    found: dict[tuple[tuple[tuple[str, str], ...], int], dict[object, float]] = {}
    for labels, items in lines:
        name = labels["__name__"]
        for suffix in ("_bucket", "_count", "_sum"):
            if not name.endswith(suffix):
                continue
            base = {label: value for label, value in labels.items() if label != "le"}
            base["__name__"] = name.removesuffix(suffix)
            part: object = suffix
            if suffix == "_bucket":
                part = float(labels["le"].replace("+Inf", "inf"))
            for place, item in enumerate(items):
                if isinstance(item.value, float):
                    found.setdefault((key(base), place * step_ms), {})[part] = item.value
    for (base_key, time_ms), parts in found.items():
        database.add(dict(base_key), time_ms, _custom(parts))


def _custom(parts: dict[object, float]) -> NativeHistogram:
    bounds = sorted(bound for bound in parts if isinstance(bound, float))
    finite = [bound for bound in bounds if bound != float("inf")]
    count = parts.get("_count", parts.get(float("inf"), parts[finite[-1]] if finite else 0.0))
    buckets, before = {}, 0.0
    for index, bound in enumerate(finite):
        buckets[index] = parts[bound] - before
        before = parts[bound]
    buckets[len(finite)] = count - before
    return NativeHistogram(CUSTOM_SCHEMA, count, parts.get("_sum", 0.0), positive=buckets, custom_values=tuple(finite))
