"""Log records to OTLP, above all events: things that happened once and are sent whatever is sampled.

Source of the field numbers: opentelemetry-proto, logs.proto. An event is a log record with an event name
(OpenTelemetry's event semantics).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from tocsin.sdk.encode import AttributeCache, any_value, delimited, export_request, instrumentation_scope
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.guard import guarded
from tocsin.sdk.redaction import Redactor

# OTLP's SeverityNumber.
INFO, WARN, ERROR, FATAL = 9, 13, 17, 21

_RECORD = b"\x12"  # ScopeLogs.log_records
_NO_ATTRIBUTES: Mapping[str, Any] = {}
_pack_times = struct.Struct("<BQBQ").pack
_TIME, _OBSERVED = 0x09, 0x59
_CHARACTERS = 64 * 1024


class Record(NamedTuple):
    """One log record. time_ns: since 1970. trace_id, span_id: b'' outside of any trace."""

    time_ns: int
    event_name: str
    severity: int
    body: str
    attributes: Mapping[str, Any] = _NO_ATTRIBUTES
    tenant: str = ""
    trace_id: bytes = b""
    span_id: bytes = b""


class RecordEncoder:
    """Encodes records with their attributes kept as bytes; used by one thread at a time."""

    def __init__(self, resource_field: bytes, version: str, redactor: Redactor | None = None) -> None:
        self._resource_field = resource_field
        self._redactor = redactor or Redactor()
        self._scope = instrumentation_scope("tocsin", version)
        self._attributes = AttributeCache(b"\x32")

    def encode_request(self, records: list[Record]) -> bytes:
        """One ExportLogsServiceRequest."""
        observed_ns = time.time_ns()
        encoded = (self.encode_record(record, observed_ns) for record in records)
        fields = [delimited(_RECORD, body) for body in encoded if body]
        return export_request(self._resource_field, [(self._scope, fields)])

    @guarded(b"")
    def encode_record(self, record: Record, observed_ns: int) -> bytes:
        """The content of a LogRecord message."""
        parts = [
            _pack_times(_TIME, record.time_ns, _OBSERVED, observed_ns),
            b"\x10" + bytes((record.severity,)),
            delimited(b"\x2a", any_value(self._redactor.text(record.body))),
            self._attributes.encode_all(self._redactor.attributes(record.attributes, _CHARACTERS)),
        ]
        if record.tenant:
            parts.append(self._attributes.encode("tocsin.tenant", record.tenant))
        if record.trace_id:
            parts.append(delimited(b"\x4a", record.trace_id))
            if record.span_id:
                parts.append(delimited(b"\x52", record.span_id))
        if record.event_name:
            parts.append(delimited(b"\x62", utf8(record.event_name)))
        return b"".join(parts)
