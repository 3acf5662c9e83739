"""The entry points: a query and a source in, a result out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tocsin.query.promql.errors import EvaluationError, LimitError
from tocsin.query.promql.evaluator import Evaluator
from tocsin.query.promql.expressions import Expression, MatrixSelector, StringLiteral, Subquery, unwrapped
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.literals import format_float
from tocsin.query.promql.matrix import Matrix, compacted, finished, key, without_name
from tocsin.query.promql.parser import parse
from tocsin.query.promql.query import Query, Statistics
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Grid, Labels, Source, Times, Values
from tocsin.query.promql.windows import Windows

__all__ = ["Point", "Result", "ResultSeries", "format_float", "instant", "range_query"]

ResultType = Literal["vector", "matrix", "scalar", "string"]
Sample = float | NativeHistogram


@dataclass(frozen=True, slots=True)
class Point:
    time_ms: int
    value: Sample


@dataclass(frozen=True, slots=True, eq=False)
class ResultSeries:
    """times in ms and values, aligned; a vector's series have one of each.

    histograms, where there are any, holds a native histogram where the sample is one, and None where it is a float.
    """

    labels: Labels
    times: Times
    values: Values
    histograms: Sequence[NativeHistogram | None] | None = None

    @property
    def points(self) -> list[Point]:
        """One object a sample: for rules, tests and the REPL; pages and the API take the arrays."""
        samples: list[Sample] = self.values.tolist()
        if self.histograms is not None:
            samples = [sample if one is None else one for sample, one in zip(samples, self.histograms, strict=True)]
        return [Point(time_ms, sample) for time_ms, sample in zip(self.times.tolist(), samples, strict=True)]


@dataclass(frozen=True, slots=True)
class Result:
    """data: series for vector and matrix, one Point for scalar, the text for string."""

    type: ResultType
    data: list[ResultSeries] | Point | str
    warnings: list[str]
    infos: list[str]
    statistics: Statistics

    @property
    def series(self) -> list[ResultSeries]:
        """Raises TypeError for a scalar or string."""
        if not isinstance(self.data, list):
            raise TypeError(f"cannot list the series of a {self.type}: it has none; read data")
        return self.data


DEFAULTS = QuerySettings()


def instant(
    source: Source,
    text: str,
    time_ms: int,
    settings: QuerySettings = DEFAULTS,
    is_canceled: Callable[[], bool] = lambda: False,
) -> Result:
    """The value of a query at one time. Raises PromQLError."""
    expression = parse(text, settings.max_depth)
    query = Query(source, text, Grid(time_ms, time_ms, 1), settings, is_canceled)
    with _floating_point_as_go():
        return _instant(query, expression, time_ms)


def range_query(
    source: Source,
    text: str,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    settings: QuerySettings = DEFAULTS,
    is_canceled: Callable[[], bool] = lambda: False,
) -> Result:
    """The value of a query at start, start+step, … up to end; series ordered by labels. Raises PromQLError."""
    expression = parse(text, settings.max_depth)
    if step_ms <= 0:
        raise LimitError("zero or negative query resolution step widths are not accepted. Try a positive integer")
    grid = Grid(start_ms, end_ms, step_ms)
    if len(grid) - 1 > settings.max_points:  # counted as Prometheus does, between the points
        raise LimitError(
            f"exceeded maximum resolution of {settings.max_points:,} points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    if expression.type not in ("scalar", "vector"):
        found = {"matrix": "range vector"}.get(expression.type, expression.type)
        raise EvaluationError(f'invalid expression type "{found}" for range query, must be Scalar or instant Vector')
    query = Query(source, text, grid, settings, is_canceled)
    with _floating_point_as_go():
        value = compacted(finished(Evaluator(query).evaluate(expression, grid)))
    keys = [key(labels) for labels in value.labels]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    times = grid.times
    return _result(query, "matrix", [_row(value, row, times) for row in order])


def _instant(query: Query, expression: Expression, time_ms: int) -> Result:
    bare = unwrapped(expression)
    if isinstance(bare, StringLiteral):
        return _result(query, "string", bare.value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    evaluator = Evaluator(query)
    if isinstance(bare, MatrixSelector | Subquery):
        found = [one for windows in evaluator.windows(bare, query.grid) for one in _range_vector(windows)]
        return _result(query, "matrix", sorted(found, key=lambda one: key(one.labels)))
    value = compacted(finished(evaluator.evaluate(expression, query.grid)))
    if expression.type == "scalar":
        return _result(query, "scalar", Point(time_ms, float(value.values[0, 0])))
    return _result(query, "vector", [_row(value, row, query.grid.times) for row in range(len(value.labels))])


def _result(query: Query, type: ResultType, data: list[ResultSeries] | Point | str) -> Result:
    query.check()
    return Result(type, data, query.warnings, query.infos, query.statistics)


def _row(value: Matrix, row: int, times: Times) -> ResultSeries:
    there = value.present[row]
    histograms = None if value.histograms is None else list(value.histograms[row][there])
    if histograms is not None and not any(histograms):
        histograms = None
    if there.all():
        return ResultSeries(value.labels[row], times, value.values[row], histograms)
    return ResultSeries(value.labels[row], times[there], value.values[row][there], histograms)


def _range_vector(windows: Windows) -> list[ResultSeries]:
    """The samples themselves, as `metric[5m]` asked at one time."""
    made = []
    for row, labels in enumerate(_finished_labels(windows)):
        first, behind = int(windows.first[row, 0]), int(windows.behind[row, 0])
        times, values = windows.times[first:behind], windows.values[first:behind]
        histograms: list[NativeHistogram | None] | None = None
        held = windows.histograms
        if held is not None and held.behind[row, 0] > held.first[row, 0]:
            places = slice(int(held.first[row, 0]), int(held.behind[row, 0]))
            samples: list[NativeHistogram | None] = list(held.samples[places])
            times = np.concatenate([times, held.times[places]])
            order = np.argsort(times, kind="stable")
            values = np.concatenate([values, np.full(len(samples), np.nan)])[order]
            both = [*([None] * (behind - first)), *samples]
            times, histograms = times[order], [both[at] for at in order]
        if len(times):
            made.append(ResultSeries(labels, times, values, histograms))
    return made


def _finished_labels(windows: Windows) -> list[Labels]:
    if windows.drops_name is None:
        return windows.labels
    return [
        without_name(labels) if drop else labels
        for labels, drop in zip(windows.labels, windows.drops_name, strict=True)
    ]


def _floating_point_as_go() -> np.errstate:
    """Overflow, division by zero and operations on NaN have IEEE's results and are no news."""
    return np.errstate(all="ignore")
