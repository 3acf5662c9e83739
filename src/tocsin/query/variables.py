"""Variables of dashboards: what they may be, and how they stand in queries.

`$name`, `${name}`, `${name:format}` and `[[name]]` are replaced. A variable that may have several values becomes an
alternation, for `=~`; a single one is escaped as the inside of a PromQL string needs it. `$__rate_interval`,
`$__interval` and `$__range` come from the step and the range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.model.dashboard import Dashboard, Variable
from tocsin.model.window import Window
from tocsin.query import evaluate
from tocsin.query.evaluate import series_text
from tocsin.query.metric_reader import MetricReader, Selector
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.literals import format_duration, format_float
from tocsin.query.promql.matchers import PatternError, compile_pattern
from tocsin.query.promql.parser import parse_selector
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import NAME
from tocsin.query.series import TooManySeriesError

ALL = "$__all"
MOST_OPTIONS = 1000
REFERENCE = re.compile(r"\$(\w+)|\$\{(\w+)(?:\.[^:}]+)?(?::([^}]+))?\}|\[\[(\w+)(?::([^\]]+))?\]\]")
_LABEL_VALUES = re.compile(r"label_values\(\s*(?:(.+),\s*)?([a-zA-Z_]\w*)\s*\)", re.DOTALL)
_CALL = re.compile(r"(metrics|label_names|query_result)\(\s*(.*?)\s*\)", re.DOTALL)
LEAST_RATE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """A variable with what may be chosen and what is. `problem` says why there is nothing to choose."""

    variable: Variable
    options: tuple[str, ...]
    values: tuple[str, ...]
    problem: str = ""

    @property
    def is_all(self) -> bool:
        return self.values == (ALL,)

    @property
    def shown(self) -> str:
        return "all" if self.is_all else ", ".join(self.values) or "none"


Values = Mapping[str, Chosen]


def choose(
    dashboard: Dashboard,
    asked: Mapping[str, Sequence[str]],
    reader: MetricReader,
    window: Window,
    settings: QuerySettings,
) -> dict[str, Chosen]:
    """Every variable with its value: as asked for, else its default, else all of them, else the first.

    Variables may refer to those above them.
    """
    chosen: dict[str, Chosen] = {}
    for variable in dashboard.variables:
        options, problem = _options(variable, chosen, reader, window, settings)
        given = tuple(value for value in asked.get(variable.name, ()) if value) or _default(variable, options)
        if ALL in given:
            given = (ALL,)
        chosen[variable.name] = Chosen(variable, options, given if variable.is_multi else given[:1], problem)
    return chosen


def _default(variable: Variable, options: Sequence[str]) -> tuple[str, ...]:
    if variable.default:
        return tuple(variable.default.split(",")) if variable.is_multi else (variable.default,)
    if variable.has_all:
        return (ALL,)
    return tuple(options[:1])


def _options(
    variable: Variable, above: Values, reader: MetricReader, window: Window, settings: QuerySettings
) -> tuple[tuple[str, ...], str]:
    if variable.type in ("custom", "interval"):
        return tuple(filter(None, (_value(one) for one in _split(variable.query)))), ""
    if variable.type == "constant":
        return (variable.query,), ""
    if variable.type != "query":
        return (), ""
    query = substituted(variable.query, above, window, evaluate.step_ms(window))
    try:
        found = _asked(query, reader, window, settings)
        pattern = compile_pattern(variable.regex.strip("/")) if variable.regex else None
    except (PromQLError, PatternError, TooManySeriesError) as error:
        return (), str(error)
    if pattern is not None:
        found = [_captured(pattern, one) for one in found]
    return tuple(dict.fromkeys(filter(None, found)))[:MOST_OPTIONS], ""


def _captured(pattern: object, text: str) -> str:
    """The first group where the pattern has one, else the whole; '' when it does not match."""
    match = pattern.search(text)  # type: ignore[attr-defined]  # re2 has no types
    if match is None:
        return ""
    return str(match.group(1) if match.groups() else text)


def _split(text: str) -> list[str]:
    """By commas; a comma that belongs to the value stands behind a backslash."""
    return [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text)]


def _value(text: str) -> str:
    """Of `shown : value`, the value."""
    return text.rpartition(" : ")[2].strip()


def _asked(query: str, reader: MetricReader, window: Window, settings: QuerySettings) -> list[str]:
    """Raises PromQLError, PatternError or TooManySeriesError."""
    start_ms, end_ms = window.start_ns // 1_000_000, window.end_ns // 1_000_000
    if found := _LABEL_VALUES.fullmatch(query.strip()):
        selectors: list[Selector] = [parse_selector(found[1])] if found[1] else []
        return reader.label_values(found[2], selectors, start_ms, end_ms)
    call = _CALL.fullmatch(query.strip())
    if call and call[1] == "label_names":
        return reader.label_names([], start_ms, end_ms)
    if call and call[1] == "metrics":
        pattern = compile_pattern(f".*(?:{call[2]}).*")
        return [name for name in reader.label_values(NAME, [], start_ms, end_ms) if pattern.search(name)]
    done = evaluate.at(reader, call[2] if call else query, end_ms, settings)
    if done.error:
        raise PromQLError(done.error.text)
    rows = [(series.labels, series.values[-1]) for series in done.series if len(series.values)]
    return [f"{series_text(labels)} {format_float(float(value))}" for labels, value in rows]


def substituted(text: str, values: Values, window: Window, step_ms: int) -> str:
    """The text with the values of its variables; what is no variable stays as it is."""

    def replace(found: re.Match[str]) -> str:
        name = found[1] or found[2] or found[4]
        if name in values:
            return _formatted(values[name], found[3] or found[5] or "", values, window, step_ms)
        built_in = _built_in(name, window, step_ms)
        return found[0] if built_in is None else built_in

    return REFERENCE.sub(replace, text)


def _built_in(name: str, window: Window, step_ms: int) -> str | None:
    start_ms, end_ms = window.start_ns // 1_000_000, window.end_ns // 1_000_000
    match name:
        case "__interval":
            return format_duration(step_ms)
        case "__interval_ms":
            return str(step_ms)
        case "__rate_interval":
            return format_duration(
                max(4 * evaluate.SHORTEST_STEP_MS, LEAST_RATE_MS, step_ms + evaluate.SHORTEST_STEP_MS)
            )
        case "__range":
            return format_duration((end_ms - start_ms) // 1000 * 1000)
        case "__range_s":
            return str((end_ms - start_ms) // 1000)
        case "__range_ms":
            return str(end_ms - start_ms)
        case "__from":
            return str(start_ms)
        case "__to":
            return str(end_ms)
    return None


def _formatted(chosen: Chosen, form: str, values: Values, window: Window, step_ms: int) -> str:
    variable = chosen.variable
    if variable.type in ("interval", "source", "constant"):
        value = chosen.values[0] if chosen.values else variable.query
        return format_duration(step_ms) if value == "auto" or value.startswith("$__auto_interval") else value
    if chosen.is_all and variable.all_value:
        return variable.all_value
    said = list(chosen.options if chosen.is_all else chosen.values)
    match form:
        case "raw" | "csv":
            return ",".join(said)
        case "pipe":
            return "|".join(said)
        case "regex":
            return _alternatives(said)
        case "doublequote":
            return ",".join('"' + _quoted(one) + '"' for one in said)
        case "singlequote":
            return ",".join("'" + _quoted(one).replace("'", "\\'") + "'" for one in said)
    if variable.is_multi or variable.has_all:
        return _quoted(_alternatives(said))
    return (said[0] if variable.type == "text" else _quoted(said[0])) if said else ""


def _alternatives(values: Sequence[str]) -> str:
    escaped = [_escaped(one) for one in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _escaped(text: str) -> str:
    """Literal inside an RE2 expression."""
    return re.sub(r"([\\^$.*+?()\[\]{}|])", r"\\\1", text)


def _quoted(text: str) -> str:
    """As the inside of a PromQL string in double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
