"""Functions of a range vector: what to do with floats, with histograms, and with a mix of both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tocsin.query.promql import extended_rates, over_time, range_histograms, rates
from tocsin.query.promql.calls import Function, FunctionCall, name_of, spread
from tocsin.query.promql.errors import EvaluationError
from tocsin.query.promql.expressions import unwrapped
from tocsin.query.promql.literals import format_number, quote
from tocsin.query.promql.matrix import SAME_LABELS, Mask, Matrix, arranged, key, nameless, single, without_name
from tocsin.query.promql.source import Values
from tocsin.query.promql.vector_functions import labels_of_absent
from tocsin.query.promql.windows import Windows

Floats = Callable[[FunctionCall, Windows], tuple[Values, Mask]]
OfWindows = Callable[[FunctionCall, Windows], Matrix]

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def _on_range(function: OfWindows, index: int = 0, *, keeps_name: bool = False) -> Function:
    """A function of the range vector at this place, which is computed once where `@` fixes it."""
    return _once_if_pinned(_each_portion(function, index, keeps_name=keeps_name), index)


def _each_portion(function: OfWindows, index: int = 0, *, keeps_name: bool = False) -> Function:
    """Portion by portion of the series: only of one are all samples held."""

    def whole(call: FunctionCall) -> Matrix:
        made = arranged([function(call, windows) for windows in call.windows(index)], len(call.grid))
        return made if keeps_name else _without_names(call, made)

    return whole


def _without_names(call: FunctionCall, made: Matrix) -> Matrix:
    if not call.query.delayed:
        labels = [key(without_name(one)) for one in made.labels]
        if len(set(labels)) < len(labels) and _overlaps(made):
            raise EvaluationError(SAME_LABELS)
    return nameless(made, delayed=call.query.delayed)


def _overlaps(made: Matrix) -> bool:
    there = [row for row in range(len(made.labels)) if made.present[row].any()]
    labels = [key(without_name(made.labels[row])) for row in there]
    return len(set(labels)) < len(labels)


def _once_if_pinned(function: Function, index: int = 0) -> Function:
    """A range vector fixed by `@` is the same at every step: computed once, and repeated."""

    def wrapped(call: FunctionCall) -> Matrix:
        constant = all(position == index or _is_constant(call, position) for position in range(len(call)))
        if call.is_pinned(index) and constant:
            return spread(function(call.on_first_step()), len(call.grid))
        return function(call)

    return wrapped


def _is_constant(call: FunctionCall, index: int) -> bool:
    return type(unwrapped(call.argument(index))).__name__ in ("NumberLiteral", "StringLiteral")


def _rate(call: FunctionCall, windows: Windows) -> Matrix:
    """rate, increase and delta."""
    is_counter, is_rate = call.name != "delta", call.name == "rate"
    if windows.extension:
        values, present = extended_rates.rate(windows, is_counter=is_counter, is_rate=is_rate)
        made = windows.matrix(values, present)
    else:
        values, present = rates.extrapolated(windows, is_counter=is_counter, is_rate=is_rate)
        made = windows.matrix(values, present)
        if windows.histograms is not None:
            range_histograms.rates(call, windows, made, is_counter=is_counter, is_rate=is_rate)
    if is_counter:
        _note_non_counters(call, made)
    return made


def _note_non_counters(call: FunctionCall, made: Matrix) -> None:
    if call.name not in ("rate", "increase"):
        return
    for row in np.flatnonzero(made.is_float.any(axis=1)):
        name = name_of(made.labels[row])
        if name and not name.endswith(_COUNTER_SUFFIXES):
            call.query.inform(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " + quote(name),
                call.position(0),
            )


def _last_change(call: FunctionCall, windows: Windows) -> Matrix:
    """irate and idelta."""
    values, present = rates.last_change(windows, is_rate=call.name == "irate")
    made = windows.matrix(values, present)
    if windows.histograms is not None:
        range_histograms.last_changes(call, windows, made, is_rate=call.name == "irate")
    return made


def _summed(call: FunctionCall, windows: Windows) -> Matrix:
    """sum_over_time and avg_over_time."""
    of = over_time.total if call.name == "sum_over_time" else over_time.mean
    made = windows.matrix(*of(call.query, windows))
    if windows.histograms is not None:
        range_histograms.sums(call, windows, made, mean=call.name == "avg_over_time")
    return made


def _of_floats(floats: Floats) -> OfWindows:
    """A function that passes over histograms, and says so where there are floats too."""

    def function(call: FunctionCall, windows: Windows) -> Matrix:
        made = windows.matrix(*floats(call, windows))
        mixed = (windows.counts > 0) & (windows.histogram_counts > 0)
        for row in np.flatnonzero(mixed.any(axis=1)):
            call.query.inform(
                "ignored histograms in a range containing both floats and histograms for metric name "
                + quote(name_of(windows.labels[row])),
                call.position(0),
            )
        return made

    return function


def _predict_linear(call: FunctionCall, windows: Windows) -> tuple[Values, Mask]:
    now = np.broadcast_to(call.grid.times, windows.first.shape).ravel()
    slope, intercept, present = over_time.regression(call.query, windows, now)
    return slope * call.scalar(1) + intercept, present


def _smoothing(call: FunctionCall, windows: Windows) -> tuple[Values, Mask]:
    factors = call.scalar(1), call.scalar(2)
    for factor, what in zip(factors, ("smoothing", "trend"), strict=True):
        wrong = factor[(factor <= 0) | (factor >= 1)]
        if len(wrong) and len(windows.labels):
            raise EvaluationError(f"invalid {what} factor. Expected: 0 < {what[0]}f < 1, got: {wrong[0]:f}")
    return over_time.smoothed(call.query, windows, *factors)


def _quantile(call: FunctionCall, windows: Windows) -> tuple[Values, Mask]:
    asked = call.scalar(0)
    if (windows.counts > 0).any():
        for q in asked[~((asked >= 0) & (asked <= 1))][:1]:
            reason = f"quantile value should be between 0 and 1, got {format_number(q)}"
            call.query.warn(reason, call.position(0))
    return over_time.quantile(windows, asked)


def _counted(call: FunctionCall, windows: Windows) -> Matrix:
    """count_over_time and present_over_time."""
    counts = (windows.counts + windows.histogram_counts).astype(np.float64)
    values = counts if call.name == "count_over_time" else np.ones_like(counts)
    return windows.matrix(values, counts > 0)


def _absent(call: FunctionCall) -> Matrix:
    made = single(np.ones(len(call.grid)), labels_of_absent(call.argument(0)))
    for windows in call.windows(0):
        made.present &= ((windows.counts + windows.histogram_counts) == 0).all(axis=0)
    return made


def _edge(call: FunctionCall, windows: Windows) -> Matrix:
    """first_over_time, last_over_time and the times of both."""
    return range_histograms.edges(windows, is_last="last" in call.name, is_time=call.name.startswith("ts_of_"))


def _changes(call: FunctionCall, windows: Windows) -> Matrix:
    """changes and resets."""
    if windows.extension == "anchored":
        windows = extended_rates.from_anchor(windows)
    only_falls = call.name == "resets"
    made = windows.matrix(*over_time.changes(windows, only_falls=only_falls))
    if windows.histograms is not None:
        range_histograms.changes(windows, made, only_falls=only_falls)
    return made


def _root(call: FunctionCall, windows: Windows) -> tuple[Values, Mask]:
    values, present = over_time.variance(call.query, windows)
    return np.sqrt(values), present


FUNCTIONS: dict[str, Function] = {
    "rate": _on_range(_rate),
    "increase": _on_range(_rate),
    "delta": _on_range(_rate),
    "irate": _on_range(_last_change),
    "idelta": _on_range(_last_change),
    "sum_over_time": _on_range(_summed),
    "avg_over_time": _on_range(_summed),
    "count_over_time": _on_range(_counted),
    "present_over_time": _on_range(_counted),
    "absent_over_time": _once_if_pinned(_absent),
    "first_over_time": _on_range(_edge, keeps_name=True),
    "last_over_time": _on_range(_edge, keeps_name=True),
    "ts_of_first_over_time": _on_range(_edge),
    "ts_of_last_over_time": _on_range(_edge),
    "changes": _on_range(_changes),
    "resets": _on_range(_changes),
    "max_over_time": _on_range(_of_floats(lambda call, windows: over_time.extreme(windows, largest=True))),
    "min_over_time": _on_range(_of_floats(lambda call, windows: over_time.extreme(windows, largest=False))),
    "ts_of_max_over_time": _on_range(
        _of_floats(lambda call, windows: over_time.time_of_extreme(call.query, windows, largest=True))
    ),
    "ts_of_min_over_time": _on_range(
        _of_floats(lambda call, windows: over_time.time_of_extreme(call.query, windows, largest=False))
    ),
    "stdvar_over_time": _on_range(_of_floats(lambda call, windows: over_time.variance(call.query, windows))),
    "stddev_over_time": _on_range(_of_floats(_root)),
    "mad_over_time": _on_range(_of_floats(lambda call, windows: over_time.deviation(windows))),
    "deriv": _on_range(_of_floats(lambda call, windows: over_time.slopes(call.query, windows))),
    "quantile_over_time": _on_range(_of_floats(_quantile), 1),
    "double_exponential_smoothing": _on_range(_of_floats(_smoothing)),
    "holt_winters": _on_range(_of_floats(_smoothing)),
    "predict_linear": _each_portion(_of_floats(_predict_linear)),
}
