"""Which log lines are asked for, and the condition that says so to the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.model.log_levels import LEVELS, UNKNOWN, level_named
from tocsin.model.log_views import LogView
from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import START, seconds_text, within
from tocsin.query.log_line_filters import longest_part
from tocsin.query.log_view_sql import view_condition
from tocsin.query.log_words import LEVEL_NAMES, NOTHING, FieldTest, LogQueryError, SearchText, Words
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

COLUMNS = {
    "service": "service", "service_name": "service", "service.name": "service", "job": "service", "app": "service",
    "tenant": "tenant", "tocsin.tenant": "tenant",
    "environment": "environment", "env": "environment", "deployment.environment.name": "environment",
    "release": "release", "service.version": "release",
    "logger": "scope_name", "logger.name": "scope_name",
    "event": "event_name", "event_name": "event_name", "event.name": "event_name",
}  # fmt: skip
"""What a search calls a column; every other name is an attribute of the line or of what sent it."""
_COUNTED = ("service", "tenant", "environment", "release")
ID_NAMES = {"trace": "trace_id", "trace_id": "trace_id", "span": "span_id", "span_id": "span_id"}
_ID_BYTES = {"trace_id": 16, "span_id": 8}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Lines that fit all of this; None leaves a condition out. least_level: one of LEVELS, or '' for any and none.
    route: only lines of the requests of an endpoint, with its method."""

    window: Window
    environment: str | None = None
    tenant: str | None = None
    service: str | None = None
    services: tuple[str, ...] = ()  # any of them
    least_level: str = ""
    text: SearchText = NOTHING
    trace_ids: tuple[str, ...] = ()
    view: LogView | None = None
    method: str | None = None
    route: str | None = None
    resource_names: frozenset[str] | None = None  # what senders say of themselves, as `placed` finds it; None: anything

    def narrowed(self, scope: Scope) -> Scope:
        return scope.narrowed_to(self.tenant)

    @property
    def counts_suffice(self) -> bool:
        """Whether the counts of lines by service, tenant, environment, release and level can answer for them."""
        is_counted = all(test.name in LEVEL_NAMES or COLUMNS.get(test.name) in _COUNTED for test in self.text.fields)
        return is_counted and not (self.text.words or self.trace_ids or self.view or self.route is not None)

    def within(self, window: Window) -> LogQuery:
        return replace(self, window=window)

    def condition(self) -> tuple[str, dict[str, Value]]:
        """The WHERE condition over the table `logs`, and the values it refers to. Raises LogQueryError."""
        parts = [within("time")]
        values: dict[str, Value] = {
            "start": seconds_text(self.window.start_ns),
            "end": seconds_text(self.window.end_ns),
        }
        for name in ("environment", "service"):
            if (value := getattr(self, name)) is not None:
                parts.append(f"{name} = {{{name}:String}}")
                values[name] = value
        if self.services:
            parts.append("service IN {services:Array(String)}")
            values["services"] = list(self.services)
        if self.least_level:
            parts.append(_levels_condition(_compared(level_asked(self.least_level), ">=")))
        if self.trace_ids:
            parts.append(f"({' OR '.join(_id_condition('trace_id', one) for one in self.trace_ids)})")
        if self.route is not None:
            # A line says its endpoint itself, or its request's span does.
            parts.append(_of_endpoint())
            values |= {"route": self.route, "method": self.method or ""}
        for place, words in enumerate(self.text.words):
            parts.append(_words_condition(words, f"w{place}", values))
        for place, test in enumerate(self.text.fields):
            parts.append(_field_condition(test, f"f{place}", values, self.resource_names))
        if self.view is not None:
            parts.append(view_condition(self.view))
        return " AND ".join(parts), values


def placed(store: TelemetryStore, scope: Scope, query: LogQuery) -> LogQuery:
    """The query with the names of what senders say of themselves, where it tests a field that might be one: the index
    over the values of lines answers only where nothing else has to be looked at."""
    if query.resource_names is not None or all(_is_column(test.name) for test in query.text.fields):
        return query
    sql = (
        "SELECT DISTINCT arrayJoin(mapKeys(resource)) FROM log_streams "
        "WHERE day >= toDate({start:DateTime64(9)}) AND day <= toDate({end:DateTime64(9)})"
    )
    start, end = seconds_text(query.window.start_ns), seconds_text(query.window.end_ns)
    rows = store.read(query.narrowed(scope), sql, start=start, end=end).rows
    return replace(query, resource_names=frozenset(name for (name,) in rows))


def _is_column(name: str) -> bool:
    return name in LEVEL_NAMES or name in ID_NAMES or name in COLUMNS


def _of_endpoint() -> str:
    spans = (
        "SELECT trace_id FROM spans WHERE route = {route:String} AND method = {method:String} "
        f"AND {within('start', f'{START} - INTERVAL 10 MINUTE')}"
    )
    own = "(attributes['http.route'] = {route:String} AND attributes['http.request.method'] IN ('', {method:String}))"
    return f"({own} OR trace_id IN ({spans}))"


def _words_condition(words: Words, name: str, values: dict[str, Value]) -> str:
    """The index over the message's words answers ILIKE for one word of letters and digits without a k, so what has
    others in it also asks for the longest part of one."""
    values[name] = words.text
    values[f"{name}l"] = f"%{_like(words.text)}%"
    found = f"body ILIKE {{{name}l:String}}"
    longest = longest_part(words.text)
    if longest and longest != words.text:
        values[f"{name}i"] = f"%{longest}%"
        found = f"(body ILIKE {{{name}i:String}} AND {found})"
    found = f"({found} OR has(mapValues(attributes), {{{name}:String}}))"
    return f"NOT {found}" if words.is_excluded else found


def _field_condition(test: FieldTest, name: str, values: dict[str, Value], senders: frozenset[str] | None) -> str:
    if test.name in LEVEL_NAMES:
        found = _level_condition(test)
    elif test.name in ID_NAMES:
        column = ID_NAMES[test.name]
        is_set = f"{column} != toFixedString('', {_ID_BYTES[column]})"
        found = is_set if test.sign == "*" else _id_condition(column, test.value)
    else:
        values[f"{name}k"] = test.name
        held = [f"attributes[{{{name}k:String}}]"]
        if senders is None or test.name in senders:
            held.append(f"resource[{{{name}k:String}}]")
        if test.name in COLUMNS:
            held = [COLUMNS[test.name], *(held[:1] if COLUMNS[test.name] == "event_name" else [])]
        found = " OR ".join(_value_condition(test, column, name, values) for column in held)
    return f"NOT ({found})" if test.is_excluded else f"({found})"


def _value_condition(test: FieldTest, column: str, name: str, values: dict[str, Value]) -> str:
    if test.sign == "*":
        return f"{column} != ''"
    if test.sign == "~":
        values[name] = "%".join(_like(part) for part in test.value.split("*"))
        return f"{column} ILIKE {{{name}:String}}"
    if test.sign != "=":
        return f"ifNull(toFloat64OrNull({column}) {test.sign} {float(test.value)!r}, 0)"
    values[name] = test.value
    return f"{column} = {{{name}:String}}"


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _level_condition(test: FieldTest) -> str:
    if test.sign == "*":
        return "level != ''"
    if test.value.lower() == UNKNOWN and test.sign == "=":
        return "level = ''"
    return _levels_condition(_compared(level_asked(test.value), test.sign))


def _compared(level: str, sign: str) -> tuple[str, ...]:
    place = LEVELS.index(level)
    parts = {">=": LEVELS[place:], ">": LEVELS[place + 1 :], "<=": LEVELS[: place + 1], "<": LEVELS[:place]}
    return parts.get(sign, (level,))


def _levels_condition(levels: Sequence[str]) -> str:
    names = ", ".join(f"'{level}'" for level in levels)
    return f"level IN ({names})" if names else "0"


def level_asked(word: str) -> str:
    """The level a word means. Raises LogQueryError for a word that means none."""
    level = level_named(word)
    if level is None:
        raise LogQueryError(f"cannot search for level '{word[:40]}': write one of {', '.join(LEVELS)}")
    return level


def _id_condition(column: str, text: str) -> str:
    digits = _ID_BYTES[column] * 2
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text):
        raise LogQueryError(f"cannot search for {column} '{text[:64]}': it is {digits} hexadecimal digits")
    return f"{column} = toFixedString(unhex('{text.lower()}'), {_ID_BYTES[column]})"
