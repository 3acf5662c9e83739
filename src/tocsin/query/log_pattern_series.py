"""How many lines each pattern had over time, of the streams that a LogQL selector selects.

Answered from the counts by the minute or hour where the selector names columns of theirs, else from the lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.log_labels import Parameters
from tocsin.query.log_patterns import INTO, MAPPED, histories_of, templates_of
from tocsin.query.log_source import LogSource, window_sql
from tocsin.query.log_streams import HOURS_FROM_NS, Selector, is_of_columns, minutes_sql, selected_sql
from tocsin.query.logql.line_pattern import filter_pattern

ANY = "<_>"
MOST_PATTERNS = 1_000

# What a line says in angle brackets itself would be a name of something to capture.
_VALUE = re.compile(r"<(?:\*|[A-Za-z_][A-Za-z0-9_]*)>")
_TOUCHING = re.compile(rf"(?:{ANY}){{2,}}")


@dataclass(frozen=True, slots=True)
class PatternSeries:
    """Lines of a pattern and level: counts by the unix second at which their step starts, those without lines left out.

    pattern can be used in `|>` and finds the lines that it stands for.
    """

    pattern: str
    level: str
    samples: list[tuple[int, int]]


def pattern_series(
    source: LogSource, selector: Selector, start_ns: int, end_ns: int, step_seconds: float, most: int = MOST_PATTERNS
) -> list[PatternSeries]:
    """Most lines first. Steps are whole minutes, or hours of windows from three days on."""
    rows = _counted(source, selector, start_ns, end_ns, step_seconds, most)
    keys = list(dict.fromkeys((str(row["service"]), int(row["id"])) for row in rows))
    templates = templates_of(source.store, keys)
    window = Filter(Window(max(0, start_ns), max(start_ns + 1, end_ns)))
    known = histories_of(source.store, source.scope, window, keys)
    found: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        pattern = _text(row, templates, known)
        if not pattern:
            continue
        counts = found.setdefault((pattern, str(row["level"])), {})
        for at, lines in zip(*row["course"], strict=True):
            counts[int(at)] = counts.get(int(at), 0) + int(lines)
    return [PatternSeries(pattern, level, sorted(counts.items())) for (pattern, level), counts in found.items()]


def _counted(
    source: LogSource, selector: Selector, start_ns: int, end_ns: int, step_seconds: float, most: int
) -> list[dict[str, Any]]:
    labels, parameters = source.labels(start_ns, end_ns), Parameters()
    is_hourly = end_ns - start_ns >= HOURS_FROM_NS
    grain = 3600 if is_hourly else 60
    step = parameters.integer(max(grain, -(-int(step_seconds) // grain) * grain))
    if is_of_columns([matcher.name for matcher in selector], labels):
        table, lines = "log_shapes_1h" if is_hourly else "log_shapes_1m", "sum(c.lines)"
        window = minutes_sql(parameters, start_ns, end_ns)
    else:
        table, lines, window = "logs", "count()", window_sql(parameters, start_ns, end_ns)
    of_shape = (
        f"SELECT service, shape, toString(level) AS level, intDiv(toUnixTimestamp(time), {step}) * {step} AS at, "
        f"{lines} AS lines FROM {table} AS c WHERE {window} AND shape != 0 AND "
        f"{selected_sql(labels, selector, parameters)} GROUP BY service, shape, level, at"
    )
    mapped = f"SELECT c.*, if(m.pattern = 0, c.shape, m.pattern) AS mapped FROM ({of_shape}) AS c {MAPPED}"
    resolved = f"SELECT x.*, if(a.into = 0, x.mapped, a.into) AS pattern FROM ({mapped}) AS x {INTO}"
    sql = (
        "SELECT service, pattern AS id, level, sumMap([r.at], [r.lines]) AS course, sum(r.lines) AS total "
        f"FROM ({resolved}) AS r GROUP BY service, pattern, level "
        f"ORDER BY total DESC, service, id, level LIMIT {parameters.integer(most)}"
    )
    return source.store.read(source.scope, sql, **parameters.values).dicts()


def _text(
    row: Mapping[str, Any], templates: Mapping[tuple[str, int], str], known: Mapping[tuple[str, int], Mapping[str, Any]]
) -> str:
    """'' for a line that nobody has looked at yet, within the second."""
    key = (str(row["service"]), int(row["id"]))
    template = templates.get(key, "")
    if not template:
        return ""
    history = known.get(key, {})
    return line_filter_of(template, str(history.get("example", "")), is_field=bool(history.get("is_field")))


def line_filter_of(template: str, example: str, *, is_field: bool = False) -> str:
    """The template as a pattern of LogQL that finds `example`, one of its lines; is_field: lines of JSON with it.

    A template is of the words of a line's beginning; what stands between and behind them may be more than a space.
    """
    if is_field:
        template, example = _in_json(template)[1:-1], _in_json(example) if example else ""
    for pattern in _candidates(template):
        if not example or _finds(pattern, example):
            return pattern
    return ANY


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _candidates(template: str) -> Iterator[str]:
    """The closest first."""
    for between in (" ", ANY):
        text = between.join(template.split())
        for before, after in (("", ""), ("", ANY), (ANY, ""), (ANY, ANY)):
            yield _plain(f"{before}{text}{after}")


def _finds(pattern: str, line: str) -> bool:
    """A pattern without a value would find every line that has its text somewhere."""
    return filter_pattern(pattern).matches(line) if ANY in pattern else pattern == line


def _plain(template: str) -> str:
    """With `<_>` for each value; two that touch are one."""
    return _TOUCHING.sub(ANY, _VALUE.sub(ANY, template))
