"""Walks a metric query and turns each node into a matrix on a grid of instants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.query.logql.expressions import (
    Binary,
    LabelReplace,
    Metric,
    Number,
    RangeAggregation,
    Vector,
    VectorAggregation,
    is_scalar,
)
from tocsin.query.logql.ranges import RangeReader
from tocsin.query.promql import aggregation, binary
from tocsin.query.promql.expressions import Aggregation, NumberLiteral, VectorSelector
from tocsin.query.promql.expressions import Binary as PromBinary
from tocsin.query.promql.expressions import Expression as PromExpression
from tocsin.query.promql.label_functions import expanded
from tocsin.query.promql.matchers import compile_pattern
from tocsin.query.promql.matrix import Matrix, compacted, merged, single
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Grid, Labels

COMBINED = {
    "sum": frozenset(("count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time")),
    "max": frozenset(("max_over_time",)),
    "min": frozenset(("min_over_time",)),
}
"""Range aggregations that give the same when the series of a group are put together first."""


@dataclass(slots=True)
class Evaluator:
    """Operators and aggregations are PromQL's own."""

    query: Query
    reader: RangeReader

    def evaluate(self, node: Metric, grid: Grid, summed_by: tuple[str, ...] | None = None) -> Matrix:
        self.query.check()
        match node:
            case Number(value):
                return single(np.full(len(grid), value))
            case Vector(value):
                return single(np.full(len(grid), value))
            case RangeAggregation():
                return compacted(merged(self.reader.evaluate(node, grid, summed_by)))
            case VectorAggregation():
                return self._aggregated(node, grid)
            case LabelReplace():
                return self._relabelled(node, grid)
            case Binary():
                left, right = self.evaluate(node.left, grid), self.evaluate(node.right, grid)
                made = PromBinary(
                    node.operator, _stand_in(node.left), _stand_in(node.right), node.returns_bool, node.matching,
                    node.position,
                )  # fmt: skip
                return compacted(binary.binary(self.query, made, left, right))

    def _aggregated(self, node: VectorAggregation, grid: Grid) -> Matrix:
        inner_by = node.grouping.labels if _combines(node) else None
        value = self.evaluate(node.expression, grid, inner_by)
        if node.operator in ("sort", "sort_desc"):
            return _sorted(value, descending=node.operator == "sort_desc", is_instant=len(grid) == 1)
        parameter = None if node.parameter is None else np.full(len(grid), node.parameter)
        literal = None if node.parameter is None else NumberLiteral(node.parameter)
        stand_in = Aggregation(
            node.operator, VectorSelector("", ()), literal, node.grouping.labels, node.grouping.without, node.position
        )
        return compacted(aggregation.aggregate(self.query, stand_in, value, parameter, is_instant=len(grid) == 1))

    def _relabelled(self, node: LabelReplace, grid: Grid) -> Matrix:
        value = self.evaluate(node.expression, grid)
        pattern = compile_pattern(node.pattern)
        labels = [_replaced(one, node, pattern) for one in value.labels]
        return merged(Matrix(labels, value.values.copy(), value.present.copy()))


def _combines(node: VectorAggregation) -> bool:
    inner = node.expression
    return (
        isinstance(inner, RangeAggregation)
        and inner.operator in COMBINED.get(node.operator, ())
        and inner.grouping is None
        and not node.grouping.without
    )


def _stand_in(node: Metric) -> PromExpression:
    """What tells PromQL's operators whether a side is a number."""
    return NumberLiteral(0.0) if is_scalar(node) else VectorSelector("", ())


def _sorted(value: Matrix, *, descending: bool, is_instant: bool) -> Matrix:
    if not is_instant:
        return value
    order = sorted(range(len(value.labels)), key=lambda row: float(value.values[row, 0]), reverse=descending)
    return value.rows(order)


def _replaced(labels: Labels, node: LabelReplace, pattern: Any) -> Labels:
    found = pattern.search(labels.get(node.source, ""))
    if found is None:
        return labels
    text = expanded(node.replacement, found)
    made = {name: value for name, value in labels.items() if name != node.target}
    return made | ({node.target: text} if text else {})
