"""The operators `</` and `>/`: a native histogram without its observations beyond a value."""

from __future__ import annotations

import math

from tocsin.query.promql.histogram import Bucket, NativeHistogram, bound


def trimmed(histogram: NativeHistogram, value: float, *, upper: bool) -> NativeHistogram:
    """Without what lies above (`upper`) or below a value; a bucket that it cuts is interpolated."""
    made = histogram.copy()
    kept = _Kept(value, upper, histogram.is_custom)
    for index in histogram.positive:
        bucket = _bucket(histogram, index)
        made.positive[index] = kept.of(bucket, is_positive=True)
    for index in histogram.negative:
        bucket = Bucket(-bound(index, histogram.schema), -bound(index - 1, histogram.schema), histogram.negative[index])
        made.negative[index] = kept.of(bucket, is_positive=False)
    if histogram.zero_count > 0:
        zero = Bucket(-histogram.zero_threshold, histogram.zero_threshold, histogram.zero_count)
        below = _below(zero, value, is_positive=True, is_linear=True)
        made.zero_count = below if upper else zero.held - below
        kept.count += made.zero_count
    made.count, made.sum = kept.count, 0.0
    if kept.count:
        made.sum = histogram.sum - kept.removed_sum
        if (not kept.has_negative and made.sum < 0) or (not kept.has_positive and made.sum > 0):
            made.sum = 0.0
    return made.compact()


class _Kept:
    """What remains, bucket by bucket."""

    def __init__(self, value: float, upper: bool, is_custom: bool) -> None:
        self.value, self.upper, self.is_custom = value, upper, is_custom
        self.count = 0.0
        self.removed_sum = 0.0
        self.has_positive = False
        self.has_negative = False

    def of(self, bucket: Bucket, *, is_positive: bool) -> float:
        if bucket.held == 0:
            return 0.0
        self._note_sign(bucket, is_positive)
        count, middle = self._split(bucket, is_positive)
        is_whole = bucket.upper <= self.value if self.upper else bucket.lower >= self.value
        if is_whole:
            self.count += bucket.held
            return bucket.held
        is_cut = bucket.lower < self.value if self.upper else bucket.upper > self.value
        if is_cut:
            self.removed_sum += (bucket.held - count) * middle
            self.count += count
            return count
        if not self.is_custom:
            middle = math.copysign(math.sqrt(bucket.lower * bucket.upper), 1.0)
        self.removed_sum += bucket.held * middle
        return 0.0

    def _note_sign(self, bucket: Bucket, is_positive: bool) -> None:
        if self.is_custom:
            self.has_negative |= bucket.upper <= 0 or bucket.lower < 0
            self.has_positive |= bucket.upper > 0
        else:
            self.has_positive |= is_positive
            self.has_negative |= not is_positive

    def _split(self, bucket: Bucket, is_positive: bool) -> tuple[float, float]:
        """How many observations stay, and the value that stands for those that go."""
        if math.isinf(bucket.lower) or math.isinf(bucket.upper):
            return self._split_open(bucket)
        below = _below(bucket, self.value, is_positive=is_positive, is_linear=self.is_custom)
        outer = bucket.lower if self.upper else bucket.upper
        if self.is_custom:
            middle = (bucket.lower + bucket.upper) / 2
        else:
            middle = math.copysign(math.sqrt(abs(outer) * abs(self.value)), 1.0 if is_positive else -1.0)
        return (below if self.upper else bucket.held - below), middle

    def _split_open(self, bucket: Bucket) -> tuple[float, float]:
        if bucket.lower == -math.inf:
            if (self.value >= bucket.upper) if self.upper else (self.value <= bucket.lower):
                return bucket.held, 0.0
            if 0 <= self.value < bucket.upper < math.inf:  # taken to begin at 0
                share = self.value / bucket.upper
                if self.upper:
                    return bucket.held * share, (self.value + bucket.upper) / 2
                return bucket.held * (1 - share), self.value / 2
            return 0.0, bucket.upper
        if not self.upper and self.value <= bucket.lower:
            return bucket.held, 0.0
        return 0.0, bucket.lower


def _bucket(histogram: NativeHistogram, index: int) -> Bucket:
    if not histogram.is_custom:
        lower, upper = bound(index - 1, histogram.schema), bound(index, histogram.schema)
    else:
        bounds = (-math.inf, *histogram.custom_values, math.inf)
        lower, upper = bounds[index], bounds[index + 1]
    return Bucket(lower, upper, histogram.positive[index])


def _below(bucket: Bucket, value: float, *, is_positive: bool, is_linear: bool) -> float:
    if value <= bucket.lower:
        return 0.0
    if value >= bucket.upper:
        return bucket.held
    if is_linear:
        return bucket.held * (value - bucket.lower) / (bucket.upper - bucket.lower)
    low, high, at = (math.log2(abs(one)) for one in (bucket.lower, bucket.upper, value))
    share = (at - low) / (high - low) if is_positive else 1 - (at - high) / (low - high)
    return bucket.held * share
