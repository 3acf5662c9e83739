"""Functions that take one number out of each native histogram; floats are passed over."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tocsin.query.promql.calls import Function, FunctionCall
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.histogram_statistics import variance
from tocsin.query.promql.matrix import Matrix, nameless


def _of_histograms(number: Callable[[NativeHistogram], float]) -> Callable[[FunctionCall], Matrix]:
    def function(call: FunctionCall) -> Matrix:
        value = call.vector(0)
        present = value.is_histogram
        values = np.full(value.values.shape, np.nan)
        for row, step in zip(*np.nonzero(present), strict=True):
            assert value.histograms is not None
            values[row, step] = number(value.histograms[row, step])
        return nameless(Matrix(value.labels, values, present, None, value.drops_name), delayed=call.query.delayed)

    return function


def _average(histogram: NativeHistogram) -> float:
    if histogram.count:
        return histogram.sum / histogram.count
    return math.nan if histogram.sum == 0 or math.isnan(histogram.sum) else math.copysign(math.inf, histogram.sum)


def _deviation(histogram: NativeHistogram) -> float:
    spread = variance(histogram)
    return math.sqrt(spread) if spread >= 0 else math.nan


FUNCTIONS: dict[str, Function] = {
    "histogram_avg": _of_histograms(_average),
    "histogram_count": _of_histograms(lambda histogram: histogram.count),
    "histogram_stddev": _of_histograms(_deviation),
    "histogram_stdvar": _of_histograms(variance),
    "histogram_sum": _of_histograms(lambda histogram: histogram.sum),
}
