"""Sums and means of native histograms, of series at a step or of the samples in a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tocsin.query.promql.aggregation_floats import float_mean, float_sum
from tocsin.query.promql.calls import name_of
from tocsin.query.promql.errors import Position
from tocsin.query.promql.expressions import Aggregation
from tocsin.query.promql.grouping import Groups
from tocsin.query.promql.histogram import Hint, IncompatibleHistogramsError, NativeHistogram
from tocsin.query.promql.histogram_columns import exact_sum
from tocsin.query.promql.literals import quote
from tocsin.query.promql.matrix import Matrix
from tocsin.query.promql.query import Query


def aggregated(query: Query, node: Aggregation, value: Matrix, groups: Groups) -> Matrix:
    """sum or avg where some samples are histograms: a group with both kinds at a step has no result there."""
    of_floats = float_sum if node.operator == "sum" else float_mean
    values, present = of_floats(value.values, value.is_float, groups)
    histograms = np.full(present.shape, None, dtype=object)
    is_histogram = value.is_histogram
    assert value.histograms is not None
    position = node.expression.position
    for group, rows in enumerate(groups.members):
        for step in np.flatnonzero(is_histogram[rows].any(axis=0)):
            if present[group, step]:
                query.warn("encountered a mix of histograms and floats for aggregation", position)
                present[group, step] = False
                continue
            members = [row for row in rows if is_histogram[row, step]]
            samples = [value.histograms[row, step] for row in members]
            name = name_of(value.labels[members[-1]])
            made = combined(query, samples, name, position, mean=node.operator == "avg")
            histograms[group, step] = made
            present[group, step] = made is not None
    return Matrix(groups.labels, values, present, histograms, groups.drops_name)


def combined(
    query: Query, samples: Sequence[NativeHistogram], name: str, position: Position, *, mean: bool
) -> NativeHistogram | None:
    """The sum or mean; None, with a warning, where the layouts do not go together."""
    hints = {sample.hint for sample in samples}
    if {"reset", "not_reset"} <= hints:
        query.warn("conflicting counter resets during histogram aggregation", position)
    exact = exact_sum(samples)
    if exact is not None:
        exact.hint = _hint_of_sum(samples)
        return (exact.divided(len(samples)) if mean else exact).compact()
    total = samples[0].copy()
    lost: NativeHistogram | None = None
    try:
        for sample in samples[1:]:
            total, lost, reconciled = _kahan_plus(total, sample, lost)
            if reconciled:
                query.inform("mismatched custom buckets were reconciled during aggregation", position)
    except IncompatibleHistogramsError:
        warn_of_schemas(query, name, position)
        return None
    if lost is not None:
        hint = total.hint
        total, _ = total.plus(lost)
        total.hint = hint
    if mean:
        if np.isinf([total.sum, total.count]).any() and not any(np.isinf([s.sum, s.count]).any() for s in samples):
            return _moving_mean(samples)
        total = total.divided(len(samples))
    return total.compact()


def _hint_of_sum(samples: Sequence[NativeHistogram]) -> Hint:
    hints = {sample.hint for sample in samples}
    if "gauge" in hints:
        return "gauge"
    return samples[0].hint if len(hints) == 1 else "unknown"


def warn_of_schemas(query: Query, name: str, position: Position) -> None:
    query.warn(
        "vector contains a mix of histograms with exponential and custom buckets schemas "
        f"for metric name {quote(name)}",
        position,
    )


def _moving_mean(samples: Sequence[NativeHistogram]) -> NativeHistogram:
    made = samples[0].copy()
    for number, sample in enumerate(samples[1:], start=2):
        made, _ = made.scaled((number - 1) / number).plus(sample.divided(number))
    return made.compact()


def _kahan_plus(
    total: NativeHistogram, added: NativeHistogram, lost: NativeHistogram | None
) -> tuple[NativeHistogram, NativeHistogram, bool]:
    """The sum, what rounding has taken from it so far, and whether custom bounds had to be reconciled."""
    new, reconciled = total.plus(added)
    # The same additions backwards tell what was lost; layouts are those of the sum from here on.
    blank = new.scaled(0.0)
    left, _ = blank.plus(total)
    right, _ = blank.plus(added)
    lost = blank if lost is None else blank.plus(lost)[0]
    made = new.copy()
    made.count = lost.count + _lost(left.count, right.count, new.count)
    made.sum = lost.sum + _lost(left.sum, right.sum, new.sum)
    made.zero_count = lost.zero_count + _lost(left.zero_count, right.zero_count, new.zero_count)
    for target, one, other, summed, before in (
        (made.positive, left.positive, right.positive, new.positive, lost.positive),
        (made.negative, left.negative, right.negative, new.negative, lost.negative),
    ):
        for index in target:
            target[index] = before.get(index, 0.0) + _lost(
                one.get(index, 0.0), other.get(index, 0.0), summed.get(index, 0.0)
            )
    return new, made, reconciled.bounds


def _lost(left: float, right: float, total: float) -> float:
    if not np.isfinite(total):
        return 0.0
    return (left - total) + right if abs(left) >= abs(right) else (right - total) + left
