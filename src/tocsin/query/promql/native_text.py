"""A native histogram as text, as Prometheus writes it into a label."""

from __future__ import annotations

import math

from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.literals import format_number


def histogram_text(histogram: NativeHistogram) -> str:
    """`{count:4, sum:5, (0.5,1]:1, …}`; a bound that belongs to a bucket has a square bracket."""
    parts = [f"count:{format_number(histogram.count)}", f"sum:{format_number(histogram.sum)}"]
    for bucket in histogram.buckets():
        if bucket.held == 0:
            continue
        is_zero = bucket.lower <= 0 <= bucket.upper and not histogram.is_custom
        opening = "[" if bucket.lower < 0 and not histogram.is_custom else "("
        closing = "]" if bucket.upper > 0 or is_zero or histogram.is_custom else ")"
        if math.isinf(bucket.lower):
            opening = "["
        bounds = f"{format_number(bucket.lower)},{format_number(bucket.upper)}"
        parts.append(f"{opening}{bounds}{closing}:{format_number(bucket.held)}")
    return "{" + ", ".join(parts) + "}"
