"""Threshold profiles: from which value on something is close, and from which it is harm, under one name.

The figures are those of the runbook that the product was made for; profiles are named, never scattered as constants.
"""

from __future__ import annotations

from tocsin.model.dashboard import Step, Thresholds, Tone

PROFILES: dict[str, tuple[float, float]] = {
    "error_ratio": (0.01, 0.05),
    "client_error_ratio": (0.02, 0.05),
    "server_error_ratio": (0.005, 0.01),
    "cpu": (0.70, 0.85),
    "memory": (0.80, 0.90),
    "disk": (0.80, 0.90),
    "pool": (0.80, 0.90),
    "query_seconds": (0.1, 0.5),
    "response_seconds": (0.5, 1.0),
}
"""(close, harm) by name; ratios are 0-1."""

BELOW: dict[str, tuple[float, float]] = {
    "cache_hit_ratio": (0.8, 0.5),
    "available": (0.9995, 0.999),
    # Success of critical operations; `operation` is for those without a profile of their own.
    "operation": (0.99, 0.95),
    "authentication": (0.99, 0.95),
    "form_automation": (0.95, 0.90),
    "work_order_sync": (0.98, 0.95),
}
"""The same where less is worse."""

NAMES = tuple(sorted({*PROFILES, *BELOW}))


def steps_of(thresholds: Thresholds) -> tuple[Step, ...]:
    """The steps that hold, rising; none when there are no thresholds."""
    if thresholds.profile in PROFILES:
        close, harm = PROFILES[thresholds.profile]
        return (Step("ok"), Step("warn", close), Step("bad", harm))
    if thresholds.profile in BELOW:
        close, harm = BELOW[thresholds.profile]
        return (Step("bad"), Step("warn", harm), Step("ok", close))
    return thresholds.steps


def tone_of(
    value: float | None, thresholds: Thresholds, low: float | None = None, high: float | None = None
) -> Tone | None:
    """The tone of a value; None without thresholds or value. low and high: what percentages are of."""
    steps = steps_of(thresholds)
    if value is None or value != value or not steps:
        return None
    if thresholds.is_percentage:
        low, high = low or 0.0, 100.0 if high is None else high
        value = (value - low) / (high - low) * 100 if high > low else 0.0
    tone: Tone | None = None
    for step in steps:
        if step.from_value is None or value >= step.from_value:
            tone = step.tone
    return tone
