"""and, or, unless: series chosen by whether their labels are found on the other side."""

from __future__ import annotations

import numpy as np

from tocsin.query.promql.expressions import Binary
from tocsin.query.promql.matrix import Mask, Matrix, merged, stacked
from tocsin.query.promql.vector_matching import Signature, signatures


def combine(node: Binary, left: Matrix, right: Matrix) -> Matrix:
    assert node.matching is not None
    left_keys, right_keys = signatures(left, node.matching), signatures(right, node.matching)
    steps = left.present.shape[1]
    if node.operator == "or":
        on_left = _presence(left, left_keys)
        added = Matrix(right.labels, right.values, right.present.copy(), right.histograms, right.drops_name)
        for row, signature in enumerate(right_keys):
            if signature in on_left:
                added.present[row] &= ~on_left[signature]
        both = stacked([left, added], steps)
        return merged(Matrix(both.labels, both.values.copy(), both.present.copy(), both.histograms, both.drops_name))
    on_right = _presence(right, right_keys)
    nothing = np.zeros(steps, dtype=bool)
    present = left.present.copy()
    for row, signature in enumerate(left_keys):
        found = on_right.get(signature, nothing)
        present[row] &= found if node.operator == "and" else ~found
    return Matrix(left.labels, left.values, present, left.histograms, left.drops_name)


def _presence(matrix: Matrix, keys: list[Signature]) -> dict[Signature, Mask]:
    found: dict[Signature, Mask] = {}
    for row, signature in enumerate(keys):
        if signature in found:
            found[signature] = found[signature] | matrix.present[row]
        else:
            found[signature] = matrix.present[row]
    return found
