"""Walks an expression and turns each node into a matrix on a grid of instants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from tocsin.query.promql import aggregation, binary
from tocsin.query.promql.calls import FunctionCall
from tocsin.query.promql.expressions import (
    Aggregation,
    Binary,
    Call,
    Expression,
    MatrixSelector,
    Modifiers,
    NumberLiteral,
    Parentheses,
    Subquery,
    Unary,
    VectorSelector,
    unwrapped,
)
from tocsin.query.promql.functions import FUNCTIONS
from tocsin.query.promql.matrix import Matrix, compacted, merged, nameless, single
from tocsin.query.promql.query import Query
from tocsin.query.promql.selection import Selector, instant_vector
from tocsin.query.promql.source import Grid, Times
from tocsin.query.promql.windows import Windows, series_of, windows_on


@dataclass(slots=True)
class Evaluator:
    query: Query
    _above: list[Expression] = field(default_factory=list)  # what stands round the node at hand, outermost first

    def evaluate(self, node: Expression, grid: Grid) -> Matrix:
        """The value of a scalar or instant vector expression at every instant of the grid."""
        self.query.check()
        match node:
            case NumberLiteral():
                return single(np.full(len(grid), node.value))
            case Parentheses():
                return self.evaluate(node.expression, grid)
            case VectorSelector():
                return self.instant_vector(node, grid)
            case Call():
                with self._below(node):
                    return compacted(FUNCTIONS[node.function.name](FunctionCall(self, node, grid)))
            case Aggregation():
                with self._below(node):
                    return compacted(self._aggregate(node, grid))
            case Binary():
                with self._below(node):
                    left, right = self.evaluate(node.left, grid), self.evaluate(node.right, grid)
                return compacted(binary.binary(self.query, node, left, right))
            case Unary():
                with self._below(node):
                    return self._unary(node, grid)
        raise TypeError(f"cannot evaluate a {node.type}: it has no value at an instant")

    def instant_vector(self, node: VectorSelector, grid: Grid, *, timestamps: bool = False) -> Matrix:
        """The latest samples within the lookback; with `timestamps`, their times in seconds instead of values."""
        times = self.reference_times(node.modifiers, grid)
        found = instant_vector(self.query, self.selector(node, 0), times, timestamps=timestamps)
        return merged(found)

    def windows(self, node: Expression, grid: Grid) -> Iterator[Windows]:
        """The samples of a range vector at every instant of the grid, some series at a time, ordered by labels."""
        node = unwrapped(node)
        if isinstance(node, Subquery):
            yield self._subquery(node, grid)
            return
        assert isinstance(node, MatrixSelector)
        range_ms = self.query.milliseconds(node.range)
        selector = self.selector(node.selector, range_ms)
        times = self.reference_times(node.selector.modifiers, grid)
        before = 0
        for series in selector.portions(self.query, times):
            before += len(series)
            self.query.hold_windows(before, len(grid))
            yield windows_on(
                series, times, range_ms, grid, node.position, node.selector.extension, self.query.lookback_ms
            )

    def reference_times(self, modifiers: Modifiers, grid: Grid) -> Times:
        """The instants that a selector looks back from: those of the grid, moved by `offset` and `@`."""
        times = grid.times
        if modifiers.at_ms is not None:
            times = np.full(len(grid), modifiers.at_ms, dtype=np.int64)
        elif modifiers.at_edge:
            edge = self.query.grid.start_ms if modifiers.at_edge == "start" else self.query.grid.end_ms
            times = np.full(len(grid), edge, dtype=np.int64)
        if modifiers.offset is not None:
            times = times - self.query.milliseconds(modifiers.offset, may_be_negative=True)
        return times

    def selector(self, node: VectorSelector, range_ms: int) -> Selector:
        """The selector with what stands right above it, as sources are told."""
        function, by = "", False
        grouping: tuple[str, ...] = ()
        if self._above:
            above = self._above[-1]
            if isinstance(above, Call):
                function = above.function.name
            elif isinstance(above, Aggregation):
                function, grouping, by = above.operator, above.grouping, not above.without
        above_it = function, grouping, by, self._summed_by()
        return Selector(node.matchers, range_ms, node.position, node.extension, *above_it, self._finds_resets())

    def _summed_by(self) -> tuple[str, ...] | None:
        """The labels of a sum that stands right above the selector or above its rate."""
        above = self._above[-2:]
        if above and isinstance(above[-1], Call) and above[-1].function.name in ("rate", "increase"):
            above.pop()
        outer = above[-1] if above else None
        if isinstance(outer, Aggregation) and outer.operator == "sum" and not outer.without:
            return outer.grouping
        return None

    def _finds_resets(self) -> bool:
        """Whether only the statistics of native histograms are asked for, as Prometheus decides it."""
        found = False
        for above in reversed(self._above):
            if isinstance(above, Subquery):
                return False
            name = above.function.name if isinstance(above, Call) else ""
            if name in ("histogram_quantile", "histogram_fraction"):
                return False
            found = found or name in ("histogram_count", "histogram_sum", "histogram_avg")
        return found

    @contextmanager
    def _below(self, node: Expression) -> Iterator[None]:
        self._above.append(node)
        yield
        self._above.pop()

    def _unary(self, node: Unary, grid: Grid) -> Matrix:
        value = self.evaluate(node.expression, grid)
        if node.operator == "+":
            return value
        negative = Matrix(value.labels, -value.values, value.present, value.histograms, value.drops_name)
        if negative.histograms is not None:
            negative.histograms = negative.histograms.copy()
            for row, step in zip(*np.nonzero(value.is_histogram), strict=True):
                negative.histograms[row, step] = negative.histograms[row, step].scaled(-1)
        if node.type == "scalar":
            return negative
        return nameless(negative, delayed=self.query.delayed)

    def _aggregate(self, node: Aggregation, grid: Grid) -> Matrix:
        parameter: np.ndarray | str | None = None
        if node.parameter is not None:
            literal = unwrapped(node.parameter)
            if node.operator == "count_values":
                parameter = str(getattr(literal, "value", ""))
            else:
                parameter = self.evaluate(node.parameter, grid).values[0]
        value = self.evaluate(node.expression, grid)
        return aggregation.aggregate(self.query, node, value, parameter, is_instant=len(grid) == 1)

    def _subquery(self, node: Subquery, grid: Grid) -> Windows:
        """Evaluates on absolute multiples of the step, over all that the windows cover."""
        range_ms = self.query.milliseconds(node.range)
        if node.step is None:
            step_ms = round(self.query.settings.subquery_step_seconds * 1000)
        else:
            step_ms = self.query.milliseconds(node.step)
        times = self.reference_times(node.modifiers, grid)
        behind = int(times.min()) - range_ms
        start = -(-behind // step_ms) * step_ms
        if start <= behind:
            start += step_ms
        inner = Grid(start, int(times.max()), max(step_ms, 1))
        self.query.hold(len(inner))
        with self._below(node):
            value = self.evaluate(node.expression, inner)
        self.query.hold(value.values.size)
        series = series_of(value, inner.times)
        self.query.hold_windows(len(series), len(grid))
        made = windows_on(series, times, range_ms, grid, node.position)
        made.drops_name = value.drops_name
        return made
