"""Samples of a scrape read into a batch."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tocsin.ingest.known_series import DAY_MS, Identity, KnownSeries, SeriesLimitError
from tocsin.ingest.remote_write_parse import LabelError, check_labels
from tocsin.ingest.sample_batch import (
    Collected,
    SampleBatch,
    TimeBounds,
    encoded_labels,
    exemplar_row,
    metadata_row,
)
from tocsin.model.labels import Labels, tenant_of

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


class Exemplar(Protocol):
    """What a sample may have as an example."""

    @property
    def labels(self) -> Labels: ...
    @property
    def value(self) -> float: ...
    @property
    def time_ms(self) -> int | None: ...


class About(Protocol):
    """What a target says of a metric."""

    type: str
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class ScrapedSample:
    """One sample with all its labels."""

    labels: Labels
    value: float
    time_ms: int
    exemplar: Exemplar | None = None


def read_scraped(
    known: KnownSeries, body: tuple[Sequence[ScrapedSample], Mapping[str, About]], key_id: str, bounds: TimeBounds
) -> Collected:
    """All samples of one scrape; those that cannot be stored are left out and explained."""
    samples, metadata = body
    batch = SampleBatch(known, bounds, _described)
    tenant = ""
    for sample in samples:
        problem = bounds.problem(sample.time_ms)
        if problem:
            batch.collected.problems[problem] += 1
            continue
        slot = known.slots.get(hash((sample.labels, False)))
        if slot is None:
            try:
                check_labels(sample.labels, known.settings.max_labels, known.settings.max_label_bytes)
                slot = known.learn(Identity.of_labels(sample.labels), key_id, ())
            except (LabelError, SeriesLimitError) as error:
                batch.collected.problems[str(error)] += 1
                batch.collected.is_over_limit |= isinstance(error, SeriesLimitError)
                continue
        batch.samples.add(slot, sample.value, sample.time_ms, sample.labels)
        tenant = tenant or tenant_of(dict(sample.labels))
        if sample.exemplar is not None:
            _add_exemplar(batch, slot, sample, sample.exemplar)
    _note(known, batch, metadata, tenant)
    return batch.finish()


def _add_exemplar(batch: SampleBatch, slot: int, sample: ScrapedSample, exemplar: Exemplar) -> None:
    time_ms = exemplar.time_ms or sample.time_ms
    if batch.bounds.problem(time_ms):
        return
    own = dict(exemplar.labels)
    fields = batch.known.fields(slot)
    trace_id, span_id = own.get("trace_id", ""), own.get("span_id", "")
    batch.exemplars.append(exemplar_row(fields, exemplar.value, time_ms, trace_id, span_id, exemplar.labels))


def _note(known: KnownSeries, batch: SampleBatch, metadata: Mapping[str, About], tenant: str) -> None:
    day = batch.bounds.newest_ms // DAY_MS
    for name, about in metadata.items():
        if known.is_news(hash(("scraped", tenant, name, about.type, about.unit, about.help)), day):
            row = metadata_row(name, tenant, about.type, about.unit, about.help, batch.bounds.newest_ms // 1000)
            batch.metadata[row] = None


def _described(labels: Any) -> tuple[Identity, bytes]:
    return Identity.of_labels(labels), encoded_labels(labels)
