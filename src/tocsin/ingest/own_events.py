"""Events that the server is told over REST, put into the spool as if an OpenTelemetry sender had sent them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tocsin.ingest.gate import Gate, Key
from tocsin.ingest.validate import parse
from tocsin.storage.telemetry.decode import Signal

INFO = 9


def admit_event(
    gate: Gate,
    key: Key | None,
    name: str,
    body: str,
    time_ns: int,
    resource: Mapping[str, str],
    attributes: Mapping[str, str | bool],
    severity: int = INFO,
) -> Future[bool]:
    """Append one event; done when it is on disk. What is '' is left out. severity: OTLP's number. Raises Refused."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(_pairs(resource))
    record = group.scope_logs.add().log_records.add()
    record.time_unix_nano = record.observed_time_unix_nano = time_ns
    record.severity_number = severity  # type: ignore[assignment]  # the enum is a number
    record.event_name = name
    record.body.string_value = body
    record.attributes.extend(_pairs(attributes))
    message = request.SerializeToString()
    return gate.admit(Signal.LOGS, message, parse(Signal.LOGS, message), key).stored


def _pairs(values: Mapping[str, str | bool]) -> list[KeyValue]:
    made = []
    for name, value in values.items():
        if value == "":
            continue
        pair = KeyValue(key=name)
        if isinstance(value, bool):
            pair.value.bool_value = value
        else:
            pair.value.string_value = value
        made.append(pair)
    return made
