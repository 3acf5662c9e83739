"""What the gate makes of OTLP requests, for tests that go round the spool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tocsin.ingest.known_series import KnownSeries
from tocsin.ingest.otlp_series import read_otlp
from tocsin.ingest.sample_batch import TimeBounds
from tocsin.storage.telemetry.decode import Signal

SIGNALS = {
    ExportTraceServiceRequest: Signal.TRACES,
    ExportMetricsServiceRequest: Signal.METRICS,
    ExportLogsServiceRequest: Signal.LOGS,
}


def spooled(requests: Sequence[Any]) -> dict[Signal, list[bytes]]:
    """What the gate makes of OTLP requests, by the signal it is spooled under."""
    messages: dict[Signal, list[bytes]] = {signal: [] for signal in Signal}
    known, always = KnownSeries(), TimeBounds(2**36, 2**41)
    for request in requests:
        signal, message = SIGNALS[type(request)], request.SerializeToString()
        messages[signal].append(message)
        if signal is Signal.METRICS:
            messages[Signal.CALLS].append(message)
            for kind, part in read_otlp(known, message, "", always).messages.items():
                messages[kind].append(part)
    return messages
