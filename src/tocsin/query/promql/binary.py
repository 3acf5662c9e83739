"""Binary operators between scalars and vectors."""

from __future__ import annotations

import numpy as np

from tocsin.query.promql import operators, set_operators, vector_matching
from tocsin.query.promql.expressions import COMPARISONS, SET_OPERATORS, Binary
from tocsin.query.promql.matrix import Matrix, nameless, single
from tocsin.query.promql.query import Query


def binary(query: Query, node: Binary, left: Matrix, right: Matrix) -> Matrix:
    """left operator right, on the same grid."""
    if node.left.type == node.right.type == "scalar":
        values, kept = operators.on_floats(node.operator, left.values[0], right.values[0])
        return single(kept.astype(np.float64) if node.operator in COMPARISONS else values)
    if node.left.type == "scalar" or node.right.type == "scalar":
        return _with_scalar(query, node, left, right)
    if node.operator in SET_OPERATORS:
        return set_operators.combine(node, left, right)
    return vector_matching.combine(query, node, left, right)


def _with_scalar(query: Query, node: Binary, left: Matrix, right: Matrix) -> Matrix:
    is_swapped = node.left.type == "scalar"
    vector = right if is_swapped else left
    result = operators.elementwise(query, node, left, right)
    values, kept, histograms = result.values, result.kept, result.histograms
    present = vector.present & result.valid
    if node.returns_bool:
        values, histograms = kept.astype(np.float64), None
    elif node.operator in COMPARISONS:
        values, histograms = vector.values, vector.histograms
        present = present & kept
    made = Matrix(vector.labels, values, present, histograms, vector.drops_name)
    if node.operator in operators.KEEPS_NAME and not node.returns_bool:
        return made
    return nameless(made, delayed=query.delayed)
