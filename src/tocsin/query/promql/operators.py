"""What an operator makes of two samples, for whole matrices at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.query.promql.expressions import COMPARISONS, Binary
from tocsin.query.promql.histogram import IncompatibleHistogramsError, NativeHistogram
from tocsin.query.promql.literals import quote
from tocsin.query.promql.matrix import Mask, Matrix, Objects
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Values
from tocsin.query.promql.trimming import trimmed

TRIMS = frozenset(("</", ">/"))
KEEPS_NAME = COMPARISONS | TRIMS  # what remains is still the metric


@dataclass(slots=True)
class Outcome:
    """kept: where a comparison holds, True elsewhere. valid: where the operator is defined for the two samples."""

    values: Values
    kept: Mask
    valid: Mask
    histograms: Objects | None = None


def on_floats(operator: str, left: Values, right: Values) -> tuple[Values, Mask]:
    """The values (of a comparison, the left ones), and where they are kept."""
    match operator:
        case "+":
            values = left + right
        case "-":
            values = left - right
        case "*":
            values = left * right
        case "/":
            values = left / right
        case "%":
            values = np.fmod(left, right)
        case "^":
            values = np.power(left, right)
        case "atan2":
            values = np.arctan2(left, right)
        case _:
            return _compared(operator, left, right)
    return values, np.ones(values.shape, dtype=bool)


def _compared(operator: str, left: Values, right: Values) -> tuple[Values, Mask]:
    compare = {
        "==": np.equal,
        "!=": np.not_equal,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
    }.get(operator)
    if compare is None:  # a trim: floats have no buckets
        return left + right, np.zeros(np.broadcast(left, right).shape, dtype=bool)
    kept = np.asarray(compare(left, right))
    return np.broadcast_to(left, kept.shape), kept


def elementwise(query: Query, node: Binary, left: Matrix, right: Matrix) -> Outcome:
    """Row by row; one side may have a single row, a scalar."""
    values, kept = on_floats(node.operator, left.values, right.values)
    if left.histograms is None and right.histograms is None:
        made = Outcome(values, kept, np.ones(values.shape, dtype=bool))
        if node.operator in TRIMS and (left.present & right.present).any():
            _incompatible(query, node, "float", "float")
            made.valid[:] = False
        return made
    shape = values.shape
    made = Outcome(values, kept, np.ones(shape, dtype=bool), np.full(shape, None, dtype=object))
    there = np.broadcast_to(left.present & right.present, shape)
    on_left, on_right = _objects(left, shape), _objects(right, shape)
    is_histogram = np.broadcast_to(left.is_histogram | right.is_histogram, shape)
    left_values, right_values = np.broadcast_to(left.values, shape), np.broadcast_to(right.values, shape)
    for row, step in zip(*np.nonzero(there & is_histogram), strict=True):
        one = on_left[row, step] if on_left[row, step] is not None else float(left_values[row, step])
        other = on_right[row, step] if on_right[row, step] is not None else float(right_values[row, step])
        result, is_kept = _of_histograms(query, node, one, other)
        made.kept[row, step] = is_kept
        made.valid[row, step] = result is not None
        assert made.histograms is not None
        made.histograms[row, step] = result
    if node.operator in TRIMS:
        made.valid &= is_histogram
    return made


def _objects(matrix: Matrix, shape: tuple[int, ...]) -> Objects:
    if matrix.histograms is None:
        return np.full(shape, None, dtype=object)
    return np.broadcast_to(matrix.histograms, shape)


def _of_histograms(
    query: Query, node: Binary, left: float | NativeHistogram, right: float | NativeHistogram
) -> tuple[NativeHistogram | None, bool]:
    operator = node.operator
    if isinstance(left, float) and isinstance(right, NativeHistogram):
        if operator == "*":
            return right.scaled(left).compact(), True
        return _incompatible(query, node, "float", "histogram")
    if isinstance(left, NativeHistogram) and isinstance(right, float):
        if operator == "*":
            return left.scaled(right).compact(), True
        if operator == "/":
            return left.divided(right).compact(), True
        if operator in TRIMS:
            return trimmed(left, right, upper=operator == "</"), True
        return _incompatible(query, node, "histogram", "float")
    assert isinstance(left, NativeHistogram)
    assert isinstance(right, NativeHistogram)
    if operator in ("==", "!="):
        return left, left.same_as(right) == (operator == "==")
    if operator not in ("+", "-"):
        return _incompatible(query, node, "histogram", "histogram")
    return _added(query, node, left, right), True


def _incompatible(query: Query, node: Binary, left: str, right: str) -> tuple[None, bool]:
    query.inform(
        f"incompatible sample types encountered for binary operator {quote(node.operator)}: "
        f"{left} {node.operator} {right}",
        node.position,
    )
    return None, False


def _added(query: Query, node: Binary, left: NativeHistogram, right: NativeHistogram) -> NativeHistogram | None:
    kind = "addition" if node.operator == "+" else "subtraction"
    try:
        made, reconciled = left.plus(right, 1.0 if node.operator == "+" else -1.0)
    except IncompatibleHistogramsError:
        reason = f"incompatible bucket layout encountered for binary operator {node.operator}"
        query.warn(reason, node.position)
        return None
    if reconciled.resets:
        query.warn(f"conflicting counter resets during histogram {kind}", node.position)
    if reconciled.bounds:
        query.inform(f"mismatched custom buckets were reconciled during {kind}", node.position)
    if node.operator == "-":
        made.hint = "gauge"
    return made.compact()
