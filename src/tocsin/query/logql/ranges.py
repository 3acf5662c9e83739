"""Range aggregations: what is made of the lines, or of the values unwrapped from them, of (t - range, t]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.query.logql.errors import LimitError, PipelineError, too_many_series
from tocsin.query.logql.expressions import Grouping, RangeAggregation
from tocsin.query.logql.line import ERROR, ERROR_DETAILS, Line
from tocsin.query.logql.pipeline import compiled, names_read, unwrapper
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.logql.source import LineSource
from tocsin.query.promql import over_time
from tocsin.query.promql.labels_text import labels_text
from tocsin.query.promql.matrix import Mask, Matrix, single
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Grid, Labels, Series, Values
from tocsin.query.promql.windows import Windows, windows_on

COUNTED = frozenset(("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"))
MOST_SERIES = 50_000
"""Series within a query, of which an aggregation may make few."""
MOST_BUCKETS = 1_000_000
"""Buckets of one series: a step that shares no divisor with the range makes them a millisecond long."""


@dataclass(slots=True)
class RangeReader:
    """Reads what range aggregations are made of. `query` bounds memory and time."""

    source: LineSource
    settings: LogQuerySettings
    query: Query

    def evaluate(self, node: RangeAggregation, grid: Grid, summed_by: tuple[str, ...] | None) -> Matrix:
        """summed_by: the labels of a sum right above, beyond which series need not be told apart."""
        ends = grid.times - node.offset_ms
        if node.unwrap is None:
            series = self._counted(node, ends[0], ends[-1], grid.step_ms, summed_by)
        else:
            series = self._values(node, ends[0], ends[-1], summed_by)
        self.query.hold_windows(len(series), len(grid))
        windows = windows_on(series, ends, node.range_ms, grid, node.position)
        if node.operator == "absent_over_time":
            return _absent(node, windows)
        values, present = self._applied(node, windows)
        return windows.matrix(values, present)

    def _counted(
        self, node: RangeAggregation, first_ms: int, last_ms: int, step_ms: int, summed_by: tuple[str, ...] | None
    ) -> list[Series]:
        bucket_ms = node.range_ms if first_ms == last_ms else math.gcd(node.range_ms, step_ms)
        edges = int(first_ms) - node.range_ms, int(last_ms)
        if (edges[1] - edges[0]) // bucket_ms > MOST_BUCKETS:
            raise LimitError(
                "the range and the step have no common divisor, so that every line would count for itself; make the "
                "range a multiple of the step"
            )
        in_bytes = node.operator in ("bytes_over_time", "bytes_rate")
        by = () if node.operator == "absent_over_time" else summed_by
        counted = self.source.counts(node.query, by, edges, bucket_ms, in_bytes=in_bytes, max_series=MOST_SERIES)
        if counted is not None:
            return counted
        gathered = _Gathered(MOST_SERIES)
        for line in self._lines(node, *edges, by):
            _refuse_failed(line)
            labels = _grouped(line, None if by is None else Grouping(tuple(by)))
            gathered.add(labels, line.time_ns, float(len(line.text.encode())) if in_bytes else 1.0)
        return gathered.series()

    def _values(
        self, node: RangeAggregation, first_ms: int, last_ms: int, summed_by: tuple[str, ...] | None
    ) -> list[Series]:
        assert node.unwrap is not None
        sample, grouping = unwrapper(node.unwrap), node.grouping
        if grouping is None and summed_by is not None:
            grouping = Grouping(summed_by)
        by = grouping.labels if grouping is not None and not grouping.without else None
        edges = int(first_ms) - node.range_ms, int(last_ms)
        gathered = _Gathered(MOST_SERIES)
        for line in self._lines(node, *edges, by, node.unwrap.label):
            value = sample(line)
            if value is None:
                continue
            _refuse_failed(line)
            gathered.add(_grouped(line, grouping), line.time_ns, value)
        return gathered.series()

    def _lines(
        self, node: RangeAggregation, start_ms: int, end_ms: int, by: Sequence[str] | None, *more: str
    ) -> list[Line]:
        """What passes the pipeline in (start, end], oldest first."""
        filters = node.unwrap.filters if node.unwrap is not None else ()
        read = names_read((*node.query.stages, *filters))
        names = None if read is None else frozenset((*read, *(by or ()), *more))
        passed: list[Line] = []
        start_ns, end_ns = start_ms * 1_000_000 + 1, end_ms * 1_000_000 + 1
        before = self.source.lines_read
        for lines, rest in self.source.lines(node.query, start_ns, end_ns, newest_first=False, names=names):
            self.query.check()
            passes = compiled(rest)
            passed += [line for line in lines if passes(line)]
            if self.source.lines_read - before > self.settings.max_scanned_lines:
                raise LimitError(
                    f"the pipeline would read more than {self.settings.max_scanned_lines} lines one by one; add a line "
                    'filter such as |= "text" before the parser, or shorten the range'
                )
        return passed

    def _applied(self, node: RangeAggregation, windows: Windows) -> tuple[Values, Mask]:
        seconds = node.range_ms / 1000
        match node.operator:
            case "rate" | "bytes_rate":
                totals, present = over_time.total(self.query, windows)
                return totals / seconds, present
            case "count_over_time" | "bytes_over_time" | "sum_over_time":
                return over_time.total(self.query, windows)
            case "avg_over_time":
                return over_time.mean(self.query, windows)
            case "min_over_time" | "max_over_time":
                return over_time.extreme(windows, largest=node.operator == "max_over_time")
            case "stdvar_over_time":
                return over_time.variance(self.query, windows)
            case "stddev_over_time":
                spread, present = over_time.variance(self.query, windows)
                return np.sqrt(spread), present
            case "quantile_over_time":
                assert node.parameter is not None
                return _quantile(windows, node.parameter)
            case "rate_counter":
                return _counter_rate(windows, seconds)
        return _edge(windows, is_first=node.operator == "first_over_time")


class _Gathered:
    """Samples by the labels of their series, in the order of their times."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[tuple[str, str], ...], tuple[Labels, list[int], list[float]]] = {}

    def add(self, labels: Labels, time_ns: int, value: float) -> None:
        key = tuple(sorted(pair for pair in labels.items() if pair[1]))
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= self._most:
                raise too_many_series(self._most)
            held = self._held[key] = (dict(key), [], [])
        # Rounded up, a time stays on its side of every edge, which are whole milliseconds.
        held[1].append(-(-time_ns // 1_000_000))
        held[2].append(value)

    def series(self) -> list[Series]:
        return [
            Series(labels, np.array(times, np.int64), np.array(values, np.float64))
            for labels, times, values in self._held.values()
        ]


def _grouped(line: Line, grouping: Grouping | None) -> Labels:
    if grouping is None:
        stream, _, parsed = line.by_kind()
        return stream | parsed
    if grouping.without:
        stream, _, parsed = line.by_kind()
        return {name: value for name, value in (stream | parsed).items() if name not in grouping.labels}
    return {name: line.get(name) or "" for name in grouping.labels}


def _refuse_failed(line: Line) -> None:
    if line.has_failed:
        error = line.parsed[ERROR]
        labels = {name: value for name, value in line.labels().items() if name not in (ERROR, ERROR_DETAILS)}
        raise PipelineError(
            f"pipeline error: '{error}' for series: '{labels_text(labels)[:300]}': "
            f"{line.parsed.get(ERROR_DETAILS, '')[:200]}. "
            f'Use a label filter to intentionally skip this error. (e.g | __error__!="{error}")'
        )


def _absent(node: RangeAggregation, windows: Windows) -> Matrix:
    """1 where there is no line; labelled by what the selector asks for."""
    there = (windows.counts > 0).any(axis=0) if len(windows.labels) else np.zeros(len(windows.grid), dtype=bool)
    named = [matcher for matcher in node.query.matchers if matcher.operator == "=" and matcher.value]
    made = single(np.ones(len(windows.grid)), {matcher.name: matcher.value for matcher in named})
    made.present[0] = ~there
    return made


def _quantile(windows: Windows, wanted: float) -> tuple[Values, Mask]:
    values, present = np.full(windows.first.shape, np.nan), windows.counts > 0
    for row, step in zip(*np.nonzero(present), strict=True):
        window = windows.values[windows.first[row, step] : windows.behind[row, step]]
        values[row, step] = _interpolated(np.sort(window), wanted)
    return values, present


def _interpolated(ordered: Values, wanted: float) -> float:
    if wanted < 0 or wanted > 1 or math.isnan(wanted):
        return math.nan if math.isnan(wanted) else math.copysign(math.inf, wanted - 0.5)
    place = wanted * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    weight = place - low
    return float(ordered[low] * (1 - weight) + ordered[high] * weight)


def _edge(windows: Windows, *, is_first: bool) -> tuple[Values, Mask]:
    present = windows.counts > 0
    places = np.where(present, windows.first if is_first else windows.behind - 1, 0)
    held = windows.values if len(windows.values) else np.full(1, np.nan)
    return np.where(present, held[places], np.nan), present


def _counter_rate(windows: Windows, seconds: float) -> tuple[Values, Mask]:
    """The increase of a counter over the window, resets taken out, by the second; two samples at least."""
    values, present = np.full(windows.first.shape, np.nan), windows.counts > 1
    for row, step in zip(*np.nonzero(present), strict=True):
        steps = np.diff(windows.values[windows.first[row, step] : windows.behind[row, step]])
        after_reset = windows.values[windows.first[row, step] + 1 : windows.behind[row, step]]
        values[row, step] = np.where(steps < 0, after_reset, steps).sum() / seconds
    return values, present
