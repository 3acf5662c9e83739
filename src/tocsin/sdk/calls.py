"""Calls that the app makes while it works (queries, cache commands, HTTP requests): noted now, counted later.

Inside the request a call is one tuple, kept with the trace it belongs to; requests without calls pay nothing. What
becomes of it is in `call_digest.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.sdk.agents import active_agent
from tocsin.sdk.caller import own_line
from tocsin.sdk.current import SPAN_KEY, current_context
from tocsin.sdk.route import caller_of
from tocsin.sdk.spans import RecordingSpan
from tocsin.sdk.tenant import current_tenant, work_at_hand

if TYPE_CHECKING:
    from tocsin.sdk.caller import Line

Attributes = Mapping[str, Any]

# Calls of one operation in one trace that are kept one by one; the rest are only counted.
KEPT_OF_ONE = 512
# Calls outside of any trace that wait to be counted.
_MOST_LOOSE = 4096


class Kind(NamedTuple):
    """What one instrument counts.

    metric: its histogram over OTLP, '' for look-ups that are part of another call; family: the same at `/metrics`;
    counter, seconds: calls and their time by tenant. amount: the span attribute of a call's amount, '' for none;
    amounts: its metric over OTLP. repeats: the event that names many equal calls in one request, '' when nobody minds.
    bounds: of the histogram at `/metrics`, in seconds. least_ns: shorter calls make no span. group: db, cache, http or
    pool, under which the server adds them up.
    """

    metric: str
    family: str
    help: str
    counter: str
    counter_help: str
    seconds: str
    seconds_help: str
    amount: str = ""
    amounts: str = ""
    repeats: str = ""
    bounds: tuple[float, ...] = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    least_ns: int = 0
    group: str = ""


class Operation:
    """Equal calls: the same statement, the same command on the same kind of key, the same route of the same host."""

    __slots__ = (
        "__weakref__", "attributes", "cache", "encoded", "facts", "kind", "labels", "name", "notes", "origin", "scope",
    )  # fmt: skip

    def __init__(
        self, kind: Kind, name: str, attributes: Attributes, facts: Attributes, labels: dict[str, str], cache: str = ""
    ) -> None:
        """attributes: of the spans; facts: of the histogram over OTLP; labels: of the one at `/metrics`.

        cache: the name under which hits and misses are counted, for look-ups.
        """
        self.kind, self.name, self.cache = kind, name, cache
        self.attributes, self.facts, self.labels = attributes, facts, labels
        # What became known meanwhile and belongs on later spans, such as a query plan.
        self.notes: dict[str, Any] = {}
        self.encoded = self.scope = b""
        # The line of the app that made the first of them; looked for once an operation, so it costs nothing a call.
        line = own_line()
        self.origin = str(line) if line is not None else ""


class Call(NamedTuple):
    """One call. parent: the span it was made in, None for the root. amount: such as rows, or hits out of `of`.

    Kept as a plain tuple in this order, at a fifth of the price.
    """

    began_ns: int
    ended_ns: int
    parent: RecordingSpan | None
    error: str
    amount: int
    of: int
    facts: Attributes | None
    span_id: bytes


class Calls:
    """The calls of one trace, by operation."""

    __slots__ = ("began_ns", "counted", "folded", "groups", "lines")

    def __init__(self) -> None:
        self.began_ns = perf_counter_ns()
        self.groups: dict[Operation, list[Any]] = {}
        # Of each group, how many are in the numbers already.
        self.counted: dict[Operation, int] = {}
        # Beyond KEPT_OF_ONE: count and nanoseconds.
        self.folded: dict[Operation, list[int]] = {}
        # Where repeated operations are called from; None when no code of the app is on the stack.
        self.lines: dict[Operation, Line | None] = {}


_is_ours: dict[type, bool] = {}


def current_span() -> RecordingSpan | None:
    """The span that a call of here and now belongs to, or None outside of everything."""
    span = current_context().get(SPAN_KEY)
    kind = type(span)
    if kind not in _is_ours:
        _is_ours[kind] = issubclass(kind, RecordingSpan)
    if _is_ours[kind]:
        return span  # type: ignore[return-value]  # just looked at
    # Somebody else records the spans inside of requests: ours is still the request.
    work = work_at_hand()
    return work if work is not None and work.is_request else None


def note(
    operation: Operation,
    began_ns: int,
    ended_ns: int,
    span: RecordingSpan | None,
    error: str = "",
    amount: int = -1,
    of: int = 1,
    facts: Attributes | None = None,
    span_id: bytes = b"",
    before_ns: int = 0,
) -> list[Any] | None:
    """Takes note of a call that has ended; gives the equal calls of its trace so far. Its hook guards it.

    before_ns: what the hook has spent before the call, for the overhead meter.
    """
    if span is None:
        _note_loose(operation, current_tenant() or "", (began_ns, ended_ns, None, error, amount, of, facts, span_id))
        return None
    root = span._parent_root
    call = (began_ns, ended_ns, span if root is not None else None, error, amount, of, facts, span_id)
    if root is None:
        root = span
    calls: Calls | None = root.calls or _open(root)
    if calls is None:
        _note_loose(operation, tenant_of(root), call)
        return None
    group = calls.groups.get(operation)
    if group is None:
        group = calls.groups.setdefault(operation, [])
    if len(group) < KEPT_OF_ONE:
        group.append(call)
    else:
        _fold(root, calls, operation, Call(*call))
        group = None
    if root.is_metered:
        # Since the call ended nothing has happened but its hook.
        spent_ns = perf_counter_ns() - ended_ns + before_ns
        root.note_hook(operation.kind.group, spent_ns, ended_ns - began_ns)  # type: ignore[attr-defined]  # they have it
    return group


def tenant_of(root: RecordingSpan) -> str:
    """Whose work a trace is, as far as it is known by now."""
    find = getattr(root, "find_tenant", None)
    return (find() if find is not None else root.tenant or current_tenant()) or ""


def _open(root: RecordingSpan) -> Calls | None:
    """The calls of a root that has had none; None when it has ended already."""
    if root.is_done:
        return None
    # Says to the digest that there is something to close.
    root.span_count += 1
    calls: Calls = root.__dict__.setdefault("calls", Calls())
    return calls


def _note_loose(operation: Operation, tenant: str, call: Any) -> None:
    agent = active_agent()
    if agent is None:
        return
    if len(agent.calls.loose) < _MOST_LOOSE:
        agent.calls.loose.append((operation, tenant, call))
    else:
        agent.calls.table.record(operation, tenant, (call,))
    if agent.exporter.is_idle:
        agent.exporter.wake()


def _fold(root: RecordingSpan, calls: Calls, operation: Operation, call: Call) -> None:
    folded = calls.folded.setdefault(operation, [0, 0])
    folded[0] += 1
    folded[1] += call.ended_ns - call.began_ns
    root.agent.calls.table.record(operation, tenant_of(root), (call,), caller_of(root))
