"""Functions of instant vectors and scalars: arithmetic, order, absence, the time of evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tocsin.query.promql.calls import Function, FunctionCall
from tocsin.query.promql.expressions import Expression, MatrixSelector, VectorSelector, unwrapped
from tocsin.query.promql.label_functions import natural_key
from tocsin.query.promql.matchers import NAME
from tocsin.query.promql.matrix import Matrix, nameless, single
from tocsin.query.promql.source import Labels, Values

Change = Callable[[Values], Values]


def _of_values(change: Change) -> Callable[[FunctionCall], Matrix]:
    def function(call: FunctionCall) -> Matrix:
        value = call.vector(0)
        return nameless(value.with_floats(change(value.values)), delayed=call.query.delayed)

    return function


def _sign(values: Values) -> Values:
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def _round(call: FunctionCall) -> Matrix:
    value = call.vector(0)
    inverse = 1.0 / (call.scalar(1) if len(call) > 1 else np.ones(len(call.grid)))
    rounded = np.floor(value.values * inverse + 0.5) / inverse
    return nameless(value.with_floats(rounded), delayed=call.query.delayed)


def _clamp(call: FunctionCall) -> Matrix:
    value = call.vector(0)
    steps = len(call.grid)
    least, most = np.full(steps, -np.inf), np.full(steps, np.inf)
    if call.name != "clamp_max":
        least = call.scalar(1)
    if call.name != "clamp_min":
        most = call.scalar(2 if call.name == "clamp" else 1)
    clamped = np.maximum(least, np.minimum(most, value.values))
    present = value.is_float & ~(most < least)
    return nameless(value.with_floats(clamped, present), delayed=call.query.delayed)


def _scalar(call: FunctionCall) -> Matrix:
    value = call.vector(0)
    there = value.is_float
    values = np.where(there, value.values, 0.0).sum(axis=0)
    nan = np.isnan(np.where(there, value.values, 0.0)).any(axis=0)
    return single(np.where((there.sum(axis=0) == 1) & ~nan, values, np.nan))


def _vector(call: FunctionCall) -> Matrix:
    return single(call.scalar(0))


def _time(call: FunctionCall) -> Matrix:
    return single(call.grid.times / 1000)


def _edge_of_query(call: FunctionCall) -> Matrix:
    """start(), end(), range() and step() of the whole query, in seconds."""
    grid = call.query.grid
    step = 0 if grid.start_ms == grid.end_ms else grid.step_ms
    numbers = {"start": grid.start_ms, "end": grid.end_ms, "range": grid.end_ms - grid.start_ms, "step": step}
    return single(np.full(len(call.grid), numbers[call.name] / 1000))


def _of_two(call: FunctionCall) -> Matrix:
    """min_of and max_of: NaN if either is."""
    choose = np.minimum if call.name == "min_of" else np.maximum
    return single(choose(call.scalar(0), call.scalar(1)))


def _pi(call: FunctionCall) -> Matrix:
    return single(np.full(len(call.grid), math.pi))


def _timestamp(call: FunctionCall) -> Matrix:
    node = unwrapped(call.argument(0))
    if isinstance(node, VectorSelector):
        value = call.evaluator.instant_vector(node, call.grid, timestamps=True)
        made = Matrix(value.labels, value.values, value.present)
    else:
        value = call.vector(0)
        times = np.broadcast_to(call.grid.times / 1000, value.values.shape)
        made = Matrix(value.labels, times.copy(), value.present, None, value.drops_name)
    return nameless(made, delayed=call.query.delayed)


def labels_of_absent(node: Expression) -> Labels:
    """What a selector says about the labels of what it did not find; a label asked twice says nothing."""
    selector = node.selector if isinstance(node, MatrixSelector) else node
    if not isinstance(selector, VectorSelector):
        return {}
    labels: Labels = {}
    seen: set[str] = set()
    for matcher in selector.matchers:
        if matcher.name == NAME:
            continue
        if matcher.operator == "=" and matcher.name not in seen:
            seen.add(matcher.name)
            if matcher.value:
                labels[matcher.name] = matcher.value
        else:
            labels.pop(matcher.name, None)
    return labels


def _absent(call: FunctionCall) -> Matrix:
    value = call.vector(0)
    made = single(np.ones(len(call.grid)), labels_of_absent(unwrapped(call.argument(0))))
    made.present = ~np.asarray(value.present.any(axis=0, keepdims=True))
    return made


def _sorted(call: FunctionCall) -> Matrix:
    """sort and sort_desc, NaN last; over a range there is no order to keep."""
    value = call.vector(0)
    made = value.with_floats(value.values)
    if len(call.grid) > 1:
        return made
    values = made.values[:, 0]
    keys = values if call.name == "sort" else -values
    rows = np.lexsort((keys, np.isnan(values)))
    return made.rows([row for row in rows if made.present[row, 0]])


def _sorted_by_label(call: FunctionCall) -> Matrix:
    value = call.vector(0)
    if len(call.grid) > 1:
        return value
    names = [call.string(index) for index in range(1, len(call))]
    rows = sorted(
        range(len(value.labels)),
        key=lambda row: (
            [natural_key(value.labels[row].get(name, "")) for name in names],
            sorted(value.labels[row].items()),
        ),
        reverse=call.name.endswith("_desc"),
    )
    return value.rows(rows)


_CHANGES: dict[str, Change] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": lambda values: values * 180 / math.pi,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": lambda values: values * math.pi / 180,
    "sgn": _sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}

FUNCTIONS: dict[str, Function] = {
    **{name: _of_values(change) for name, change in _CHANGES.items()},
    "absent": _absent,
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "end": _edge_of_query,
    "max_of": _of_two,
    "min_of": _of_two,
    "pi": _pi,
    "range": _edge_of_query,
    "round": _round,
    "scalar": _scalar,
    "sort": _sorted,
    "sort_by_label": _sorted_by_label,
    "sort_by_label_desc": _sorted_by_label,
    "sort_desc": _sorted,
    "start": _edge_of_query,
    "step": _edge_of_query,
    "time": _time,
    "timestamp": _timestamp,
    "vector": _vector,
}
