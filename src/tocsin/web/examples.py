"""The slowest requests behind a chart of response times, each with its trace: one for every part of the time."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.model.labels import METRIC_NAME
from tocsin.query import evaluate
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.expressions import selectors
from tocsin.query.promql.source import Grid
from tocsin.web.charts import Example

PARTS = 40
BUCKETS = "_bucket"


def examples(reader: MetricReader, text: str, grid: Grid, link: Callable[[str], str]) -> list[Example]:
    """Of the histograms that a query reads. `link` gives the page of a trace."""
    expression = evaluate.parsed(text)
    asked = [] if expression is None else [one for one in selectors(expression) if (one.name or "").endswith(BUCKETS)]
    if not asked:
        return []
    part_ms = max(1, (grid.end_ms - grid.start_ms) // PARTS)
    slowest: dict[int, Example] = {}
    for labels, found in reader.exemplars([one.matchers for one in asked], grid.start_ms, grid.end_ms):
        for one in found:
            trace_id, part = one.labels.get("trace_id", ""), one.time_ms // part_ms
            if trace_id and (part not in slowest or slowest[part].value < one.value):
                slowest[part] = Example(one.time_ms / 1000, one.value, link(trace_id), _text(labels))
    return [slowest[part] for part in sorted(slowest)]


def _text(labels: dict[str, str]) -> str:
    named = " ".join(labels[name] for name in ("method", "route") if labels.get(name))
    tenant = f", {labels['tenant']}" if labels.get("tenant") else ""
    return f"{named or labels.get(METRIC_NAME, 'trace').removesuffix(BUCKETS)}{tenant}"
