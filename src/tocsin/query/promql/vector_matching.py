"""Arithmetic and comparison of two vectors: which series meet, and what the result is called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.query.promql import operators
from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.expressions import COMPARISONS, Binary, Matching
from tocsin.query.promql.labels_text import labels_text
from tocsin.query.promql.matrix import METADATA, Mask, Matrix, empty, key, merged, without_name
from tocsin.query.promql.query import Query
from tocsin.query.promql.source import Labels

Signature = tuple[tuple[str, str], ...]


def signatures(matrix: Matrix, matching: Matching) -> list[Signature]:
    """By what each series is matched: the labels of `on`, or all but the metric's own and those of `ignoring`."""
    return [key(match_labels(labels, matching)) for labels in matrix.labels]


def match_labels(labels: Labels, matching: Matching) -> Labels:
    if matching.on:
        return {name: labels[name] for name in matching.labels if labels.get(name)}
    return {name: value for name, value in labels.items() if name not in matching.labels and name not in METADATA}


@dataclass(slots=True)
class _Pairs:
    """Rows that meet: of the many side and of the one side, -1 for a side that is filled in."""

    many: list[int]
    one: list[int]
    signatures: list[Signature]


def combine(query: Query, node: Binary, left: Matrix, right: Matrix) -> Matrix:
    """Raises EvaluationError where series of a side that has to be unique are not."""
    matching = node.matching
    assert matching is not None
    steps = left.present.shape[1]
    is_swapped = matching.cardinality == "one-to-many"
    many, one = (right, left) if is_swapped else (left, right)
    fill_many, fill_one = matching.fill_left, matching.fill_right
    # As in Prometheus 3: with group_right, fill_left is for the right side, the many one, and fill_right for the left.
    many_keys, one_keys = signatures(many, matching), signatures(one, matching)
    one_rows = _rows_by_signature(one_keys)
    reaches: Mask = np.ones(steps, dtype=bool)
    if fill_many is None and fill_one is None:
        reaches = np.asarray(many.present.any(axis=0))
    _check_unique(one, one_rows, reaches, matching)
    pairs = _pair(many_keys, one_rows, fill_many is not None, fill_one is not None)
    if not pairs.many:
        return empty(steps)
    sides = _side(many, pairs.many, fill_many, steps), _side(one, pairs.one, fill_one, steps)
    return _evaluated(query, node, matching, sides, pairs, (many, one), is_swapped)


def _rows_by_signature(keys: list[Signature]) -> dict[Signature, list[int]]:
    rows: dict[Signature, list[int]] = {}
    for row, signature in enumerate(keys):
        rows.setdefault(signature, []).append(row)
    return rows


def _check_unique(one: Matrix, rows: dict[Signature, list[int]], reaches: Mask, matching: Matching) -> None:
    side = "left" if matching.cardinality == "one-to-many" else "right"
    for found in rows.values():
        if len(found) < 2:
            continue
        clash = (one.present[found].sum(axis=0) > 1) & reaches
        if clash.any():
            step = int(np.flatnonzero(clash)[0])
            first, second = [row for row in found if one.present[row, step]][:2]
            group = labels_text(match_labels(one.labels[second], matching))
            raise EvaluationError(
                f"found duplicate series for the match group {group} on the {side} hand-side of the operation: "
                f"[{labels_text(one.labels[second])}, {labels_text(one.labels[first])}];many-to-many matching not "
                "allowed: matching labels must be unique on one side"
            )


def _pair(
    many_keys: list[Signature],
    one_rows: dict[Signature, list[int]],
    fills_many: bool,
    fills_one: bool,
) -> _Pairs:
    pairs = _Pairs([], [], [])
    for row, signature in enumerate(many_keys):
        for other in [*one_rows.get(signature, ()), *([-1] if fills_one else [])]:
            pairs.many.append(row)
            pairs.one.append(other)
            pairs.signatures.append(signature)
    if fills_many:
        for signature, others in one_rows.items():
            for other in others:
                pairs.many.append(-1)
                pairs.one.append(other)
                pairs.signatures.append(signature)
    return pairs


def _side(matrix: Matrix, rows: list[int], fill: float | None, steps: int) -> Matrix:
    if fill is None:
        return matrix.rows(rows)
    filler = Matrix([{}], np.full((1, steps), fill), np.ones((1, steps), dtype=bool))
    histograms = None
    if matrix.histograms is not None:
        histograms = np.concatenate([matrix.histograms, np.full((1, steps), None, dtype=object)])
    extended = Matrix(
        [*matrix.labels, *filler.labels],
        np.concatenate([matrix.values, filler.values]),
        np.concatenate([matrix.present, filler.present]),
        histograms,
        None if matrix.drops_name is None else np.append(matrix.drops_name, False),
    )
    return extended.rows([len(matrix.labels) if row < 0 else row for row in rows])


def _evaluated(
    query: Query,
    node: Binary,
    matching: Matching,
    sides: tuple[Matrix, Matrix],
    pairs: _Pairs,
    whole: tuple[Matrix, Matrix],
    is_swapped: bool,
) -> Matrix:
    many, one = sides
    meets = many.present & one.present & _unmatched(whole, pairs, matching)
    _check_pairs(matching, meets, pairs, whole, node)
    restricted = (
        Matrix(many.labels, many.values, meets, many.histograms),
        Matrix(one.labels, one.values, meets, one.histograms),
    )
    left, right = (restricted[1], restricted[0]) if is_swapped else restricted
    result = operators.elementwise(query, node, left, right)
    present = meets & result.valid
    values, histograms = result.values, result.histograms
    if node.returns_bool:
        values, histograms = result.kept.astype(np.float64), None
    elif node.operator in COMPARISONS:
        present = present & result.kept
    labels = [_result_labels(query, node, matching, whole, pairs, index) for index in range(len(pairs.many))]
    drops = many.drops.copy()
    if node.returns_bool and query.delayed:
        drops[:] = True
    made = Matrix(labels, np.array(values), present, histograms, drops)
    there = present.any(axis=1)
    return merged(made.rows(np.flatnonzero(there)))


def _unmatched(whole: tuple[Matrix, Matrix], pairs: _Pairs, matching: Matching) -> Mask:
    """Where a filled-in side may stand: at steps at which its signature has no series on that side."""
    steps = whole[0].present.shape[1]
    allowed = np.ones((len(pairs.many), steps), dtype=bool)
    if matching.fill_left is None and matching.fill_right is None:
        return allowed
    for index, (row, other) in enumerate(zip(pairs.many, pairs.one, strict=True)):
        if row >= 0 and other >= 0:
            continue
        matrix = whole[1] if other < 0 else whole[0]
        keys = signatures(matrix, matching)
        same = [at for at, signature in enumerate(keys) if signature == pairs.signatures[index]]
        if same:
            allowed[index] = ~matrix.present[same].any(axis=0)
    return allowed


def _check_pairs(matching: Matching, meets: Mask, pairs: _Pairs, whole: tuple[Matrix, Matrix], node: Binary) -> None:
    by_signature: dict[object, list[int]] = {}
    if matching.cardinality == "one-to-one":
        reason = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        for index, signature in enumerate(pairs.signatures):
            by_signature.setdefault(signature, []).append(index)
    else:
        reason = "multiple matches for labels: grouping labels must ensure unique matches"
        for index, signature in enumerate(pairs.signatures):
            labels = key(_joined_labels(node, matching, whole, pairs, index))
            by_signature.setdefault((signature, labels), []).append(index)
    for found in by_signature.values():
        if len(found) > 1 and (meets[found].sum(axis=0) > 1).any():
            raise EvaluationError(reason)


def _joined_labels(node: Binary, matching: Matching, whole: tuple[Matrix, Matrix], pairs: _Pairs, index: int) -> Labels:
    many, one = whole
    row, other = pairs.many[index], pairs.one[index]
    of_many = many.labels[row] if row >= 0 else match_labels(one.labels[other], matching)
    of_one = one.labels[other] if other >= 0 else match_labels(many.labels[row], matching)
    labels = of_many if node.operator in operators.KEEPS_NAME else without_name(of_many)
    if matching.cardinality == "one-to-one":
        if matching.on:
            labels = {name: value for name, value in labels.items() if name in matching.labels}
        else:
            labels = {name: value for name, value in labels.items() if name not in matching.labels}
    else:
        labels = dict(labels)
        for name in matching.include:
            if of_one.get(name):
                labels[name] = of_one[name]
            else:
                labels.pop(name, None)
    return labels


def _result_labels(
    query: Query, node: Binary, matching: Matching, whole: tuple[Matrix, Matrix], pairs: _Pairs, index: int
) -> Labels:
    labels = _joined_labels(node, matching, whole, pairs, index)
    return without_name(labels) if node.returns_bool and not query.delayed else labels
