"""The messages in which ingest hands series and their samples to the engine.

Whatever protocol they came by, samples are spooled in this one shape, in which a sample names its series by id and
repeats nothing else of it but its metric and tenant. The fields of a sample that change stand last and are encoded as
Prometheus encodes them, so that they can be passed on as they came.
"""

from __future__ import annotations

from tocsin.storage.telemetry.messages import Field, Message

LABEL = Message("Label", (Field(1, "string", "name"), Field(2, "string", "value")))

SERIES_ROW = Message(
    "SeriesRow",
    (
        Field(1, LABEL, "labels", repeated=True),  # as in Prometheus' TimeSeries
        Field(2, "int32", "day"),  # since 1970
        Field(3, "string", "tenant"),  # this and the next two as in SAMPLE
        Field(4, "string", "name"),
        Field(5, "fixed64", "id"),
        Field(6, "string", "service"),
        Field(7, "string", "environment"),
        Field(8, "string", "instance"),
        Field(9, "bool", "is_delta"),
        Field(10, "int64", "first"),  # milliseconds
    ),
)
SERIES = Message("Series", (Field(1, SERIES_ROW, "rows", repeated=True),))

SAMPLE = Message(
    "Sample",
    (
        Field(1, "double", "value"),  # this and the next as in Prometheus' Sample
        Field(2, "int64", "time"),  # milliseconds
        Field(3, "string", "tenant"),
        Field(4, "string", "name"),
        Field(5, "fixed64", "series"),
    ),
)
SAMPLES = Message("Samples", (Field(1, SAMPLE, "rows", repeated=True),))

NATIVE_HISTOGRAM = Message(
    "NativeHistogram",
    (
        Field(2, "int64", "time"),
        Field(3, "string", "tenant"),
        Field(4, "string", "name"),
        Field(5, "fixed64", "series"),
        Field(6, "bool", "is_delta"),
        Field(7, "sint32", "schema"),
        Field(8, "int32", "reset_hint"),
        Field(9, "double", "count"),
        Field(10, "double", "sum"),
        Field(11, "double", "zero_threshold"),
        Field(12, "double", "zero_count"),
        Field(13, "sint32", "positive_indexes", repeated=True),
        Field(14, "double", "positive_counts", repeated=True),
        Field(15, "sint32", "negative_indexes", repeated=True),
        Field(16, "double", "negative_counts", repeated=True),
        Field(17, "double", "custom_bounds", repeated=True),
    ),
)
NATIVE_HISTOGRAMS = Message("NativeHistograms", (Field(1, NATIVE_HISTOGRAM, "rows", repeated=True),))

EXEMPLAR = Message(
    "Exemplar",
    (
        Field(1, "double", "value"),
        Field(2, "int64", "time"),
        Field(3, "string", "tenant"),
        Field(4, "string", "name"),
        Field(5, "fixed64", "series"),
        Field(6, "string", "trace_id"),
        Field(7, "string", "span_id"),
        Field(8, LABEL, "labels", repeated=True),
    ),
)
EXEMPLARS = Message("Exemplars", (Field(1, EXEMPLAR, "rows", repeated=True),))

METADATA = Message(
    "Metadata",
    (
        Field(1, "string", "name"),
        Field(2, "string", "tenant"),
        Field(3, "string", "type"),
        Field(4, "string", "unit"),
        Field(5, "string", "help"),
        Field(6, "int64", "seen"),  # seconds
    ),
)
METRIC_METADATA = Message("MetricMetadata", (Field(1, METADATA, "rows", repeated=True),))

MILLISECONDS = "fromUnixTimestamp64Milli(r.time, 'UTC')"
LABELS_MAP = "CAST((r.labels.name, r.labels.value), 'Map(LowCardinality(String), String)')"
_OF_SERIES = {"name": "r.name", "tenant": "r.tenant", "series": "r.series", "time": MILLISECONDS}

SERIES_COLUMNS = {
    "day": "toDate(r.day)",
    "labels": LABELS_MAP,
    "first": "fromUnixTimestamp64Milli(r.first, 'UTC')",
    **{field: f"r.{field}" for field in ("name", "tenant", "id", "service", "environment", "instance", "is_delta")},
}
SAMPLE_COLUMNS = _OF_SERIES | {"value": "r.value"}
NATIVE_HISTOGRAM_COLUMNS = _OF_SERIES | {
    field.name: f"r.{field.name}" for field in NATIVE_HISTOGRAM.fields if field.name not in _OF_SERIES
}
EXEMPLAR_COLUMNS = _OF_SERIES | {
    "value": "r.value",
    "trace_id": "r.trace_id",
    "span_id": "r.span_id",
    "labels": LABELS_MAP,
}
METADATA_COLUMNS = {name: f"r.{name}" for name in ("name", "tenant", "type", "unit", "help")} | {
    "seen": "toDateTime(r.seen, 'UTC')"
}
