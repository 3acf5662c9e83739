"""OpenTelemetry's metric and attribute names as Prometheus writes them.

The rules are those of Prometheus' own OTLP endpoint in its default strategy, UnderscoreEscapingWithSuffixes:
underscores for what classic names do not have, the unit spelled out at the end, `_total` on counters and `_ratio` on
gauges of unit 1.
Source: github.com/prometheus/otlptranslator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}

_NOT_OF_A_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_OF_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(name: str, unit: str, *, is_counter: bool = False, is_gauge: bool = False) -> str:
    """The name under which a metric is stored."""
    words = [word for word in _NOT_OF_A_NAME.split(name) if word]
    main, per = _unit_words(unit)
    if main and main not in words:
        words.append(main)
    if per and per not in words:
        words += ["per", per]
    if is_counter:
        words = [*(word for word in words if word != "total"), "total"]
    if unit == "1" and is_gauge:
        words = [*(word for word in words if word != "ratio"), "ratio"]
    joined = "_".join(words)
    return f"_{joined}" if joined[:1].isdigit() else joined


def label_name(name: str) -> str:
    """The label an attribute becomes."""
    safe = _NOT_OF_A_LABEL.sub("_", name)
    return f"key_{safe}" if safe[:1].isdigit() else safe


def labels_of(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Attributes as labels; the values of those that become the same label are joined with ';'."""
    labels: dict[str, str] = {}
    for name, value in sorted(attributes):
        label = label_name(name)
        if label and value:
            labels[label] = f"{labels[label]};{value}" if label in labels else value
    return labels


@lru_cache(maxsize=10_000)  # histograms have the same bounds again and again
def number_text(value: float) -> str:
    """A bound or quantile as Prometheus prints it in a label."""
    if value == float("inf"):
        return "+Inf"
    if value == float("-inf"):
        return "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{exponent}" if exponent else mantissa


def _unit_words(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    return _unit_word(main.strip(), UNITS), _unit_word(per.strip(), PER_UNITS)


def _unit_word(unit: str, known: dict[str, str]) -> str:
    """'' for no unit and for an annotation such as {request}."""
    if "{" in unit or "}" in unit:
        return ""
    return _NOT_OF_A_NAME.sub("_", known.get(unit, unit)).strip("_")
