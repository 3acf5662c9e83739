"""Native histograms of one layout as columns of numbers, so that whole series are computed at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tocsin.query.promql.histogram import Buckets, NativeHistogram
from tocsin.query.promql.matrix import Mask
from tocsin.query.promql.source import Values
from tocsin.query.promql.windows import Index

Layout = tuple[int, float, tuple[float, ...]]


def layout(histogram: NativeHistogram) -> Layout:
    """What two histograms share when their buckets of the same index have the same bounds."""
    return histogram.schema, histogram.zero_threshold, histogram.custom_values


@dataclass(slots=True)
class Columns:
    """numbers: (n samples, 3 + n buckets): count, sum, zero count, then positive and negative buckets.

    is_reset: whether the counter started anew at a sample.
    """

    model: NativeHistogram
    positive: list[int]
    negative: list[int]
    numbers: Values
    is_reset: Mask

    def changes(self, first: Index, last: Index) -> Values:
        """What was added from each first sample to its last one, over all resets between."""
        change = self.numbers[last] - self.numbers[first]
        if self.is_reset.any():
            lost = np.zeros_like(self.numbers)
            lost[1:][self.is_reset[1:]] = self.numbers[:-1][self.is_reset[1:]]
            running = np.cumsum(lost, axis=0)
            change += running[last] - running[first]
        return np.asarray(change)

    def histogram(self, numbers: NDArray[np.float64]) -> NativeHistogram:
        """A row of numbers as a histogram again: a gauge, without empty buckets."""
        count, total, zero, *buckets = numbers.tolist()
        split = len(self.positive)
        return NativeHistogram(
            self.model.schema,
            count,
            total,
            self.model.zero_threshold,
            zero,
            {index: held for index, held in zip(self.positive, buckets[:split], strict=True) if held},
            {index: held for index, held in zip(self.negative, buckets[split:], strict=True) if held},
            self.model.custom_values,
            "gauge",
        )


def columns(samples: Sequence[NativeHistogram]) -> Columns | None:
    """None where layouts differ or a sample is no counter."""
    model = samples[0]
    shared = layout(model)
    if any(sample.hint == "gauge" or layout(sample) != shared for sample in samples):
        return None
    positive = sorted({index for sample in samples for index in sample.positive})
    negative = sorted({index for sample in samples for index in sample.negative})
    numbers = np.array([_row(sample, positive, negative) for sample in samples], dtype=np.float64)
    falls = np.zeros(len(samples), dtype=bool)
    counted = np.delete(numbers, 1, axis=1)  # the sum may fall
    falls[1:] = (counted[1:] < counted[:-1]).any(axis=1)
    hints = np.array([sample.hint for sample in samples])
    is_reset = (falls | (hints == "reset")) & (hints != "not_reset")
    return Columns(model, positive, negative, numbers, np.asarray(is_reset))


def _row(sample: NativeHistogram, positive: list[int], negative: list[int]) -> list[float]:
    row = [sample.count, sample.sum, sample.zero_count]
    row += [sample.positive.get(index, 0.0) for index in positive]
    return row + [sample.negative.get(index, 0.0) for index in negative]


def exact_sum(samples: Sequence[NativeHistogram]) -> NativeHistogram | None:
    """The sum without any rounding; None where layouts differ or a number is not finite."""
    shared = layout(samples[0])
    if any(layout(sample) != shared for sample in samples):
        return None
    try:
        made = replace(
            samples[0],
            count=_finite_sum([sample.count for sample in samples]),
            sum=_finite_sum([sample.sum for sample in samples]),
            zero_count=_finite_sum([sample.zero_count for sample in samples]),
            positive=_bucket_sums([sample.positive for sample in samples]),
            negative=_bucket_sums([sample.negative for sample in samples]),
        )
    except (OverflowError, ValueError):
        return None
    return made


def _bucket_sums(parts: Sequence[Buckets]) -> Buckets:
    held: dict[int, list[float]] = {}
    for part in parts:
        for index, count in part.items():
            held.setdefault(index, []).append(count)
    return {index: _finite_sum(counts) for index, counts in held.items()}


def _finite_sum(numbers: Sequence[float]) -> float:
    total = math.fsum(numbers)
    if not math.isfinite(total):
        raise OverflowError
    return total
