"""A trace as the rows of a waterfall: the tree in order, runs of the same call folded, shares of time.

Pure: a Trace in, plain rows out. Broken input (missing parents, cycles, children outside their parent) still gives
every span exactly one row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.query.logs import LogLine
from tocsin.query.trace_tree import children_of, self_time_ns
from tocsin.query.traces import SpanRecord, Trace

FOLD_FROM = 4
"""So many neighbours of the same name, none with children, are folded into one row."""

N_PLUS_ONE_FROM = 10
"""So many equal calls below one span are folded wherever they stand among others: as often as the SDK names them."""

MOST_ROWS = 2000
"""Rows a page draws; a browser shows more only slowly and nobody reads them."""

SHORT_WORDS = {"db": "sql", "http": "http", "queue": "queue", "cache": "cache"}
"""What stands before the name of a call."""

KIND_WORDS = {
    "server": "the handler",
    "internal": "the app's own code",
    "db": "the database",
    "http": "calls to other services",
    "queue": "queues",
    "cache": "the cache",
}
CACHES = frozenset({"redis", "memcached", "valkey"})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the waterfall. `offset` and `width` are 0-1 of the trace's time; `id` is unique on the page, `parent`
    the id of the row it folds under. `repeats` > 1: it stands for so many calls, which follow as its children."""

    id: str
    parent: str
    span: SpanRecord
    depth: int
    children: int
    repeats: int
    offset: float
    width: float
    duration_ns: int
    kind: str
    is_error: bool
    is_folded: bool
    spent_ns: int  # by all its calls together, which may have others between them

    @property
    def word(self) -> str:
        return SHORT_WORDS.get(self.kind, "")

    @property
    def is_n_plus_one(self) -> bool:
        return self.kind in ("db", "cache") and self.repeats >= N_PLUS_ONE_FROM


@dataclass(frozen=True, slots=True)
class LogMark:
    """A log line in the lane of its span; `offset` is 0-1 of the trace's time."""

    offset: float
    line: LogLine


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a trace's working time something took: `ratio` 0-1, in `spans` calls."""

    name: str
    ratio: float
    spans: int


def rows(trace: Trace) -> list[Row]:
    """Every span in tree order, parents before children, neighbours by start; at most MOST_ROWS."""
    children = children_of(trace.spans)
    made: list[Row] = []
    stack = [(item, 0, "", False) for item in reversed(_items(children[""], children))]
    while stack and len(made) < MOST_ROWS:
        item, depth, parent, is_folded = stack.pop()
        row = _row(trace, item, depth, parent, children, is_folded)
        made.append(row)
        inner = [[span] for span in item] if len(item) > 1 else _items(children[item[0].span_id], children)
        hidden = is_folded or len(item) > 1
        stack.extend((below, depth + 1, row.id, hidden) for below in reversed(inner))
    return made


def log_marks(trace: Trace, lines: Sequence[LogLine]) -> dict[str, list[LogMark]]:
    """Lines by the id of their span; those of spans that are not here, and of none, stand in the lane of the root."""
    known = {span.span_id for span in trace.spans}
    marks: dict[str, list[LogMark]] = defaultdict(list)
    for line in lines:
        offset = (line.time_ns - trace.start_ns) / max(trace.duration_ns, 1)
        span_id = line.span_id if line.span_id in known else trace.root.span_id
        marks[span_id].append(LogMark(min(1.0, max(0.0, offset)), line))
    return dict(marks)


def time_by_kind(trace: Trace) -> list[Share]:
    """Working time (a span's own, without that of its children) by kind, largest first."""
    return _shares(trace, kind_of)


def time_by_name(trace: Trace) -> list[Share]:
    """The same by the name of the span."""
    return _shares(trace, lambda span: span.name)


def _shares(trace: Trace, name_of: Callable[[SpanRecord], str]) -> list[Share]:
    children = children_of(trace.spans)
    spent: dict[str, int] = defaultdict(int)
    calls: dict[str, int] = defaultdict(int)
    for span in trace.spans:
        spent[name_of(span)] += self_time_ns(span, children[span.span_id])
        calls[name_of(span)] += 1
    total = sum(spent.values()) or 1
    shares = [Share(name, own / total, calls[name]) for name, own in spent.items()]
    return sorted(shares, key=lambda share: -share.ratio)


def kind_of(span: SpanRecord) -> str:
    """server, internal, db, cache, http or queue: what a bar's colour means."""
    system = span.attributes.get("db.system.name") or span.attributes.get("db.system")
    if system:
        return "cache" if str(system) in CACHES else "db"
    if "messaging.system" in span.attributes or span.kind in ("producer", "consumer"):
        return "queue"
    return {"client": "http", "server": "server"}.get(span.kind, "internal")


def error_origin(trace: Trace) -> SpanRecord | None:
    """The failed span deepest in the tree, the latest of several: where the failure began. None when none failed."""
    failed = [span for span in trace.spans if span.status == "error" or exception_of(span) is not None]
    if not failed:
        return None
    known = {span.span_id: span for span in trace.spans}
    parents_of_failed = {span.parent_span_id for span in failed}
    origins = [span for span in failed if span.span_id not in parents_of_failed] or failed
    return max(origins, key=lambda span: (_depth(span, known), span.start_ns))


def exception_of(span: SpanRecord) -> dict[str, Any] | None:
    """The attributes of the last exception a span recorded."""
    return next((event.attributes for event in reversed(span.events) if event.name == "exception"), None)


def _items(siblings: Sequence[SpanRecord], children: defaultdict[str, list[SpanRecord]]) -> list[list[SpanRecord]]:
    """Siblings as runs: lone ones, those that repeat one call over and over, and neighbours of one name, the latter two
    without children and to be folded."""
    leaves = Counter(_call(span) for span in siblings if not children.get(span.span_id))
    repeated: dict[_Call, list[SpanRecord]] = {}
    runs: list[list[SpanRecord]] = []
    for span in siblings:
        call, last = _call(span), runs[-1][-1] if runs else None
        is_leaf = not children.get(span.span_id)
        if is_leaf and leaves[call] >= N_PLUS_ONE_FROM:
            if call in repeated:
                repeated[call].append(span)
            else:
                runs.append(repeated.setdefault(call, [span]))
        elif last is not None and _call(last) == call and is_leaf and not children.get(last.span_id):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [item for run in runs for item in ([run] if len(run) >= FOLD_FROM else [[span] for span in run])]


_Call = tuple[str, str, str, str]


def _call(span: SpanRecord) -> _Call:
    return (span.name, span.kind, span.service, span.status)


def _row(
    trace: Trace,
    item: list[SpanRecord],
    depth: int,
    parent: str,
    children: defaultdict[str, list[SpanRecord]],
    is_folded: bool,
) -> Row:
    first = item[0]
    end_ns = max(span.start_ns + span.duration_ns for span in item)
    length_ns = max(trace.duration_ns, 1)
    offset = min(max((first.start_ns - trace.start_ns) / length_ns, 0.0), 1.0)
    is_run = len(item) > 1
    return Row(
        id=f"run-{first.span_id}" if is_run else first.span_id,
        parent=parent,
        span=first,
        depth=depth,
        children=len(item) if is_run else len(children.get(first.span_id, ())),
        repeats=len(item),
        offset=offset,
        width=min(max((end_ns - first.start_ns) / length_ns, 0.0), 1 - offset),
        duration_ns=end_ns - first.start_ns,
        kind=kind_of(first),
        is_error=first.status == "error",
        is_folded=is_folded,
        spent_ns=sum(span.duration_ns for span in item),
    )


def _depth(span: SpanRecord, known: dict[str, SpanRecord]) -> int:
    depth, seen = 0, {span.span_id}
    while span.parent_span_id in known and span.parent_span_id not in seen:
        span = known[span.parent_span_id]
        seen.add(span.span_id)
        depth += 1
    return depth
