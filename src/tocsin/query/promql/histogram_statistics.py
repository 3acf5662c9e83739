"""Quantiles, fractions and spread of one native histogram, interpolated as Prometheus does."""

from __future__ import annotations

import math

from tocsin.query.promql.histogram import Bucket, NativeHistogram


def quantile(q: float, histogram: NativeHistogram) -> float:
    """The q-quantile: linear within custom and zero buckets, exponential elsewhere."""
    if q < 0:
        return -math.inf
    if q > 1:
        return math.inf
    if histogram.count == 0 or math.isnan(q):
        return math.nan
    # NaN observations count, but are in no bucket: then ranks only hold from below.
    forward = math.isnan(histogram.sum) or q < 0.5
    rank = q * histogram.count if forward else (1 - q) * histogram.count
    places = histogram.places()
    bucket = Bucket(0.0, 0.0, 0.0)
    seen = 0.0
    last = None
    for place in places if forward else reversed(places):
        last = place
        seen += place[2]
        if place[2] and seen >= rank:
            break
    if last is not None:
        bucket = histogram.bucket(last)
    return _within(histogram, bucket, min(seen, histogram.count), rank, forward)


def _within(histogram: NativeHistogram, bucket: Bucket, seen: float, rank: float, forward: bool) -> float:
    lower, upper = _zero_bounds(histogram, bucket, strictly=True)
    if histogram.is_custom:
        if lower == -math.inf:
            if upper <= 0:
                return upper
            lower = 0.0
        elif upper == math.inf:
            return lower
    if seen < rank:
        return math.nan if math.isnan(histogram.sum) else upper
    rank = rank - (seen - bucket.held) if forward else seen - rank
    if bucket.held == 0:
        return math.nan
    fraction = rank / bucket.held
    if histogram.is_custom or lower <= 0 <= upper:
        return lower + (upper - lower) * fraction
    log_lower, log_upper = math.log2(abs(lower)), math.log2(abs(upper))
    if lower > 0:
        return float(2 ** (log_lower + (log_upper - log_lower) * fraction))
    return float(-(2 ** (log_upper + (log_lower - log_upper) * (1 - fraction))))


def _zero_bounds(histogram: NativeHistogram, bucket: Bucket, *, strictly: bool) -> tuple[float, float]:
    """The bounds of a bucket; the zero bucket ends at 0 on a side where there are no other buckets."""
    lower, upper = bucket.lower, bucket.upper
    is_zero = lower < 0 < upper if strictly else lower <= 0 <= upper
    if is_zero and not histogram.is_custom:
        if not histogram.negative and histogram.positive:
            lower = 0.0
        elif not histogram.positive and histogram.negative:
            upper = 0.0
    return lower, upper


def fraction(lower: float, upper: float, histogram: NativeHistogram) -> float:
    """The share of observations between both values."""
    if histogram.count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    count = histogram.count
    if math.isnan(histogram.sum):  # NaN observations are in no bucket and in no fraction
        in_buckets = sum(bucket.held for bucket in histogram.buckets())
        return (_rank_of(upper, histogram, in_buckets) - _rank_of(lower, histogram, in_buckets)) / count
    return (_rank_of(upper, histogram, count) - _rank_of(lower, histogram, count)) / count


def _rank_of(value: float, histogram: NativeHistogram, count: float) -> float:
    """How many observations are below a value."""
    rank = 0.0
    for bucket in histogram.buckets():
        low, high = _zero_bounds(histogram, bucket, strictly=False)
        is_zero = not histogram.is_custom and bucket.lower <= 0 <= bucket.upper
        if histogram.is_custom and low == -math.inf:
            low = 0.0 if high > 0 else low
        if low >= value:
            return min(rank, count)
        if high > value:
            return min(rank + bucket.held * _share(value, low, high, linear=histogram.is_custom or is_zero), count)
        rank += bucket.held
    return count


def _share(value: float, low: float, high: float, *, linear: bool) -> float:
    if low == -math.inf:
        return 1.0
    if high == math.inf:
        return 0.0
    if linear:
        return (value - low) / (high - low)
    log_low, log_high, log_value = math.log2(abs(low)), math.log2(abs(high)), math.log2(abs(value))
    if value > 0:
        return (log_value - log_low) / (log_high - log_low)
    return 1 - (log_value - log_high) / (log_low - log_high)


def variance(histogram: NativeHistogram) -> float:
    """As if every observation were in the middle of its bucket: arithmetic for custom buckets, else geometric."""
    if histogram.count == 0:
        return math.nan
    mean = histogram.sum / histogram.count
    total = 0.0
    compensation = 0.0
    for bucket in histogram.buckets():
        if bucket.held == 0:
            continue
        if histogram.is_custom:
            middle = (bucket.upper + bucket.lower) / 2
        elif bucket.lower <= 0 <= bucket.upper:
            middle = 0.0
        else:
            middle = math.copysign(math.sqrt(bucket.upper * bucket.lower), bucket.upper)
        part = bucket.held * (middle - mean) ** 2
        new = total + part
        if math.isinf(new):
            compensation = 0.0
        elif abs(total) >= abs(part):
            compensation += (total - new) + part
        else:
            compensation += (part - new) + total
        total = new
    return (total + compensation) / histogram.count
