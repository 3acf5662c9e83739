"""One line of a log as a record: JSON in the field names of python-json-logger, structlog and their kin is understood.

The body is the line as it was written, so that queries find in it whatever stood there; its fields are beside it. Those
that OpenTelemetry has a name for get that name, all others keep their own, with a dot between the names of nested ones.
What of the body is the message, the store says (`message` in `storage/telemetry/schema/0012_log_messages.sql`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import orjson

from tocsin.model.log_severity import UNSPECIFIED, severity_of_line, severity_of_number, severity_of_word
from tocsin.model.log_time import time_ns_of

MAX_FIELDS = 256
"""Of a line with more, only what a record needs is taken out."""
MAX_DEPTH = 8
TENANT = "tocsin.tenant"

TIMES = ("timestamp", "@timestamp", "asctime", "time", "ts", "datetime", "created")
LEVELS = ("levelname", "level", "severity", "lvl", "log.level", "loglevel", "log_level", "detected_level", "levelno")
BODIES = ("message", "msg", "event", "body")
SCOPES = ("logger", "logger_name", "logger.name", "log.logger", "name")
TRACE_IDS = ("trace_id", "traceId", "traceid", "trace.id", "otelTraceID")
SPAN_IDS = ("span_id", "spanId", "spanid", "span.id", "otelSpanID")
STACKS = ("exc_info", "exception", "exc_text", "stack_trace", "error.stack_trace")
OF_RESOURCE = {
    "service": "service.name", "service_name": "service.name", "service.name": "service.name",
    "otelServiceName": "service.name",
    "environment": "deployment.environment.name", "env": "deployment.environment.name",
    "deployment.environment": "deployment.environment.name",
    "deployment.environment.name": "deployment.environment.name",
    "service.version": "service.version", "release": "service.version",
    "host": "host.name", "hostname": "host.name", "host.name": "host.name",
}  # fmt: skip
OF_RECORD = {
    "tenant": TENANT, "tenant_id": TENANT, "tenantId": TENANT,
    "funcName": "code.function.name", "func_name": "code.function.name", "function": "code.function.name",
    "pathname": "code.file.path", "filename": "code.file.path",
    "lineno": "code.line.number", "line_number": "code.line.number",
    "threadName": "thread.name", "thread_name": "thread.name", "thread": "thread.id",
    "process": "process.pid", "pid": "process.pid",
    "request_id": "request.id", "requestId": "request.id",
    "correlation_id": "correlation.id", "correlationId": "correlation.id",
    "user_id": "enduser.id", "userId": "enduser.id",
}  # fmt: skip
_LEADING_TIME = re.compile(
    r"\W{0,2}(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)(?!\d)"
)
_LAST_OF_TRACEBACK = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$", re.DOTALL)


@dataclass(slots=True)
class LogLine:
    """A record as it is read. time_ns 0: the line does not say when it was written."""

    body: str
    time_ns: int = 0
    severity: int = UNSPECIFIED
    severity_text: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, str] = field(default_factory=dict)
    scope: str = ""
    trace_id: bytes = b""
    span_id: bytes = b""


def read_line(text: str, zone: tzinfo | None = None) -> LogLine:
    """The record in one line, whatever it holds. `zone` is that of times which name none."""
    fields = json_object(text)
    if fields is None:
        written = _LEADING_TIME.match(text)
        return LogLine(text, time_ns_of(written[1], zone) if written else 0, severity_of_line(text))
    return line_of_fields(text, fields, zone)


def json_object(text: str) -> dict[str, Any] | None:
    """What a line that is a JSON object holds; None for any other."""
    if not text.startswith("{") and not text.lstrip().startswith("{"):
        return None
    try:
        found = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def line_of_fields(text: str, fields: Mapping[str, Any], zone: tzinfo | None = None) -> LogLine:
    """The record of this text, which says these fields. The message stays in the body alone."""
    left = flat(fields)
    line = LogLine(text)
    _taken(left, BODIES, str)
    _take_time(line, left, zone)
    _take_severity(line, left)
    line.scope = _taken(left, SCOPES, str) or ""
    line.trace_id = _taken_id(left, TRACE_IDS, 16)
    line.span_id = _taken_id(left, SPAN_IDS, 8) if line.trace_id else b""
    _take_stack(line, left)
    crowded = len(left) > MAX_FIELDS
    for name, value in left.items():
        if name in OF_RESOURCE and isinstance(value, str):
            line.resource.setdefault(OF_RESOURCE[name], value)
        elif name in OF_RECORD:
            line.attributes.setdefault(OF_RECORD[name], value)
        elif not crowded:
            line.attributes[name] = value
    return line


def flat(fields: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested objects as names with dots between; what is null is left out."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and depth < MAX_DEPTH:
            found |= flat(value, f"{prefix}{name}.", depth + 1)
        elif value is not None:
            found[prefix + name] = value
    return found


def binary_id(text: object, size: int) -> bytes:
    """A trace or span id of `size` bytes out of its hexadecimal form; b'' when it is none, or all zero."""
    if not isinstance(text, str) or len(text) != 2 * size:
        return b""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if any(found) and len(found) == size else b""


def _taken(fields: dict[str, Any], names: tuple[str, ...], kind: type) -> Any:
    for name in names:
        if isinstance(fields.get(name), kind):
            return fields.pop(name)
    return None


def _taken_id(fields: dict[str, Any], names: tuple[str, ...], size: int) -> bytes:
    for name in names:
        if found := binary_id(fields.get(name), size):
            del fields[name]
            return found
    return b""


def _take_time(line: LogLine, fields: dict[str, Any], zone: tzinfo | None) -> None:
    for name in TIMES:
        if name in fields and (time_ns := time_ns_of(fields[name], zone)):
            line.time_ns = time_ns
            del fields[name]
            return


def _take_severity(line: LogLine, fields: dict[str, Any]) -> None:
    for name in LEVELS:
        value = fields.get(name)
        if isinstance(value, str):
            severity = severity_of_word(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            severity = severity_of_number(value, is_python=name == "levelno")
        else:
            continue
        if severity:
            line.severity, line.severity_text = severity, str(value)
            del fields[name]
            return


def _take_stack(line: LogLine, fields: dict[str, Any]) -> None:
    stack = _taken(fields, STACKS, str)
    if not stack:
        return
    if "\n" not in stack and "Traceback" not in stack:
        line.attributes["exception.message"] = stack
        return
    line.attributes["exception.stacktrace"] = stack
    for written in reversed(stack.rstrip().splitlines()):
        found = _LAST_OF_TRACEBACK.match(written)
        if found:
            line.attributes.setdefault("exception.type", found[1])
            line.attributes.setdefault("exception.message", found[2] or "")
            return
