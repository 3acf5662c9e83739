"""sum, avg, topk and the others: many series in, one a group (or a choice of each group) out."""

from __future__ import annotations

import numpy as np

from tocsin.query.promql import histogram_sums, selection_aggregates
from tocsin.query.promql.aggregation_floats import counts, extreme, float_mean, float_sum, group_quantile, variance
from tocsin.query.promql.expressions import Aggregation
from tocsin.query.promql.grouping import Groups, grouped
from tocsin.query.promql.literals import format_number
from tocsin.query.promql.matrix import Mask, Matrix
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Values

_CHOOSERS = frozenset(("topk", "bottomk", "limitk", "limit_ratio"))


def aggregate(
    query: Query, node: Aggregation, value: Matrix, parameter: Values | str | None, *, is_instant: bool
) -> Matrix:
    """parameter: the number at each step, or the label of count_values."""
    if node.operator == "count_values":
        assert isinstance(parameter, str)
        return selection_aggregates.count_values(node, value, parameter)
    groups = grouped(value, node.grouping, without=node.without)
    if node.operator in _CHOOSERS:
        assert isinstance(parameter, np.ndarray)
        return selection_aggregates.choose(query, node, value, groups, parameter, is_instant=is_instant)
    if node.operator in ("sum", "avg") and value.histograms is not None:
        return histogram_sums.aggregated(query, node, value, groups)
    made = _floats(query, node, value, groups, parameter)
    return Matrix(groups.labels, *made, drops_name=groups.drops_name)


def _floats(
    query: Query, node: Aggregation, value: Matrix, groups: Groups, parameter: Values | str | None
) -> tuple[Values, Mask]:
    counts_histograms = node.operator in ("count", "group")
    there = value.present if counts_histograms else value.is_float
    if not counts_histograms and value.histograms is not None and value.is_histogram.any():
        query.inform(f"ignored histogram in {node.operator} aggregation", node.expression.position)
    match node.operator:
        case "sum":
            return float_sum(value.values, there, groups)
        case "avg":
            return float_mean(value.values, there, groups)
        case "min" | "max":
            return extreme(value.values, there, groups, largest=node.operator == "max")
        case "count" | "group":
            found = counts(there, groups)
            return (found if node.operator == "count" else np.ones_like(found)), found > 0
        case "stddev" | "stdvar":
            spread, present = variance(value.values, there, groups)
            return (np.sqrt(spread) if node.operator == "stddev" else spread), present
    assert isinstance(parameter, np.ndarray)
    assert node.parameter is not None
    if there.any():
        warn_of_quantile(query, parameter, node)
    return group_quantile(value.values, there, groups, parameter)


def warn_of_quantile(query: Query, asked: Values, node: Aggregation) -> None:
    assert node.parameter is not None
    for q in asked[~((asked >= 0) & (asked <= 1))][:1]:
        query.warn(f"quantile value should be between 0 and 1, got {format_number(q)}", node.parameter.position)
