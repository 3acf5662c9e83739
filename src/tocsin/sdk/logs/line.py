"""One line of the log on its way out, and how it becomes OTLP.

Source of the field numbers: opentelemetry-proto, logs.proto; of the attributes: OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.sdk.encode import CACHE_ENTRIES, AttributeCache, any_value, delimited, export_request, instrumentation_scope
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.errors import CapturedError, stack_text, tail
from tocsin.sdk.guard import guarded
from tocsin.sdk.logs.whose import NOBODY, Whose

if TYPE_CHECKING:
    from tocsin.sdk.redaction import Redactor

_RECORD = b"\x12"  # ScopeLogs.log_records
_pack_times = struct.Struct("<BQBQ").pack
_TIME, _OBSERVED = 0x09, 0x59
_NAME_CHARACTERS = 200
_UNNAMED = "root"


# Where in the code it was logged: path, line, function, and the thread. A plain tuple, as each line makes one.
Site = tuple[str, int, str, str]


class LogLine(NamedTuple):
    """time_ns: since 1970. severity: OTLP's number; level: its name where it was logged. fields: what the app added,
    values of plain kinds. stack: text. left_out: equal lines before this one that the limiter kept back."""

    time_ns: int
    logger: str
    severity: int
    level: str
    body: str
    site: Site
    whose: Whose = NOBODY
    fields: Mapping[str, Any] | None = None
    error: CapturedError | None = None
    stack: str = ""
    left_out: int = 0


class LineEncoder:
    """Encodes lines without what is secret in them; used by one thread at a time."""

    def __init__(self, resource_field: bytes, redactor: Redactor, most_fields: int, characters: int) -> None:
        self._resource_field = resource_field
        self._redactor = redactor
        self._most_fields, self._characters = most_fields, characters
        self._attributes = AttributeCache(b"\x32")
        self._levels: dict[tuple[int, str], bytes] = {}
        self._sites: dict[Site, bytes] = {}

    def encode_request(self, lines: list[LogLine]) -> bytes:
        """One ExportLogsServiceRequest, a scope for each logger."""
        observed_ns = time.time_ns()
        by_logger: dict[str, list[bytes]] = {}
        for line in lines:
            if body := self.encode_line(line, observed_ns):
                by_logger.setdefault(line.logger, []).append(delimited(_RECORD, body))
        scopes = [(instrumentation_scope(name or _UNNAMED, ""), fields) for name, fields in by_logger.items()]
        return export_request(self._resource_field, scopes)

    @guarded(b"")
    def encode_line(self, line: LogLine, observed_ns: int) -> bytes:
        """The content of a LogRecord message."""
        site = self._sites.get(line.site)
        level = self._levels.get((line.severity, line.level))
        parts = [
            _pack_times(_TIME, line.time_ns, _OBSERVED, observed_ns),
            level if level is not None else self._keep_level(line.severity, line.level),
            delimited(b"\x2a", any_value(self._text(line.body))),
            site if site is not None else self._keep_site(line.site),
        ]
        if line.whose is not NOBODY:
            self._add_whose(line.whose, parts)
        if line.fields:
            self._add_fields(line.fields, parts)
        if line.error is not None:
            self._add_error(line.error, parts)
        if line.stack:
            parts.append(self._attributes.encode("code.stacktrace", self._text(line.stack)))
        if line.left_out:
            parts.append(self._attributes.encode("tocsin.log.left_out", line.left_out))
        return b"".join(parts)

    def _text(self, text: str) -> str:
        return self._redactor.cut(text, self._characters)

    def _keep_level(self, severity: int, level: str) -> bytes:
        if len(self._levels) >= CACHE_ENTRIES:
            self._levels.clear()
        part = b"\x10" + bytes((severity,)) + (delimited(b"\x1a", utf8(level)) if level else b"")
        self._levels[severity, level] = part
        return part

    def _keep_site(self, site: Site) -> bytes:
        if len(self._sites) >= CACHE_ENTRIES:
            self._sites.clear()
        part = self._sites[site] = self._attributes.encode_all(_site_attributes(site))
        return part

    def _add_whose(self, whose: Whose, parts: list[bytes]) -> None:
        encode = self._attributes.encode
        if whose.trace_id:
            parts.append(delimited(b"\x4a", whose.trace_id))
            if whose.span_id:
                parts.append(delimited(b"\x52", whose.span_id))
        if whose.work is None:
            return
        if tenant := whose.tenant:
            parts.append(encode("tocsin.tenant", tenant))
        if user_id := whose.user_id:
            parts.append(encode("enduser.id", user_id))
        request_id, correlation_id = whose.ids()
        if request_id:
            parts.append(encode("request.id", request_id))
        if correlation_id and correlation_id != whose.trace_id.hex():
            parts.append(encode("correlation.id", correlation_id))

    def _add_fields(self, fields: Mapping[str, Any], parts: list[bytes]) -> None:
        for number, (name, value) in enumerate(fields.items()):
            if number >= self._most_fields:
                parts.append(b"\x38" + bytes((min(127, len(fields) - number),)))  # dropped_attributes_count
                return
            shown = self._redactor.value(name, value)
            shown = shown[: self._characters] if type(shown) is str else shown
            parts.append(self._attributes.encode(name[:_NAME_CHARACTERS], shown))

    def _add_error(self, error: CapturedError, parts: list[bytes]) -> None:
        encode = self._attributes.encode
        parts += (
            encode("exception.type", error.type_name),
            encode("exception.message", self._text(error.message)),
            encode("exception.stacktrace", self._redactor.text(stack_text(error))),
        )


def _site_attributes(site: Site) -> dict[str, Any]:
    path, line, function, thread = site
    facts = {
        "code.file.path": tail(path) if path else "",
        "code.line.number": line,
        "code.function.name": function,
        "thread.name": thread,
    }
    return {name: value for name, value in facts.items() if value}
