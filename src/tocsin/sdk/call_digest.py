"""Noted calls become numbers, spans, and a word on the request that made too many equal ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from math import floor, log2
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.sdk.calls import Attributes, Calls, Operation, tenant_of
from tocsin.sdk.encode import AttributeCache, delimited
from tocsin.sdk.encode import text as utf8
from tocsin.sdk.encode_requests import END, START, pack_times
from tocsin.sdk.guard import guarded
from tocsin.sdk.propagation import new_span_id
from tocsin.sdk.red import OTHER, SCALE
from tocsin.sdk.route import caller_of
from tocsin.sdk.spans import CLIENT, RecordingSpan

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent
    from tocsin.sdk.caller import Line

# Rows (operation × tenant × error × caller) counted apart between two exports, and lines of code.
_ROWS = 5000
_PLACES = 1000
# Caches × tenants whose hits are counted apart.
_CACHES = 1000
# A trace that lasts longer than this is counted before it ends.
_LONG_NS = 2_000_000_000
_FAILED = b"\x7a\x02\x18\x02"  # Span.status: error


class CallRow:
    """The sums of equal calls since the last export. buckets: as of a RedRow; amount: rows, or hits out of `asked`."""

    __slots__ = ("amount", "asked", "buckets", "seconds")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.seconds = 0.0
        self.amount = self.asked = 0

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def add(self, other: CallRow) -> None:
        self.seconds += other.seconds
        self.amount += other.amount
        self.asked += other.asked
        for index, number in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + number


CallRows = dict[tuple[Operation, str, str], CallRow]  # by operation, tenant, error
CallerRows = dict[tuple[Operation, str, str, str], CallRow]  # the same by caller, such as `GET /projects`


class PlaceKey(NamedTuple):
    """Who calls what where: the line is '' when no code of the app was on the stack."""

    operation: Operation
    tenant: str
    caller: str
    line: str


class PlaceRow:
    """What is worth a line of code: requests that repeated an operation too often with what it came to in them
    together, and slow calls."""

    __slots__ = ("repeat_calls", "repeat_requests", "repeat_seconds", "slow_calls", "slow_seconds")

    def __init__(self) -> None:
        self.repeat_requests = self.repeat_calls = self.slow_calls = 0
        self.repeat_seconds = self.slow_seconds = 0.0


class CallCollection(NamedTuple):
    """What was counted since start_ns."""

    start_ns: int
    by_caller: CallerRows
    places: dict[PlaceKey, PlaceRow]

    @property
    def rows(self) -> CallRows:
        """Whoever called: calls alone, without the look-ups inside of others."""
        merged: CallRows = {}
        for (operation, tenant, error, _), row in self.by_caller.items():
            if operation.kind.metric:
                merged.setdefault((operation, tenant, error), CallRow()).add(row)
        return merged


class CallTable:
    """Counts calls, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rows: CallerRows = {}
        self._places: dict[PlaceKey, PlaceRow] = {}
        self._start_ns = time.time_ns()
        self.folded = 0
        # Calls since the process began, for who wants to know whether there was any.
        self.total = 0
        # (hits or misses, cache, tenant) since the process began.
        self.lookups: Counter[tuple[str, str, str]] = Counter()

    def record(self, operation: Operation, tenant: str, calls: Iterable[Any], caller: str = "") -> None:
        """caller: the route, or the name of the span, they were made for."""
        with self._lock:
            for call in calls:
                self._record(operation, tenant, caller, call)

    def record_repeat(self, key: PlaceKey, calls: int, seconds: float) -> None:
        """Counts a request that made so many equal calls."""
        with self._lock:
            row = self._place(key)
            row.repeat_requests += 1
            row.repeat_calls += calls
            row.repeat_seconds += seconds

    def _place(self, key: PlaceKey) -> PlaceRow:
        if key not in self._places and len(self._places) >= _PLACES:
            self.folded += 1
            key = PlaceKey(key.operation, OTHER, OTHER, "")
        return self._places.setdefault(key, PlaceRow())

    def collect(self) -> CallCollection:
        """Everything since the last collection; the rows begin anew."""
        with self._lock:
            rows, self.rows = self.rows, {}
            places, self._places = self._places, {}
            start_ns, self._start_ns = self._start_ns, time.time_ns()
        return CallCollection(start_ns, rows, places)

    def current(self) -> CallCollection:
        """The same, and the rows stay."""
        with self._lock:
            return CallCollection(self._start_ns, dict(self.rows), dict(self._places))

    def copied_lookups(self) -> list[tuple[tuple[str, str, str], int]]:
        with self._lock:
            return list(self.lookups.items())

    def _record(self, operation: Operation, tenant: str, caller: str, call: Any) -> None:
        began_ns, ended_ns, _, error, amount, of, facts, _ = call
        key = (operation, tenant, error, caller)
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= _ROWS:
                self.folded += 1
                key = (operation, OTHER, "", OTHER)
            row = self.rows.setdefault(key, CallRow())
        if operation.cache and amount >= 0:
            self._count_lookup(operation.cache, tenant, amount, of - amount)
            row.asked += of
            if not operation.kind.metric:
                row.amount += amount
                return
        self.total += 1
        seconds = (ended_ns - began_ns) * 1e-9
        index = floor(log2(seconds if seconds > 1e-9 else 1e-9) * (1 << SCALE))
        row.buckets[index] = row.buckets.get(index, 0) + 1
        row.seconds += seconds
        if amount >= 0:
            row.amount += amount
        if facts is not None and "tocsin.slow" in facts:
            place = self._place(PlaceKey(operation, tenant, caller, _line_of(facts)))
            place.slow_calls += 1
            place.slow_seconds += seconds

    def _count_lookup(self, cache: str, tenant: str, hits: int, misses: int) -> None:
        for name, number in (("cache_hits_total", hits), ("cache_misses_total", misses)):
            if number:
                key = (name, cache, tenant)
                if key not in self.lookups and len(self.lookups) >= _CACHES:
                    key = (name, OTHER, "")
                self.lookups[key] += number


class CallDigest:
    """What an agent does with the calls of ended traces, under its digest lock."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.table = CallTable()
        # (operation, tenant, call) made outside of any trace, not counted yet.
        self.loose: list[tuple[Operation, str, Any]] = []
        self._attributes = AttributeCache(b"\x4a")
        self._slow_ns = agent.settings.slow_query_seconds * 1e9

    @guarded(None)
    def review(self, root: RecordingSpan) -> None:
        """Counts what an ended trace has called, and says on its root what was called over and over."""
        calls = root.calls
        if calls is None:
            return
        tenant = tenant_of(root)
        self._count(calls, tenant, root)
        limit = self._agent.settings.repeated_queries
        for operation, group in calls.groups.items():
            if operation.kind.repeats and limit and len(group) >= limit:
                count, spent_ns = _name_repeated(root, calls, operation, group)
                line = calls.lines.get(operation)
                key = PlaceKey(operation, tenant, caller_of(root), str(line) if line is not None else "")
                self.table.record_repeat(key, count, spent_ns / 1e9)

    @guarded(None)
    def close(self, root: RecordingSpan, is_kept: bool) -> None:
        """Makes spans of a reviewed trace's calls when it is kept, and lets go of them."""
        calls: Calls | None = root.__dict__.pop("calls", None)
        if calls is None:
            return
        self._count(calls, tenant_of(root), root)  # those of other threads since the review
        if is_kept:
            self._keep(root, calls)

    @guarded(None)
    def count_open(self) -> None:
        """Counts calls outside of traces and those of long requests; once for each export of metrics."""
        loose, self.loose = self.loose, []
        for operation, tenant, call in loose:
            self.table.record(operation, tenant, (call,))
        long_ago = perf_counter_ns() - _LONG_NS
        for root in (*self._agent.live, *self._agent.live_jobs):
            calls = root.calls
            if calls is not None and calls.began_ns < long_ago:
                self._count(calls, tenant_of(root), root)

    def _count(self, calls: Calls, tenant: str, root: RecordingSpan) -> None:
        counted, caller = calls.counted, caller_of(root)
        for operation, group in list(calls.groups.items()):
            done, there = counted.get(operation, 0), len(group)
            if there > done:
                self.table.record(operation, tenant, group[done:there], caller)
                counted[operation] = there

    def _keep(self, root: RecordingSpan, calls: Calls) -> None:
        agent = self._agent
        room = 0 if agent.sheds_children else agent.settings.spans_per_trace - root.span_count + 1
        dropped = sum(count for count, _ in calls.folded.values())
        offset_ns = time.time_ns() - perf_counter_ns()
        for operation, group in calls.groups.items():
            line = calls.lines.get(operation)
            least_ns = operation.kind.least_ns
            if least_ns:
                group = [call for call in group if call[1] - call[0] >= least_ns or call[3]]
            for call in group[: max(room, 0)]:
                agent.exporter.put(self._encode(root, operation, call, offset_ns, line))
            dropped += len(group) - max(0, min(room, len(group)))
            room -= len(group)
        if dropped:
            agent.exporter.dropped["traces", "shed" if agent.sheds_children else "trace_limit"] += dropped

    def _encode(self, root: RecordingSpan, operation: Operation, call: Any, offset_ns: int, line: Line | None) -> bytes:
        """The content of a Span message. Every call of a kept trace passes here."""
        began_ns, ended_ns, parent, error, amount, _, facts, span_id = call
        encode = self._attributes.encode
        parts = [
            b"\x0a\x10", root.trace_id, b"\x12\x08", span_id or new_span_id(), b"\x22\x08", (parent or root).span_id,
            pack_times(START, began_ns + offset_ns, END, ended_ns + offset_ns),
            operation.encoded or self._encode_shared(operation),
        ]  # fmt: skip
        if root.tenant:
            parts.append(encode("tocsin.tenant", root.tenant))
        if amount >= 0 and operation.kind.amount:
            parts.append(encode(operation.kind.amount, amount))
        if error:
            parts += (encode("error.type", error), _FAILED)
        if facts:
            parts.append(self._attributes.encode_all(facts))
        if line is not None and not (facts and "code.line.number" in facts):
            parts.append(self._attributes.encode_all(line.attributes()))
        if operation.notes and ended_ns - began_ns >= self._slow_ns:
            parts.append(self._attributes.encode_all(operation.notes))
        return b"".join(parts)

    def _encode_shared(self, operation: Operation) -> bytes:
        head = delimited(b"\x2a", utf8(operation.name)) + b"\x30" + bytes((CLIENT,))
        operation.encoded = head + self._attributes.encode_all(operation.attributes)
        return operation.encoded


def _line_of(facts: Attributes) -> str:
    """As a Line prints itself, from its attributes."""
    if "code.line.number" not in facts:
        return ""
    return f"{facts['code.file.path']}:{facts['code.line.number']} in {facts['code.function.name']}"


def _name_repeated(root: RecordingSpan, calls: Calls, operation: Operation, group: list[Any]) -> tuple[int, int]:
    """Puts the event, and for the operation that took longest the attributes, on the root; calls and nanoseconds."""
    count, spent_ns = calls.folded.get(operation, (0, 0))
    count += len(group)
    spent_ns += sum(call[1] - call[0] for call in group)
    spent_ms = round(spent_ns / 1e6, 3)
    line = calls.lines.get(operation)
    facts = {**operation.attributes, "tocsin.repeat.count": count, "tocsin.repeat.duration_ms": spent_ms}
    if line is not None:
        facts.update(line.attributes())
    last_ns = time.time_ns() - perf_counter_ns() + group[-1][1]
    root._append_event(operation.kind.repeats, facts, last_ns)
    before = (root.attributes or {}).get("tocsin.n_plus_one.duration_ms", -1.0)
    if spent_ms > before:
        named = {
            "tocsin.n_plus_one.count": count,
            "tocsin.n_plus_one.duration_ms": spent_ms,
            "tocsin.n_plus_one.query": operation.attributes.get("db.query.text", operation.name),
            "tocsin.n_plus_one.line": str(line) if line is not None else "",
        }
        for key, value in named.items():
            root.set_attribute_late(key, value)
    return count, spent_ns
