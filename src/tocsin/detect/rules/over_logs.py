"""Rules over logs: `tocsin: {source: logs}` says that a rule's expression is LogQL, as in the files of Loki's ruler.

What goes wrong is a RuleError, so that everything that evaluates rules treats both languages alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tocsin.detect.rules.alerting import RuleError, Series
from tocsin.query.logql.engine import instant, range_query
from tocsin.query.logql.errors import LogQLError
from tocsin.query.logql.expressions import Binary, LogQuery, Metric, Number, Stage
from tocsin.query.logql.line import Line
from tocsin.query.logql.parser import parse
from tocsin.query.logql.printer import printed
from tocsin.query.logql.source import LineSource
from tocsin.query.promql.engine import Point, ResultSeries
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.source import Grid
from tocsin.query.promql.source import Series as StoredSeries

LOGS = "logs"
"""The value of `source`."""

OpenLines = Callable[[], LineSource]
"""Gives the lines that a rule may read, for one evaluation."""

TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


def no_lines() -> LineSource:
    raise RuleError("there are no logs to look at here")


def metric_of(expr: str) -> Metric:
    """The expression of a rule. Raises RuleError for what is no LogQL, or asks for lines."""
    try:
        node = parse(expr)
    except (LogQLError, PromQLError) as error:
        raise RuleError(f"could not parse expression: {error}") from error
    if isinstance(node, LogQuery):
        raise RuleError("a rule needs numbers, these are lines; count them, as in count_over_time({…} [5m]) > 0")
    return node


def vector_of(lines: OpenLines, expr: str, at_ms: int) -> list[Series]:
    """The value at one time; of a number one sample without labels."""
    try:
        result = instant(lines(), metric_of(expr), at_ms, expr)
    except LogQLError as error:
        raise RuleError(str(error)) from error
    if isinstance(result.data, Point):
        return [({}, float(result.data.value))] if isinstance(result.data.value, float) else []
    return [(dict(one.labels), float(one.values[-1])) for one in result.series]


def range_of(lines: OpenLines, expr: str, grid: Grid) -> list[ResultSeries]:
    """The value at every time of the grid."""
    try:
        return range_query(lines(), metric_of(expr), grid, expr).series
    except LogQLError as error:
        raise RuleError(str(error)) from error


def threshold_of(expr: str) -> tuple[str, str, float] | None:
    """`rate({a="b"}[5m]) > 3` in its parts: what is measured, the comparison, 3; else None."""
    node = metric_of(expr)
    if not isinstance(node, Binary) or node.operator not in TURNED or node.returns_bool:
        return None
    if isinstance(node.right, Number):
        return printed(node.left), node.operator, node.right.value
    if isinstance(node.left, Number):
        return printed(node.right), TURNED[node.operator], node.left.value
    return None


@dataclass(slots=True)
class MemoryLines:
    """Lines written down, for unit tests of rules: a LineSource."""

    found: list[Line] = field(default_factory=list)
    lines_read: int = 0
    bytes_read: int = 0

    def lines(
        self,
        query: LogQuery,
        start_ns: int,
        end_ns: int,
        *,
        newest_first: bool = True,
        most: int = 0,
        names: frozenset[str] | None = None,
    ) -> Iterator[tuple[list[Line], tuple[Stage, ...]]]:
        inside = [
            Line(line.time_ns, line.text, line.stream, line.metadata, line.has_fields)
            for line in sorted(self.found, key=lambda line: line.time_ns, reverse=newest_first)
            if start_ns <= line.time_ns < end_ns
            and all(matcher.matches(line.stream.get(matcher.name, "")) for matcher in query.matchers)
        ]
        self.lines_read += len(inside)
        yield inside, query.stages

    def counts(
        self,
        query: LogQuery,
        by: Sequence[str] | None,
        edges_ms: tuple[int, int],
        bucket_ms: int,
        *,
        in_bytes: bool,
        max_series: int,
    ) -> list[StoredSeries] | None:
        return None

    def is_canceled(self) -> bool:
        return False
