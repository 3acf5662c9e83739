"""The entry points: a query and a source in, lines or samples out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from tocsin.query.logql.errors import LimitError, LogQLError, too_many_series
from tocsin.query.logql.evaluate import Evaluator
from tocsin.query.logql.expressions import (
    PARSERS,
    LabelFilter,
    LogQuery,
    Metric,
    fields_of,
    is_scalar,
)
from tocsin.query.logql.line import Line
from tocsin.query.logql.parser import parse
from tocsin.query.logql.pipeline import compiled
from tocsin.query.logql.ranges import RangeReader
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.logql.source import LineSource
from tocsin.query.promql.engine import Point, Result, ResultSeries
from tocsin.query.promql.matrix import compacted, finished
from tocsin.query.promql.query import Query
from tocsin.query.promql.query import Statistics as PromStatistics
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Grid, MemorySource

DEFAULTS = LogQuerySettings()
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Asked:
    """A window in nanoseconds, [start, end), and how many lines are wanted from which side."""

    start_ns: int
    end_ns: int
    limit: int = 100
    newest_first: bool = True


@dataclass(slots=True)
class Took:
    """What a query read."""

    lines: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Lines:
    """Lines in the order asked for. warnings: what may be meant otherwise."""

    lines: list[Line]
    took: Took
    warnings: list[str] = field(default_factory=list)


def select_lines(source: LineSource, query: LogQuery, asked: Asked, settings: LogQuerySettings = DEFAULTS) -> Lines:
    """The lines that pass the pipeline, up to the limit. Raises LogQLError, QueryCanceledError or EngineError."""
    started = time.monotonic()
    _check_window(asked.start_ns, asked.end_ns, settings)
    if asked.limit > settings.max_lines:
        raise LimitError(
            f"cannot answer {asked.limit} lines: {settings.max_lines} at most; ask for fewer, or in several windows"
        )
    passed: list[Line] = []
    scanned = 0
    found = source.lines(query, asked.start_ns, asked.end_ns, newest_first=asked.newest_first, most=asked.limit)
    for lines, rest in found:
        passes = compiled(rest)
        for line in lines:
            if passes(line):
                passed.append(line)
                if len(passed) == asked.limit:
                    break
        if len(passed) == asked.limit:
            break
        scanned += len(lines) if rest else 0
        _check_scanned(scanned, time.monotonic() - started, settings)
    took = Took(source.lines_read, source.bytes_read, time.monotonic() - started)
    return Lines(passed, took, [] if passed else _warnings(query))


def _check_scanned(scanned: int, seconds: float, settings: LogQuerySettings) -> None:
    if scanned > settings.max_scanned_lines:
        raise LimitError(
            f"the pipeline would read more than {settings.max_scanned_lines} lines one by one; add a line filter such "
            'as |= "text" before the parser, or shorten the range'
        )
    if seconds > settings.timeout_seconds:
        raise LimitError(f"the query took longer than {settings.timeout_seconds:g} s; shorten the range")


def _check_window(start_ns: int, end_ns: int, settings: LogQuerySettings) -> None:
    if end_ns < start_ns:
        raise LogQLError("cannot use this time range: it ends before it starts; swap start and end")
    if end_ns - start_ns > settings.max_days * DAY_NS:
        raise LimitError(f"the time range is longer than {settings.max_days:g} days; shorten it")


def _warnings(query: LogQuery) -> list[str]:
    """A field of the line compared before the line was parsed is a common slip."""
    for stage in query.stages:
        if isinstance(stage, PARSERS):
            return []
        if isinstance(stage, LabelFilter):
            name = next((one for one in fields_of(stage.condition) if not one.startswith("__")), "")
            if name:
                return [f"no line has a label {name} that fits; if it is a field of the line, write | json | {name} …"]
    return []


def instant(source: LineSource, node: Metric, time_ms: int, text: str, settings: LogQuerySettings = DEFAULTS) -> Result:
    """The value of a metric query at one time. Raises LogQLError, PromQLError, QueryCanceledError or EngineError."""
    grid = Grid(time_ms, time_ms, 1)
    query, evaluator = _prepared(source, grid, text, settings)
    with np.errstate(all="ignore"):
        value = compacted(finished(evaluator.evaluate(node, grid)))
    _check_series(len(value.labels), settings)
    statistics = _statistics(query, source)
    if is_scalar(node):
        return Result("scalar", Point(time_ms, float(value.values[0, 0])), [], [], statistics)
    series = [ResultSeries(labels, grid.times, value.values[row]) for row, labels in enumerate(value.labels)]
    return Result("vector", series, query.warnings, query.infos, statistics)


def range_query(
    source: LineSource, node: Metric, grid: Grid, text: str, settings: LogQuerySettings = DEFAULTS
) -> Result:
    """The value of a metric query at every instant of the grid. Raises as `instant`."""
    _check_window(grid.start_ms * 1_000_000, grid.end_ms * 1_000_000, settings)
    if len(grid) - 1 > settings.max_points:
        raise LimitError(
            f"exceeded maximum resolution of {settings.max_points:,} points per time series. "
            "Try increasing the value of the step parameter"
        )
    query, evaluator = _prepared(source, grid, text, settings)
    with np.errstate(all="ignore"):
        value = compacted(finished(evaluator.evaluate(node, grid)))
    _check_series(len(value.labels), settings)
    times = grid.times
    order = sorted(range(len(value.labels)), key=lambda row: sorted(value.labels[row].items()))
    series = [
        ResultSeries(value.labels[row], times[value.present[row]], value.values[row][value.present[row]])
        for row in order
    ]
    return Result("matrix", series, query.warnings, query.infos, _statistics(query, source))


def _prepared(source: LineSource, grid: Grid, text: str, settings: LogQuerySettings) -> tuple[Query, Evaluator]:
    bounds = QuerySettings(timeout_seconds=settings.timeout_seconds)
    query = Query(MemorySource(), text, grid, bounds, source.is_canceled)
    return query, Evaluator(query, RangeReader(source, settings, query))


def _check_series(count: int, settings: LogQuerySettings) -> None:
    if count > settings.max_series:
        raise too_many_series(settings.max_series)


def _statistics(query: Query, source: LineSource) -> PromStatistics:
    query.check()
    query.statistics.samples = source.lines_read
    return query.statistics


__all__ = ["Asked", "Lines", "Took", "instant", "parse", "range_query", "select_lines"]
