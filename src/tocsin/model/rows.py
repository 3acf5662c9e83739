"""Which events or spans are meant, and what tells them apart: the question that is asked of a table of either."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

EVENTS = "events"
TRACES = "traces"
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Kinds of spans as OpenTelemetry numbers them."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    EVENTS: {name: name for name in ("tenant", "service", "environment", "release", "name")},
    TRACES: {
        **{name: name for name in ("tenant", "service", "environment", "release", "name")},
        **{name: name for name in ("method", "route", "status_code", "kind")},
        "http.request.method": "method",
        "http.route": "route",
        "http.response.status_code": "status_code",
    },
}
"""What may tell rows apart as it is, with its column; anything else is looked for among their attributes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, EVENTS or TRACES (whose rows are spans), counted by what `by` names.

    names: any of these, all when there are none. where: columns or attributes that must have these values.
    least_seconds and is_error are asked of spans alone; is_error None: failed or not.
    """

    table: str
    names: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ("tenant", "service")
    least_seconds: float = 0.0
    is_error: bool | None = None


Counted = tuple[dict[str, str], list[tuple[int, float]]]
"""Labels, and how many rows had them in each part of the time, by its number from 0; parts without any are left out."""


def label_of(key: str) -> str:
    """The label under which a column or attribute is told: `http.route` is `http_route`."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)
