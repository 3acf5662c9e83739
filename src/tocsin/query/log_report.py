"""Reports over log lines, of files or of the store: what is in each saved view, by what it is, for whom and since when.

One statement reads every line once. It groups what it finds by view, kind and shape, so that Python only sees groups;
`detect/patterns` then makes patterns of the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.model import log_line_fields as names
from tocsin.model.log_levels import least_number, level_named
from tocsin.model.log_shape import LONGEST, MASK, VALUE
from tocsin.model.log_views import BUILT_IN, NAME_FIELDS, LogView
from tocsin.query.log_view_sql import LogColumns, duration_sql, says_sql, telling, view_condition

COUNTED, UNREADABLE, UNDATED, OUTSIDE = 0, 1, 2, 3
"""What became of a line: it counts, is no JSON object, names no time, or is of another time or tenant."""

_SAID = (
    "trace", "verbose", "finest", "finer", "debug", "fine", "config", "info", "information", "informational", "notice",
    "success", "log", "warn", "warning", "error", "err", "severe", "exception", "fatal", "critical", "crit", "alert",
    "emergency", "emerg", "panic",
)  # fmt: skip
_WORDS = {word: least_number(level) for word in _SAID if (level := level_named(word))}
FILE_COLUMNS = LogColumns("message", "severity", "logger", "''", "fields", "is_telling")
EPOCH_MILLIS, EPOCH_MICROS, EPOCH_NANOS = 1e11, 1e14, 1e17


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """Lines that a report does not tell apart. views: the places of those asked for that they are in, as bits."""

    state: int
    views: int
    severity: int
    tenant: str
    error_type: str
    name: str
    place: str
    shape: str
    lines: int
    first_us: int
    last_us: int
    most_seconds: float
    sum_seconds: float
    example: str


def file_lines(source: str, zone: str) -> str:
    """SELECT of the lines of files of JSON objects. source: a table with the column `line`. zone: of stamps without."""
    time = f"replaceOne({_first_of(names.TIME)}, ',', '.')"
    number = "toFloat64OrNull(stamp)"
    scaled = (
        f"multiIf({number} < {EPOCH_MILLIS}, {number} * 1e6, {number} < {EPOCH_MICROS}, {number} * 1e3, "
        f"{number} < {EPOCH_NANOS}, {number}, {number} / 1e3)"
    )
    parsed = f"toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(stamp, 6, {_text(zone)}))"
    words, numbers = (", ".join(map(_said, part)) for part in (_WORDS, _WORDS.values()))
    said = "JSONExtract(line, 'Map(String, String)')"
    # Every condition walks over the fields: so they are cut down to those that some condition asks for.
    asked = ", ".join(map(_text, sorted(_asked_for())))
    is_readable = "notEmpty(all_fields) OR (isValidJSON(line) AND JSONType(line) = 'Object')"
    return (
        f"SELECT fields, NOT ({is_readable}) AS is_unreadable, {time} AS stamp, "
        f"if(isNull({number}), {parsed}, toInt64({scaled})) AS time_us, "
        f"transform(lower({_first_of(names.LEVEL)}), [{words}], [{numbers}], 0) AS severity, "
        f"{_message()} AS message, {_first_of(names.LOGGER)} AS logger, "
        f"{_first_of(names.TENANT)} AS tenant, "
        f"if(is_unreadable, substringUTF8(line, 1, 120), '') AS raw "
        f"FROM (SELECT line, {said} AS all_fields, mapFilter((k, v) -> k IN ({asked}), all_fields) AS fields "
        f"FROM {source} WHERE notEmpty(line))"
    )


def stored_lines(conditions: str) -> str:
    """SELECT of the lines of the store."""
    return (
        "SELECT attributes AS fields, 0 AS is_unreadable, toNullable(toUnixTimestamp64Micro(time)) AS time_us, "
        f"toInt8({LogColumns().severity}) AS severity, message, scope_name AS logger, event_name, tenant, "
        f"'' AS raw FROM logs WHERE {conditions}"
    )


STORED_COLUMNS = LogColumns("message", "severity", "logger", "event_name", "fields", "is_telling")


def report_sql(
    lines: str, columns: LogColumns, views: Sequence[LogView], since_us: int = 0, until_us: int = 0, tenant: str = ""
) -> str:
    """The groups of all lines; columns as in ReportGroup. since_us and until_us 0: whatever the time, named or not."""
    is_timed = bool(since_us or until_us)
    inside = f"time_us >= {since_us} AND time_us < {until_us or 2**62}" if is_timed else "1"
    inside += f" AND tenant = {_text(tenant)}" if tenant else ""
    state = (
        f"multiIf(is_unreadable, {UNREADABLE}, isNull(time_us) AND {int(is_timed)}, {UNDATED}, "
        f"ifNull({inside}, 0), {COUNTED}, {OUTSIDE})"
    )
    # Durations are columns of their own: inside a condition they would be worked out twice.
    took = {place: view.took for place, view in enumerate(views) if view.took}
    durations = "".join(f", {duration_sql(one, columns)} AS took{place}" for place, one in took.items())
    bits = [f"{1 << place} * ({_condition(view, place, columns)})" for place, view in enumerate(views)]
    mask = f"toUInt8(state = {COUNTED}) * ({' + '.join(bits) or '0'})"
    slow = [f"if(bitTest(views, {place}), took{place}, 0.)" for place in took]
    seconds = f"greatest({', '.join(slow)}, 0.)" if slow else "0."
    text = f"substringUTF8(substringIndex(message, '\\n', 1), 1, {LONGEST})"
    shape = f"replaceRegexpAll({text}, {_text(MASK)}, {_text(VALUE)})"
    name = _best_of(NAME_FIELDS)
    named = f"if({columns.event_name} != '', {columns.event_name}, {name})"
    place = f"trim(concat({_best_of(names.METHOD)}, ' ', {_best_of(names.PLACE)}))"
    keys = {
        "error_type": _best_of(names.ERROR_TYPE), "name": f"substringUTF8({named}, 1, 120)",
        "place": f"substringUTF8({place}, 1, 200)", "shape": shape,
    }  # fmt: skip
    told = ", ".join(f"if(views != 0, {sql}, '') AS {key}" for key, sql in keys.items())
    return (
        f"SELECT state, views, severity, tenant, error_type, name, place, shape, count() AS lines, "
        f"ifNull(min(time_us), 0) AS first_us, ifNull(max(time_us), 0) AS last_us, max(took) AS most_seconds, "
        f"sum(took) AS sum_seconds, argMax(shown, took) AS example "
        f"FROM (SELECT *, {told}, {seconds} AS took, if(views != 0, substringUTF8(message, 1, 300), raw) AS shown "
        f"FROM (SELECT *, {mask} AS views FROM (SELECT *, {state} AS state{durations} "
        f"FROM (SELECT *, {telling(views, columns)} AS is_telling FROM ({lines}))))) "
        "GROUP BY state, views, severity, tenant, error_type, name, place, shape"
    )


def _condition(view: LogView, place: int, columns: LogColumns) -> str:
    if view.took is None:
        return view_condition(view, columns)
    says = says_sql(view.took, columns)
    slow = f"if(took{place} < 0, {says}, took{place} >= {view.took.threshold_seconds!r})"
    others = replace(view, took=None)
    has_others = others.least_severity or others.unlevelled_fields or others.text or others.loggers or others.names
    return f"{slow} OR {view_condition(others, columns)}" if has_others else slow


def _asked_for() -> set[str]:
    found = {*names.ERROR_TYPE, *names.PLACE, *names.METHOD}
    for view in BUILT_IN.values():
        found |= {*view.unlevelled_fields, *(view.name_fields if view.names else ())}
        if view.took:
            found |= {*view.took.own, *view.took.shared, *view.took.beside}
    return found


def _first_of(fields: Sequence[str]) -> str:
    """The value of the first field of the line that bears one of these names: one walk over the fields it has."""
    named = ", ".join(map(_text, fields))
    return f"arrayFirst((v, k) -> k IN ({named}) AND v != '', mapValues(all_fields), mapKeys(all_fields))"


def _message() -> str:
    """The value of the first of its names that the line has: nearly always that of the very first."""
    cases = ", ".join(f"all_fields[{_text(name)}] != '', all_fields[{_text(name)}]" for name in names.MESSAGE)
    return f"multiIf({cases}, '')"


def _best_of(fields: Sequence[str]) -> str:
    """The value of the first of these names that the line has: one walk over its fields, of which few are left."""
    named = ", ".join(map(_text, fields))
    there = f"mapFilter((k, v) -> k IN ({named}) AND v != '', fields)"
    return f"arrayElement(arraySort((v, k) -> indexOf([{named}], k), mapValues({there}), mapKeys({there})), 1)"


def _said(value: str | int) -> str:
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
