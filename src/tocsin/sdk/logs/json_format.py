"""Records as lines of JSON under the names of python-json-logger 2.0.7, with whose they are and without secrets.

Source of the names and of how `extra`, dictionaries as messages, `exc_info`, `stack_info` and renaming are treated:
python-json-logger's documentation; `tests/sdk/logs/test_json_format.py` holds both side by side.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from datetime import time as clock_time
from itertools import islice
from json import encoder as json_encoder
from typing import Any, Literal

from tocsin.sdk.agents import current_agent
from tocsin.sdk.guard import outcome
from tocsin.sdk.logs.output import WHOSE
from tocsin.sdk.logs.recorder import STANDARD, STANDARD_FIELDS, plain
from tocsin.sdk.logs.whose import NOBODY, Whose, whose
from tocsin.sdk.redaction import Redactor

RESERVED = (
    "args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "levelname", "levelno", "lineno",
    "module", "msecs", "message", "msg", "name", "pathname", "process", "processName", "relativeCreated", "stack_info",
    "taskName", "thread", "threadName",
)  # fmt: skip
FIELDS = "%(levelname)s %(name)s %(message)s"
_DIALECTS = {"%": re.compile(r"%\((.+?)\)"), "{": re.compile(r"\{(.+?)\}"), "$": re.compile(r"\$\{(.+?)\}")}
_PLAIN = frozenset({str, int, float, bool, type(None)})
_NUMBERS = frozenset({int, float, bool, type(None)})
# The smallest number that may be a card's.
_CARD = 10**12


class JsonFormatter(logging.Formatter):
    """Takes the place of `pythonjsonlogger.jsonlogger.JsonFormatter`, with the same arguments.

    with_context: whether trace, request, tenant and user are added. redactor: None for that of the settings.
    """

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        validate: bool = True,
        *,
        json_default: Callable[[Any], Any] | None = None,
        json_indent: int | None = None,
        json_ensure_ascii: bool = True,
        prefix: str = "",
        rename_fields: Mapping[str, str] | None = None,
        static_fields: Mapping[str, Any] | None = None,
        reserved_attrs: Iterable[str] = RESERVED,
        timestamp: bool | str = False,
        with_context: bool = True,
        redactor: Redactor | None = None,
    ) -> None:
        super().__init__(fmt, datefmt, style, validate and fmt is not None and style == "%")
        self._required = list(dict.fromkeys(_DIALECTS[style].findall(self._fmt or "")))
        self._skipped = frozenset({*self._required, *reserved_attrs, WHOSE})
        # Nobody wants to see what every record has beyond what the format names.
        self._is_usual = self._skipped | {"taskName"} >= STANDARD
        self._rename = dict(rename_fields or {})
        self._static = dict(static_fields or {})
        self._timestamp = timestamp if isinstance(timestamp, str) else "timestamp" if timestamp else ""
        self._prefix, self._default = prefix, json_default
        self._with_context, self._redactor = with_context, redactor
        self._encode = _encoder(json_ensure_ascii, json_indent)
        self._second, self._second_text = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        redactor = self._redactor or self._redactor_of_settings()
        fields = self._fields(record, redactor)
        if self._with_context:
            self._add_whose(fields, record.__dict__.get(WHOSE))
        if self._timestamp:
            fields[self._timestamp] = self._time_text(record.created)
        for old, new in self._rename.items():
            if old in fields:
                fields[new] = fields.pop(old)
        return self._prefix + self._encode(fields)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return super().formatTime(record, datefmt)

    def _redactor_of_settings(self) -> Redactor:
        agent = current_agent()
        if agent is None:
            return Redactor()
        self._redactor = agent.redactor
        if agent.settings.service != "unknown_service":
            self._static.setdefault("service", agent.settings.service)
        return agent.redactor

    def _fields(self, record: logging.LogRecord, redactor: Redactor) -> dict[str, Any]:
        message = record.msg
        said: dict[str, Any] = {}
        if isinstance(message, dict):
            said, text = dict(message), ""
        else:
            text = message if type(message) is str and not record.args else record.getMessage()
        attributes = record.__dict__
        fields: dict[str, Any] = {}
        for name in self._required:
            if name == "message":
                fields[name] = redactor.text(text)
            elif name == "asctime":
                fields[name] = self.formatTime(record, self.datefmt)
            elif name in STANDARD:
                fields[name] = attributes.get(name)
            else:
                fields[name] = self._shown(name, attributes.get(name), redactor)
        fields.update(self._static)
        for name, value in said.items():
            fields[str(name)] = self._shown(str(name), value, redactor)
        self._add_error(fields, record, said, redactor)
        if len(attributes) > STANDARD_FIELDS or not self._is_usual:
            self._add_extras(fields, attributes, redactor)
        return fields

    def _add_extras(self, fields: dict[str, Any], attributes: Mapping[str, Any], redactor: Redactor) -> None:
        # The app's stand behind what every record is made with.
        items = islice(attributes.items(), STANDARD_FIELDS, None) if self._is_usual else attributes.items()
        for name, value in items:
            if name not in self._skipped and not str(name).startswith("_"):
                kind = type(value)
                if kind in _NUMBERS and not redactor.is_secret(name):
                    fields[name] = redactor.value(name, value) if kind is int and value > _CARD else value
                else:
                    fields[str(name)] = self._shown(str(name), value, redactor)

    def _add_error(
        self, fields: dict[str, Any], record: logging.LogRecord, said: Mapping[str, Any], redactor: Redactor
    ) -> None:
        if record.exc_info and not said.get("exc_info"):
            fields["exc_info"] = redactor.text(self.formatException(record.exc_info))
            kind = record.exc_info[0]
            if kind is not None and self._with_context:
                fields["error_type"] = kind.__name__
        elif record.exc_text and not said.get("exc_info"):
            fields["exc_info"] = redactor.text(record.exc_text)
        if record.stack_info and not said.get("stack_info"):
            fields["stack_info"] = redactor.text(self.formatStack(record.stack_info))

    def _shown(self, name: str, value: Any, redactor: Redactor) -> Any:
        if type(value) not in _PLAIN:
            value = self._made_plain(value)
        return redactor.value(name, value)

    def _made_plain(self, value: Any) -> Any:
        if isinstance(value, datetime | date | clock_time):
            return value.isoformat()
        if isinstance(value, BaseException) or type(value) is type:
            return str(value)
        if self._default is not None and not isinstance(value, Mapping | list | tuple):
            made = outcome(lambda: self._default(value) if self._default is not None else None)
            return plain(value) if isinstance(made, Exception) else plain(made)
        return plain(value)

    def _add_whose(self, fields: dict[str, Any], of: Whose | None) -> None:
        of = of or whose()
        if of is NOBODY:
            return
        request_id, correlation_id = of.ids()
        for name, value in (
            ("trace_id", of.trace_id.hex()), ("span_id", of.span_id.hex()), ("request_id", request_id),
            ("correlation_id", correlation_id), ("tenant", of.tenant), ("user_id", of.user_id),
        ):  # fmt: skip
            if value and name not in fields:
                fields[name] = value

    def _time_text(self, created: float) -> str:
        """ISO 8601 in UTC with microseconds; only these change within a second."""
        # As `datetime.fromtimestamp` rounds.
        second = int(created)
        micros = round((created - second) * 1e6)
        if micros == 1_000_000:
            second, micros = second + 1, 0
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._second_text}.{micros:06d}+00:00"


def _encoder(ensure_ascii: bool, indent: int | None) -> Callable[[dict[str, Any]], str]:
    """`json.dumps` with its encoder made once, which costs as much as encoding a line."""
    make = json_encoder.c_make_encoder  # type: ignore[attr-defined]  # the stubs lack it; None where there is no C
    if indent is not None or make is None:
        return json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, default=str).encode
    text = json_encoder.encode_basestring_ascii if ensure_ascii else json_encoder.encode_basestring
    encode = make(None, str, text, None, ": ", ", ", False, False, True)

    def dump(fields: dict[str, Any]) -> str:
        return "".join(encode(fields, 0))

    return dump
