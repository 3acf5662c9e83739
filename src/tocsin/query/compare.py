"""A trace beside a normal one of the same endpoint: what took longer, what was called more, what is only in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.trace_tree import children_of, self_time_ns
from tocsin.query.traces import SpanRecord, Trace, get
from tocsin.storage.telemetry.store import TelemetryStore

Path = tuple[str, ...]
"""The names of the spans from the root down to a step."""

AROUND_NS = 3600 * 10**9

MOST_DEPTH = 100
"""Steps deeper than this are left out; nobody reads them, and a chain of thousands would end in a RecursionError."""


@dataclass(frozen=True, slots=True)
class Step:
    """All calls of one name at one place of the tree, in the trace (`own`) and in the normal one (`normal`).

    Times are nanoseconds; `self` is what none of the calls below covers. A step that is only in one has 0 calls in the
    other. `span_id` is the longest call in the trace, or in the normal one.
    """

    path: Path
    service: str
    own_calls: int
    normal_calls: int
    own_ns: int
    normal_ns: int
    own_self_ns: int
    normal_self_ns: int
    span_id: str

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def depth(self) -> int:
        return len(self.path) - 1

    @property
    def more_ns(self) -> int:
        """Time that the trace spent more in this step, calls below included."""
        return self.own_ns - self.normal_ns

    @property
    def more_self_ns(self) -> int:
        return self.own_self_ns - self.normal_self_ns

    @property
    def more_calls(self) -> int:
        return self.own_calls - self.normal_calls


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    total_ns: int = 0
    self_ns: int = 0
    longest: SpanRecord | None = None
    below: dict[str, _Sum] = field(default_factory=dict)

    def add(self, span: SpanRecord, self_ns: int) -> None:
        self.calls += 1
        self.total_ns += span.duration_ns
        self.self_ns += self_ns
        if self.longest is None or span.duration_ns > self.longest.duration_ns:
            self.longest = span


def typical_trace(store: TelemetryStore, scope: Scope, filter: Filter, operation: str, but: str = "") -> str | None:
    """The id of the trace of median duration among those of this service and span name that succeeded.

    `but` is the trace to be compared, which is left out. None when no other trace of it succeeded.
    """
    where = (
        f"{filter.conditions('start')} AND name = {{operation:String}} AND status != 2 AND status_code < 400 "
        f"AND trace_id != toFixedString(unhex({{but:String}}), 16)"
    )
    sql = (
        f"WITH (SELECT quantileExactLow(0.5)(duration_ns) FROM spans WHERE {where}) AS middle "
        f"SELECT lower(hex(trace_id)) FROM spans WHERE {where} "
        f"ORDER BY abs(toInt64(duration_ns) - toInt64(middle)), start DESC LIMIT 1"
    )
    rows = store.read(filter.narrowed(scope), sql, **filter.parameters(), operation=operation, but=but).rows
    return rows[0][0] if rows else None


def normal_for(store: TelemetryStore, scope: Scope, own: Trace, window: Window) -> Trace | None:
    """The typical trace of the same operation, whatever the tenant: in the window, or within an hour of the trace when
    that lies outside it."""
    root = own.root
    if not window.start_ns <= own.start_ns < window.end_ns:
        window = Window(max(0, own.start_ns - AROUND_NS), own.start_ns + AROUND_NS)
    asked = Filter(window, environment=root.environment, service=root.service)
    found = typical_trace(store, scope, asked, root.name, but=own.trace_id)
    return get(store, scope, found) if found else None


def compare(own: Trace, normal: Trace) -> list[Step]:
    """Every step of either, in the order of the trees: the normal one's, with what only the trace has behind it."""
    return list(_steps((), _tree(own), _tree(normal)))


def _tree(trace: Trace) -> dict[str, _Sum]:
    """The sums of the steps by name, nested."""
    children = children_of(trace.spans)
    top: dict[str, _Sum] = {}
    waiting = [(span, top) for span in reversed(children[""])]
    while waiting:
        span, place = waiting.pop()
        below = children[span.span_id]
        step = place.setdefault(span.name, _Sum())
        step.add(span, self_time_ns(span, below))
        waiting.extend((each, step.below) for each in reversed(below))
    return top


def _steps(path: Path, own: dict[str, _Sum], normal: dict[str, _Sum]) -> Iterator[Step]:
    nothing = _Sum()
    for name in dict.fromkeys([*normal, *own]):
        mine, usual = own.get(name, nothing), normal.get(name, nothing)
        longest = mine.longest or usual.longest
        assert longest is not None  # a sum is made when its first span is added
        yield Step(
            path=(*path, name),
            service=longest.service,
            own_calls=mine.calls,
            normal_calls=usual.calls,
            own_ns=mine.total_ns,
            normal_ns=usual.total_ns,
            own_self_ns=mine.self_ns,
            normal_self_ns=usual.self_ns,
            span_id=longest.span_id,
        )
        if len(path) < MOST_DEPTH:
            yield from _steps((*path, name), mine.below, usual.below)
