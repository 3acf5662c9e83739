"""histogram_quantile and histogram_fraction over classic and native histograms side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tocsin.query.promql import classic_quantile, histogram_statistics
from tocsin.query.promql.calls import Function, FunctionCall, name_of
from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.literals import format_number, parse_number, quote
from tocsin.query.promql.matchers import NAME
from tocsin.query.promql.matrix import Matrix, empty, key, nameless, stacked
from tocsin.query.promql.source import Labels, Values

BUCKET = "le"
_FORCED = (
    "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/"
    "querying/functions/#histogram_quantile)"
)


@dataclass(slots=True)
class _Classic:
    """The bucket series of one histogram."""

    labels: Labels
    uppers: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


def _bucket_groups(call: FunctionCall, value: Matrix, index: int) -> list[_Classic]:
    groups: dict[tuple[tuple[str, str], ...], _Classic] = {}
    there = np.asarray(value.is_float.any(axis=1))
    for row, labels in enumerate(value.labels):
        if not there[row]:
            continue
        text = labels.get(BUCKET, "")
        try:
            upper = parse_number(text)
        except ValueError:
            name = name_of(labels)
            of_metric = f" for metric name {quote(name)}" if name else ""
            reason = f'bucket label "le" is missing or has a malformed value of {quote(text)}{of_metric}'
            call.query.warn(reason, call.position(index))
            continue
        kept = {name: held for name, held in labels.items() if name != BUCKET}
        group = groups.setdefault(key(kept), _Classic(kept))
        group.uppers.append(upper)
        group.rows.append(row)
    return list(groups.values())


def _conflicts(call: FunctionCall, value: Matrix, groups: list[_Classic], index: int) -> tuple[Matrix, Matrix]:
    """The native part of a vector and its classic part, without steps at which a series is both."""
    native = Matrix(value.labels, value.values, value.is_histogram, value.histograms, value.drops_name)
    classic = value.is_float.copy()
    natives = {key(labels): row for row, labels in enumerate(value.labels)}
    present = native.present.copy()
    for group in groups:
        row = natives.get(key(group.labels))
        if row is None:
            continue
        both = present[row] & classic[group.rows].any(axis=0)
        if both.any():
            name = name_of(group.labels)
            of_metric = f" for metric name {quote(name)}" if name else ""
            call.query.warn(f"vector contains a mix of classic and native histograms{of_metric}", call.position(index))
            classic[np.ix_(np.array(group.rows), np.flatnonzero(both))] = False
            present[row] &= ~both
    native.present = present
    return native, Matrix(value.labels, value.values, classic, None, value.drops_name)


def _columns(classic: Matrix, group: _Classic) -> list[tuple[Values, Values, np.ndarray]]:
    """Upper bounds, counts and steps, for each choice of buckets that are there together."""
    order = np.argsort(group.uppers, kind="stable")
    uppers = np.array(group.uppers)[order]
    rows = np.array(group.rows)[order]
    there, counts = classic.present[rows], classic.values[rows]
    if there.all():
        return [_coalesced(uppers, counts, np.arange(there.shape[1]))]
    found = []
    patterns, which = np.unique(there.T, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        if pattern.any():
            steps = np.flatnonzero(which.ravel() == number)
            found.append(_coalesced(uppers[pattern], counts[np.ix_(np.flatnonzero(pattern), steps)], steps))
    return found


def _coalesced(uppers: Values, counts: Values, steps: np.ndarray) -> tuple[Values, Values, np.ndarray]:
    distinct, place = np.unique(uppers, return_inverse=True)
    if len(distinct) == len(uppers):
        return uppers, counts, steps
    summed = np.zeros((len(distinct), counts.shape[1]))
    np.add.at(summed, place.ravel(), counts)
    return distinct, summed, steps


def _classic_result(
    value: Matrix, groups: list[_Classic], compute: Callable[[Values, Values, np.ndarray, np.ndarray], Values]
) -> Matrix:
    """compute: upper bounds, counts (buckets × columns), the step and the group of each column, to a value a column.

    Histograms of the same buckets are computed together.
    """
    steps = value.present.shape[1]
    values = np.full((len(groups), steps), np.nan)
    present = np.zeros((len(groups), steps), dtype=bool)
    batches: dict[bytes, list[tuple[int, Values, Values, np.ndarray]]] = {}
    for number, group in enumerate(groups):
        for uppers, counts, at in _columns(value, group):
            batches.setdefault(uppers.tobytes(), []).append((number, uppers, counts, at))
    for batch in batches.values():
        counts = np.concatenate([counts for _, _, counts, _ in batch], axis=1)
        at = np.concatenate([at for _, _, _, at in batch])
        of_group = np.concatenate([np.full(len(steps_of), number) for number, _, _, steps_of in batch])
        results = compute(batch[0][1], counts, at, of_group)
        start = 0
        for number, _, _, steps_of in batch:
            values[number, steps_of] = results[start : start + len(steps_of)]
            present[number, steps_of] = True
            start += len(steps_of)
    drops = np.array([bool(value.drops[group.rows[0]]) for group in groups], dtype=bool)
    return Matrix([group.labels for group in groups], values, present, None, drops)


def _native_result(native: Matrix, compute: Callable[[int, int], float]) -> Matrix:
    rows = np.flatnonzero(native.present.any(axis=1))
    values = np.full(native.values.shape, np.nan)
    for row, step in zip(*np.nonzero(native.present), strict=True):
        values[row, step] = compute(int(row), int(step))
    return Matrix(native.labels, values, native.present, None, native.drops_name).rows(rows)


def _quantile(call: FunctionCall) -> Matrix:
    return _quantiles(call, call.scalar(0), 0, call.vector(1), 1)


def _warn_of_quantile(call: FunctionCall, q: Values, index: int) -> None:
    for wrong in q[~((q >= 0) & (q <= 1))][:1]:
        reason = f"quantile value should be between 0 and 1, got {format_number(wrong)}"
        call.query.warn(reason, call.position(index))


def _quantiles(call: FunctionCall, q: Values, q_index: int, value: Matrix, index: int) -> Matrix:
    _warn_of_quantile(call, q, q_index)
    groups = _bucket_groups(call, value, index)
    native, classic = _conflicts(call, value, groups, index)

    def of_classic(uppers: Values, counts: Values, steps: np.ndarray, of_group: np.ndarray) -> Values:
        values, repair = classic_quantile.bucket_quantiles(q[steps], uppers, counts)
        for number in np.unique(of_group[repair.forced]) if repair is not None else ():
            _inform_of_input(call, _FORCED, groups[number].labels, index)
        return values

    def of_native(row: int, step: int) -> float:
        assert native.histograms is not None
        histogram = native.histograms[row, step]
        result = histogram_statistics.quantile(float(q[step]), histogram)
        if 0 <= q[step] <= 1 and np.isnan(histogram.sum) and histogram.count:
            outcome = "result is NaN" if np.isnan(result) else "result is skewed higher"
            _inform_of_input(
                call, f"input to histogram_quantile has NaN observations, {outcome}", native.labels[row], 0
            )
        return result

    return _joined(call, value, _native_result(native, of_native), _classic_result(classic, groups, of_classic))


def _inform_of_input(call: FunctionCall, reason: str, labels: Labels, index: int) -> None:
    name = name_of(labels) if call.query.delayed else ""
    of_metric = f" for metric name {quote(name)}" if name else ""
    call.query.inform(reason + of_metric, call.position(index))


def _joined(call: FunctionCall, value: Matrix, native: Matrix, classic: Matrix) -> Matrix:
    made = stacked([native, classic], value.present.shape[1])
    return nameless(
        Matrix(made.labels, made.values.copy(), made.present.copy(), None, made.drops_name), delayed=call.query.delayed
    )


def _fraction(call: FunctionCall) -> Matrix:
    lower, upper, value = call.scalar(0), call.scalar(1), call.vector(2)
    groups = _bucket_groups(call, value, 2)
    native, classic = _conflicts(call, value, groups, 2)

    def of_classic(uppers: Values, counts: Values, steps: np.ndarray, _: np.ndarray) -> Values:
        return classic_quantile.bucket_fractions(lower[steps], upper[steps], uppers, counts)

    def of_native(row: int, step: int) -> float:
        assert native.histograms is not None
        histogram = native.histograms[row, step]
        if np.isnan(histogram.sum) and histogram.count:
            reason = "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            _inform_of_input(call, reason, native.labels[row], 0)
        return histogram_statistics.fraction(float(lower[step]), float(upper[step]), histogram)

    return _joined(call, value, _native_result(native, of_native), _classic_result(classic, groups, of_classic))


def _many_quantiles(call: FunctionCall) -> Matrix:
    """histogram_quantiles: each asked quantile as a series of its own, told apart by a label."""
    value, label = call.vector(0), call.string(1)
    if not label or label == NAME:
        raise EvaluationError(f"invalid label name {quote(label)} in call to histogram_quantiles")
    parts = []
    for index in range(2, len(call)):
        q = call.scalar(index)
        made = _quantiles(call, q, index, value, 0)
        for wanted in np.unique(q):
            text = format_number(float(wanted))
            if text.lstrip("-").isdigit():
                text += ".0"
            part = Matrix(
                [{**labels, label: text} for labels in made.labels], made.values, made.present & (q == wanted)
            )
            part.drops_name = made.drops_name
            parts.append(part)
    return stacked(parts, len(call.grid)) if parts else empty(len(call.grid))


FUNCTIONS: dict[str, Function] = {
    "histogram_fraction": _fraction,
    "histogram_quantile": _quantile,
    "histogram_quantiles": _many_quantiles,
}
