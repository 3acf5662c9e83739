"""Native histograms: buckets of a resolution, kept by index, and the arithmetic on them.

Source: Prometheus' specification of native histograms. Bucket i of schema s holds (2^((i-1)/2^s), 2^(i/2^s)];
schema -53 has the bucket bounds of `custom_values` instead, and no zero bucket.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

CUSTOM_SCHEMA = -53
Hint = Literal["unknown", "reset", "not_reset", "gauge"]
Buckets = dict[int, float]
Place = tuple[int, int, float]  # sign (0 for the zero bucket), index, observations


class IncompatibleHistogramsError(ValueError):
    """Exponential and custom buckets do not mix."""


class Bucket(NamedTuple):
    """How many observations are held between both bounds."""

    lower: float
    upper: float
    held: float


@dataclass(slots=True, eq=False)
class NativeHistogram:
    """positive and negative: counts by bucket index. A float everywhere: rates are histograms too."""

    schema: int = 0
    count: float = 0.0
    sum: float = 0.0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Buckets = field(default_factory=dict)
    negative: Buckets = field(default_factory=dict)
    custom_values: tuple[float, ...] = ()
    hint: Hint = "unknown"

    @property
    def is_custom(self) -> bool:
        return self.schema == CUSTOM_SCHEMA

    def copy(self) -> NativeHistogram:
        return replace(self, positive=dict(self.positive), negative=dict(self.negative))

    def same_as(self, other: NativeHistogram) -> bool:
        """Equal in everything but the hint; empty buckets do not count."""
        return (
            self.schema == other.schema
            and _same(self.count, other.count)
            and _same(self.sum, other.sum)
            and self.zero_threshold == other.zero_threshold
            and self.zero_count == other.zero_count
            and self.custom_values == other.custom_values
            and _filled(self.positive) == _filled(other.positive)
            and _filled(self.negative) == _filled(other.negative)
        )

    def compact(self) -> NativeHistogram:
        """Without empty buckets, in place."""
        self.positive, self.negative = _filled(self.positive), _filled(self.negative)
        return self

    def scaled(self, factor: float) -> NativeHistogram:
        """Every count and the sum times `factor`; a negative factor makes a gauge."""
        return self._mapped(lambda value: value * factor, "gauge" if factor < 0 else self.hint)

    def divided(self, divisor: float) -> NativeHistogram:
        """Every count and the sum by `divisor`; dividing by zero leaves no buckets."""
        made = self._mapped(lambda value: _divide(value, divisor), "gauge" if divisor < 0 else self.hint)
        if divisor == 0:
            made.positive, made.negative = {}, {}
        return made

    def _mapped(self, change: Callable[[float], float], hint: Hint) -> NativeHistogram:
        return replace(
            self,
            count=change(self.count),
            sum=change(self.sum),
            zero_count=change(self.zero_count),
            positive={index: change(count) for index, count in self.positive.items()},
            negative={index: change(count) for index, count in self.negative.items()},
            hint=hint,
        )

    def plus(self, other: NativeHistogram, sign: float = 1.0) -> tuple[NativeHistogram, Reconciled]:
        """The sum, or with sign -1 the difference, at the coarser of both layouts.

        Raises IncompatibleHistogramsError for exponential with custom buckets.
        """
        if self.is_custom != other.is_custom:
            raise IncompatibleHistogramsError("cannot add exponential and custom buckets: their bounds differ")
        left, right, bounds = (_same_bounds if self.is_custom else _same_layout)(self, other)
        hint, collides = _joined_hint(self.hint, other.hint)
        made = replace(
            left,
            count=left.count + sign * right.count,
            sum=left.sum + sign * right.sum,
            zero_count=left.zero_count + sign * right.zero_count,
            positive=_added(left.positive, right.positive, sign),
            negative=_added(left.negative, right.negative, sign),
            hint=hint,
        )
        return made, Reconciled(bounds, collides)

    def at_schema(self, schema: int) -> NativeHistogram:
        """At a coarser resolution."""
        if schema == self.schema:
            return self.copy()
        shift = self.schema - schema
        return replace(
            self, schema=schema, positive=_coarser(self.positive, shift), negative=_coarser(self.negative, shift)
        )

    def with_zero_threshold(self, threshold: float) -> NativeHistogram:
        """The zero bucket widened to at least `threshold`, so far that no filled bucket is cut."""
        made = self.copy()
        while True:
            widest = threshold
            for buckets in (made.positive, made.negative):
                for index, count in buckets.items():
                    if count and bound(index - 1, made.schema) < threshold < bound(index, made.schema):
                        widest = max(widest, bound(index, made.schema))
            if widest == threshold:
                break
            threshold = widest
        for buckets in (made.positive, made.negative):
            for index in [index for index in buckets if bound(index, made.schema) <= threshold]:
                made.zero_count += buckets.pop(index)
            for index in [index for index in buckets if bound(index - 1, made.schema) < threshold]:
                del buckets[index]
        made.zero_threshold = threshold
        return made

    def is_reset_after(self, previous: NativeHistogram) -> bool:
        """Whether a counter started anew between `previous` and this."""
        if self.hint == "reset":
            return True
        if self.hint == "not_reset":
            return False
        if self.count < previous.count or self.is_custom != previous.is_custom:
            return True
        if self.is_custom:
            left, right, _ = _same_bounds(self, previous)
            return _any_lower(left.positive, right.positive)
        if self.schema > previous.schema or self.zero_threshold < previous.zero_threshold:
            return True
        before = previous.with_zero_threshold(self.zero_threshold) if self.zero_threshold else previous
        if before.zero_threshold != self.zero_threshold or self.zero_count < before.zero_count:
            return True
        before = before.at_schema(self.schema)
        return _any_lower(self.positive, before.positive) or _any_lower(self.negative, before.negative)

    def places(self) -> list[Place]:
        """All buckets that were set, ascending: negative ones, the zero bucket, positive ones."""
        made: list[Place] = [(-1, index, self.negative[index]) for index in sorted(self.negative, reverse=True)]
        if self.zero_count > 0:
            made.append((0, 0, self.zero_count))
        return made + [(1, index, self.positive[index]) for index in sorted(self.positive)]

    def bucket(self, place: Place) -> Bucket:
        """A place with its bounds, which are dear to compute."""
        sign, index, held = place
        if sign == 0:
            return Bucket(-self.zero_threshold, self.zero_threshold, held)
        lower, upper = self._bounds(index)
        return Bucket(lower, upper, held) if sign > 0 else Bucket(-upper, -lower, held)

    def buckets(self) -> Iterator[Bucket]:
        """All buckets with their bounds, ascending."""
        return (self.bucket(place) for place in self.places())

    def _bounds(self, index: int) -> tuple[float, float]:
        if not self.is_custom:
            return bound(index - 1, self.schema), bound(index, self.schema)
        lower = -math.inf if index == 0 else self.custom_values[index - 1]
        return lower, self.custom_values[index] if index < len(self.custom_values) else math.inf


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What an addition had to put up with: differing custom bounds, and hints that contradict each other."""

    bounds: bool = False
    resets: bool = False


def bound(index: int, schema: int) -> float:
    """The upper bound of an exponential bucket; the last finite one is the largest float."""
    power = index * 2.0**-schema
    if power >= 1024:
        return sys.float_info.max if power == 1024 else math.inf
    return float(2.0**power) if power > -1075 else 0.0


def _divide(value: float, divisor: float) -> float:
    if divisor:
        return value / divisor
    if value == 0 or math.isnan(value):
        return math.nan
    return math.copysign(math.inf, value) * math.copysign(1, divisor)


def _same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def _filled(buckets: Buckets) -> Buckets:
    return {index: count for index, count in buckets.items() if count != 0}


def _added(left: Buckets, right: Buckets, sign: float) -> Buckets:
    made = dict(left)
    for index, count in right.items():
        made[index] = made.get(index, 0.0) + sign * count
    return made


def _any_lower(now: Buckets, before: Buckets) -> bool:
    return any(now.get(index, 0.0) < count for index, count in before.items())


def _coarser(buckets: Buckets, shift: int) -> Buckets:
    made: Buckets = {}
    for index, count in buckets.items():
        target = ((index - 1) >> shift) + 1
        made[target] = made.get(target, 0.0) + count
    return made


def _same_layout(left: NativeHistogram, right: NativeHistogram) -> tuple[NativeHistogram, NativeHistogram, bool]:
    schema = min(left.schema, right.schema)
    # Zero buckets first: widened at the finer resolution they take in less.
    while left.zero_threshold != right.zero_threshold:
        if left.zero_threshold < right.zero_threshold:
            left = left.with_zero_threshold(right.zero_threshold)
        else:
            right = right.with_zero_threshold(left.zero_threshold)
    return left.at_schema(schema), right.at_schema(schema), False


def _same_bounds(left: NativeHistogram, right: NativeHistogram) -> tuple[NativeHistogram, NativeHistogram, bool]:
    if left.custom_values == right.custom_values:
        return left, right, False
    shared = tuple(sorted(set(left.custom_values) & set(right.custom_values)))
    return _at_bounds(left, shared), _at_bounds(right, shared), True


def _at_bounds(histogram: NativeHistogram, bounds: tuple[float, ...]) -> NativeHistogram:
    made: Buckets = {}
    for index, count in histogram.positive.items():
        upper = histogram.custom_values[index] if index < len(histogram.custom_values) else math.inf
        target = next((at for at, limit in enumerate(bounds) if limit >= upper), len(bounds))
        made[target] = made.get(target, 0.0) + count
    return replace(histogram, positive=made, custom_values=bounds)


def _joined_hint(left: Hint, right: Hint) -> tuple[Hint, bool]:
    if left == right:
        return left, False
    if "gauge" in (left, right):
        return "gauge", False
    if "unknown" in (left, right):
        return "unknown", False
    return "unknown", True
