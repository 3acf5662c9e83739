"""Log records of any origin as one OTLP request, which is how all of them go through the gate into the spool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tocsin.model.log_line import LogLine

Resource = tuple[tuple[str, str], ...]
LARGEST_INT = 2**63


class LogBatch:
    """Collects records; those of one resource and logger share a place in the request."""

    def __init__(self) -> None:
        self.request = ExportLogsServiceRequest()
        self.records = 0
        self._resources: dict[Resource, Any] = {}
        self._scopes: dict[tuple[Resource, str], Any] = {}

    def add(self, resource: Mapping[str, str], line: LogLine, observed_ns: int) -> None:
        """`resource` is what its origin says; what the line itself says counts more."""
        everything = {**resource, **line.resource} if line.resource else resource
        key = tuple(everything.items())
        records = self._scopes.get((key, line.scope))
        if records is None:
            records = self._scopes[key, line.scope] = self._new_scope(key, line.scope)
        record = records.add()
        record.time_unix_nano = line.time_ns
        record.observed_time_unix_nano = observed_ns
        record.severity_number = line.severity
        if line.severity_text:
            record.severity_text = line.severity_text
        record.body.string_value = line.body
        for name, value in line.attributes.items():
            pair = record.attributes.add()
            pair.key = name
            fill(pair.value, value)
        if line.trace_id:
            record.trace_id, record.span_id = line.trace_id, line.span_id
        self.records += 1

    def _new_scope(self, resource: Resource, name: str) -> Any:
        group = self._resources.get(resource)
        if group is None:
            group = self._resources[resource] = self.request.resource_logs.add()
            for key, value in resource:
                pair = group.resource.attributes.add()
                pair.key, pair.value.string_value = key, value
        scope = group.scope_logs.add()
        if name:
            scope.scope.name = name
        return scope.log_records


def fill(target: Any, value: Any) -> None:
    """Make an AnyValue what a value of JSON is."""
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int) and -LARGEST_INT <= value < LARGEST_INT:
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, (list, tuple)):
        target.array_value.SetInParent()
        for item in value:
            fill(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            pair = target.kvlist_value.values.add()
            pair.key = str(key)
            fill(pair.value, item)
    elif value is not None:
        target.string_value = str(value)
