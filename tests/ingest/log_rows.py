"""What of log records in the spool tests look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ingest.serving import Ingest
from tocsin.storage.telemetry.decode import Signal


@dataclass
class Row:
    body: str
    time_ns: int
    severity: int
    severity_text: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    trace_id: str
    span_id: str
    observed_ns: int

    @property
    def message(self) -> str:
        """What the line says of itself, of JSON in a field."""
        return str(json.loads(self.body)["message"]) if self.body.startswith("{") else self.body


def rows_of(messages: list[bytes]) -> list[Row]:
    """The records of OTLP requests in the order they stand there."""
    return [
        Row(
            record.body.string_value,
            record.time_unix_nano,
            record.severity_number,
            record.severity_text,
            _pairs(record.attributes),
            _pairs(part.resource.attributes),
            scope.scope.name,
            record.trace_id.hex(),
            record.span_id.hex(),
            record.observed_time_unix_nano,
        )
        for message in messages
        for part in ExportLogsServiceRequest.FromString(message).resource_logs
        for scope in part.scope_logs
        for record in scope.log_records
    ]


def log_rows(ingest: Ingest) -> list[Row]:
    return rows_of(ingest.stored(Signal.LOGS))


def _pairs(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _pairs(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
