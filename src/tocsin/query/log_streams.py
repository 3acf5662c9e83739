"""Which streams, labels and values there are, and how much was logged: answered from the rollups, without the lines.

Streams are kept by the day with their first and last line, counts by the minute: both hold for what a window touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from tocsin.query.log_labels import ALIASES, COLUMNS, LogLabels, Parameters, days
from tocsin.query.log_source import LogSource, window_sql
from tocsin.query.logql.errors import LimitError
from tocsin.query.promql.matchers import Matcher
from tocsin.query.promql.source import Labels

MOST_VALUES = 10_000
MOST_STREAMS = 10_000
MINUTE_NS = 60 * 10**9
HOURS_FROM_NS = 3 * 86_400 * 10**9
"""Windows of this length and more are counted by the hour."""

Selector = Sequence[Matcher]


@dataclass(frozen=True, slots=True)
class Volume:
    """Lines and bytes of bodies under one set of labels."""

    labels: Labels
    lines: int
    bytes: int


def label_names(source: LogSource, selectors: Sequence[Selector], start_ns: int, end_ns: int) -> list[str]:
    labels = source.labels(start_ns, end_ns)
    found: set[str] = set()
    for selector in selectors or [()]:
        found.update(*(stream.keys() for stream in _streams(source, labels, selector, start_ns, end_ns)))
        if _values(source, labels, "level", selector, start_ns, end_ns):
            found.add("level")
    return sorted(found)


def label_values(source: LogSource, name: str, selectors: Sequence[Selector], start_ns: int, end_ns: int) -> list[str]:
    """Sorted; none for a label that no stream has."""
    labels = source.labels(start_ns, end_ns)
    if not labels.is_of_stream(name):
        return []
    found: set[str] = set()
    for selector in selectors or [()]:
        found.update(_values(source, labels, name, selector, start_ns, end_ns))
    return sorted(found)


def series(source: LogSource, selectors: Sequence[Selector], start_ns: int, end_ns: int) -> list[Labels]:
    """The labels of each stream, but its levels. Raises LimitError."""
    labels = source.labels(start_ns, end_ns)
    found: dict[tuple[tuple[str, str], ...], Labels] = {}
    for selector in selectors or [()]:
        for stream in _streams(source, labels, selector, start_ns, end_ns):
            found[tuple(sorted(stream.items()))] = stream
    return [found[key] for key in sorted(found)]


def volumes(
    source: LogSource, selector: Selector, by: Sequence[str], start_ns: int, end_ns: int, most: int
) -> list[Volume]:
    """How much was logged by these labels, most bytes first."""
    labels, parameters = source.labels(start_ns, end_ns), Parameters()
    if is_of_columns([*(matcher.name for matcher in selector), *by], labels):
        table, lines, amount = _counts_of(start_ns, end_ns), "sum(lines)", "sum(bytes)"
        window = minutes_sql(parameters, start_ns, end_ns)
    else:
        table, lines, amount = "logs", "count()", "sum(length(body))"
        window = window_sql(parameters, start_ns, end_ns)
    keys = [labels.stream_sql(name, parameters) for name in by]
    named = "".join(f"toValidUTF8(CAST({sql}, 'String')) AS k{at}, " for at, sql in enumerate(keys))
    sql = (
        f"SELECT {named}{lines} AS total, {amount} AS amount FROM {table} WHERE {window} AND "
        f"{selected_sql(labels, selector, parameters)} "
        f"GROUP BY {', '.join(f'k{at}' for at in range(len(keys))) or 'tuple()'} ORDER BY amount DESC "
        f"LIMIT {parameters.integer(max(1, min(most, MOST_VALUES)))}"
    )
    rows = source.store.read(source.scope, sql, **parameters.values).rows
    return [
        Volume({name: value for name, value in zip(by, row, strict=False) if value}, int(row[-2]), int(row[-1]))
        for row in rows
        if int(row[-2])
    ]


def stream_count(source: LogSource, selector: Selector, start_ns: int, end_ns: int) -> int:
    return len(_streams(source, source.labels(start_ns, end_ns), selector, start_ns, end_ns))


def _streams(source: LogSource, labels: LogLabels, selector: Selector, start_ns: int, end_ns: int) -> list[Labels]:
    """Without their levels, of which a stream may have several; a matcher on the level is left out for the same."""
    parameters = Parameters()
    stored = [matcher for matcher in selector if not _is_level(matcher.name, labels)]
    sql = (
        "SELECT service, tenant, environment, release, toValidUTF8(toJSONString(any(resource))) FROM log_streams "
        f"WHERE day BETWEEN toDate({{first:Int32}}) AND toDate({{last:Int32}}) AND "
        f"{selected_sql(labels, stored, parameters)} GROUP BY service, tenant, environment, release, id "
        f"HAVING max(last) >= fromUnixTimestamp64Nano({parameters.integer(start_ns)}, 'UTC') "
        f"AND min(first) < fromUnixTimestamp64Nano({parameters.integer(end_ns)}, 'UTC') LIMIT {MOST_STREAMS + 1}"
    )
    rows = source.store.read(source.scope, sql, **parameters.values, **days(start_ns, end_ns)).rows
    if len(rows) > MOST_STREAMS:
        raise LimitError(f"more than {MOST_STREAMS} streams match; add labels to the selector or shorten the range")
    return [_stream(labels, row[:4], row[4]) for row in rows]


def _stream(labels: LogLabels, columns: Sequence[str], resource: str) -> Labels:
    named = dict(zip(("service_name", "tenant", "environment", "release"), columns, strict=True))
    own: Mapping[str, str] = orjson.loads(resource)
    return {name: value for name, value in (labels.resource_labels(own) | named).items() if value}


def _values(
    source: LogSource, labels: LogLabels, name: str, selector: Selector, start_ns: int, end_ns: int
) -> list[str]:
    parameters = Parameters()
    if is_of_columns([name, *(matcher.name for matcher in selector)], labels):
        table, window = _counts_of(start_ns, end_ns), minutes_sql(parameters, start_ns, end_ns)
    elif _is_level(name, labels):
        table, window = _counts_of(start_ns, end_ns), minutes_sql(parameters, start_ns, end_ns)
        selector = [matcher for matcher in selector if is_of_columns([matcher.name], labels)]
    else:
        table = "log_streams"
        window = (
            "day BETWEEN toDate({first:Int32}) AND toDate({last:Int32}) "
            f"AND last >= fromUnixTimestamp64Nano({parameters.integer(start_ns)}, 'UTC') "
            f"AND first < fromUnixTimestamp64Nano({parameters.integer(end_ns)}, 'UTC')"
        )
        selector = [matcher for matcher in selector if not _is_level(matcher.name, labels)]
    sql = (
        f"SELECT DISTINCT toValidUTF8(CAST({labels.stream_sql(name, parameters)}, 'String')) AS value FROM {table} "
        f"WHERE {window} AND {selected_sql(labels, selector, parameters)} AND value != '' LIMIT {MOST_VALUES}"
    )
    window_days = days(start_ns, end_ns) if table == "log_streams" else {}
    return [str(row[0]) for row in source.store.read(source.scope, sql, **parameters.values, **window_days).rows]


def selected_sql(labels: LogLabels, selector: Selector, parameters: Parameters) -> str:
    return " AND ".join(f"({labels.matcher_sql(matcher, parameters)})" for matcher in selector) or "1"


def _is_level(name: str, labels: LogLabels) -> bool:
    return name == "level" or (ALIASES.get(name) == "level" and name not in labels.resource)


def is_of_columns(names: Sequence[str], labels: LogLabels) -> bool:
    return all((name in COLUMNS or name in ALIASES) and name not in labels.resource for name in names)


def _counts_of(start_ns: int, end_ns: int) -> str:
    return "logs_1h" if end_ns - start_ns >= HOURS_FROM_NS else "logs_1m"


def minutes_sql(parameters: Parameters, start_ns: int, end_ns: int) -> str:
    """The minutes, or hours, that a window touches."""
    grain = "toStartOfHour" if end_ns - start_ns >= HOURS_FROM_NS else "toStartOfMinute"
    start, end = parameters.integer(max(0, start_ns) // 10**9), parameters.integer(max(0, end_ns - 1) // 10**9)
    return f"time >= {grain}(toDateTime({start}, 'UTC')) AND time <= toDateTime({end}, 'UTC')"
