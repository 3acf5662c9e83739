"""Units of metrics: how a value of each is written here; static/units.js writes it the same way."""

from __future__ import annotations

import math

from tocsin.model.dashboard import UNITS
from tocsin.query.evaluate import metric_names
from tocsin.web import format

__all__ = ["UNITS", "guessed", "written"]

_NARROW = format.NARROW


def written(value: float | None, unit: str, decimals: int | None = None) -> str:
    """A value with its unit: 412 ms · 41.8 % · 1.3 GB."""
    if value is None or math.isnan(value):
        return format.NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    match unit:
        case "percent":
            return f"{_percent(value, decimals)}{_NARROW}%"
        case "percent100":
            return f"{_percent(value / 100, decimals)}{_NARROW}%"
        case "seconds":
            return format.duration(value)
        case "milliseconds":
            return format.duration(value / 1000)
        case "bytes":
            return _signed(value, format.size)
        case "bytes_per_second":
            return f"{_signed(value, format.size)}/s"
        case "per_second":
            return f"{_number(value, decimals)}/s"
        case "up":
            return {1.0: "up", 0.0: "down"}.get(value, _number(value, decimals))
        case "timestamp":
            return str(round(value))
    return _number(value, decimals)


def _percent(ratio: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{ratio * 100:.{decimals}f}"
    return _signed(ratio, format.percent)


def _number(value: float, decimals: int | None) -> str:
    return f"{value:,.{decimals}f}" if decimals is not None else format.number(value)


def _signed(value: float, write: object) -> str:
    assert callable(write)
    return f"−{write(-value)}" if value < 0 else str(write(value))


def guessed(text: str) -> str:
    """The unit of a query as far as the names of its metrics tell it; '' where they do not."""
    names = metric_names(text)
    if "/" in text or not names:
        return ""
    ends = {name.removesuffix("_bucket").removesuffix("_total").rpartition("_")[2] for name in names}
    is_rate = any(word in text for word in ("rate(", "irate("))
    if "histogram_quantile" in text or "histogram_avg" in text:
        is_rate = False
    if ends == {"seconds"} and not is_rate:
        return "seconds"
    if ends == {"bytes"}:
        return "bytes_per_second" if is_rate else "bytes"
    return "per_second" if is_rate and ends != {"seconds"} else ""
