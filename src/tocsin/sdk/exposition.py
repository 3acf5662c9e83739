"""Metric families and their text, as Prometheus and OpenMetrics scrapers read it.

Source: prometheus.io/docs/instrumenting/exposition_formats, and the OpenMetrics 1.0 specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Gauges about something outside of the process: of what several workers say of it, the largest holds.
_SHARED = ("_timestamp_seconds", "_interval_seconds", "job_queue_depth", "job_oldest_age_seconds")

# Sorted (name, value) pairs.
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Family:
    """One metric: `samples` maps (suffix, labels) to the value, such as ("_bucket", (("le", "0.1"),)) to 17.0."""

    name: str
    type: str  # counter, gauge, histogram, summary
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, value: float, suffix: str = "", **labels: str) -> None:
        """Adds to the sample with these labels; empty ones are left out, as Prometheus would."""
        self.add_to((suffix, labels_of(labels)), value)

    def add_to(self, key: tuple[str, Labels], value: float) -> None:
        self.samples[key] = self.samples.get(key, 0.0) + value


def add_up(families: Iterable[Family]) -> list[Family]:
    """Families of the same name become one, their samples added, or where that says nothing the largest taken."""
    made: dict[str, Family] = {}
    for family in families:
        into = made.setdefault(family.name, Family(family.name, family.type, family.help))
        is_shared = family.type == "gauge" and family.name.endswith(_SHARED)
        for key, value in family.samples.items():
            if is_shared:
                into.samples[key] = max(value, into.samples.get(key, value))
            else:
                into.add_to(key, value)
    return list(made.values())


def labels_of(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def render(families: Iterable[Family], *, openmetrics: bool) -> str:
    """All families as text; those without samples are left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += _lines(family, openmetrics)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n" if lines else ""


def _lines(family: Family, openmetrics: bool) -> list[str]:
    # OpenMetrics names a counter without the ending that its samples carry.
    name = family.name.removesuffix("_total") if openmetrics and family.type == "counter" else family.name
    escaped = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    head = [f"# HELP {name} {escaped}", f"# TYPE {name} {family.type}"]
    return head + [
        f"{family.name}{suffix}{braces(labels)} {format_value(value)}"
        for (suffix, labels), value in family.samples.items()
    ]


def braces(labels: Labels) -> str:
    """Labels as they stand behind a name."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def format_value(value: float) -> str:
    """A number as both formats take it: whole ones without a fraction, infinities as +Inf and -Inf."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
