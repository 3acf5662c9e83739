"""A native (exponential) histogram at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CUSTOM_SCHEMA = -53  # whose bucket ends are given one by one


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """Bucket index i of schema s holds values above 2^((i-1) / 2^s) up to 2^(i / 2^s); for negative values mirrored.

    With CUSTOM_SCHEMA, bucket i ends at custom_bounds[i], the last one at infinity. `reset_hint` is Prometheus': 0 not
    known, 1 after a reset, 2 not after one, 3 a gauge.
    """

    schema: int
    count: float
    sum: float
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Mapping[int, float] = field(default_factory=dict)
    negative: Mapping[int, float] = field(default_factory=dict)
    custom_bounds: tuple[float, ...] = ()
    reset_hint: int = 0
