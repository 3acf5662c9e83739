"""The tree that the spans of a trace make, and how much of its time each span spent itself.

Broken input (missing parents, cycles, children outside their parent) still gives every span exactly one place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tocsin.query.traces import SpanRecord


def children_of(spans: Sequence[SpanRecord]) -> defaultdict[str, list[SpanRecord]]:
    """Children by parent id in order of start; under '' those to start from: without a known parent, or in a cycle."""
    known = {span.span_id for span in spans}
    found: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for span in sorted(spans, key=lambda each: (each.start_ns, -each.duration_ns)):
        is_child = span.parent_span_id in known and span.parent_span_id != span.span_id
        found[span.parent_span_id if is_child else ""].append(span)
    reached = set(_reached(found[""], found))
    for span in spans:
        if span.span_id not in reached:  # only a cycle hides a span from every root: cut it here
            found[span.parent_span_id].remove(span)
            found[""].append(span)
            reached.update(_reached([span], found))
    return found


def self_time_ns(span: SpanRecord, children: Sequence[SpanRecord]) -> int:
    """What of a span's time none of its children covers."""
    end_ns = span.start_ns + span.duration_ns
    covered, reached = 0, span.start_ns
    for child in sorted(children, key=lambda each: each.start_ns):
        start, stop = max(child.start_ns, reached), min(child.start_ns + child.duration_ns, end_ns)
        if stop > start:
            covered += stop - start
            reached = stop
    return max(span.duration_ns - covered, 0)


def _reached(roots: Sequence[SpanRecord], children: defaultdict[str, list[SpanRecord]]) -> Iterator[str]:
    stack = list(roots)
    while stack:
        span = stack.pop()
        yield span.span_id
        stack.extend(children.get(span.span_id, ()))
