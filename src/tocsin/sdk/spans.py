"""Spans being recorded: OpenTelemetry's Span, with the decision to keep taken when the local root ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace.status import Status, StatusCode

from tocsin.sdk.errors import CapturedError, capture, fingerprint, stack_text
from tocsin.sdk.guard import guarded
from tocsin.sdk.redaction.redactor import SLACK

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent
    from tocsin.sdk.calls import Calls

# OTLP's numbers for SpanKind and Status.
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
UNSET, OK, ERROR = 0, 1, 2

# Spans of a trace that is already sure to be kept go out in portions, so that endless roots stay small.
_EARLY_PORTION = 64

_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_UNSAMPLED = trace.TraceFlags(trace.TraceFlags.DEFAULT)

_STATUS = {StatusCode.UNSET: UNSET, StatusCode.OK: OK, StatusCode.ERROR: ERROR}

# Guards the hand-over of ended children to their root against the root's own end, which may be in another thread.
_handover = threading.Lock()


class Event:
    """One event of a span; that of an exception carries what was captured of it."""

    __slots__ = ("_attributes", "_error", "_escaped", "name", "time_ns")

    def __init__(
        self,
        name: str,
        time_ns: int,
        attributes: Mapping[str, Any] | None,
        error: CapturedError | None = None,
        escaped: bool = False,
    ) -> None:
        self.name = name
        self.time_ns = time_ns
        self._attributes = attributes
        self._error = error
        self._escaped = escaped

    def facts(self) -> dict[str, Any]:
        """The attributes as they are sent; writes down the stack, so not on the request's path."""
        facts: dict[str, Any] = {}
        if self._error is not None:
            facts = {
                "exception.type": self._error.type_name,
                "exception.message": self._error.message,
                "exception.stacktrace": stack_text(self._error),
                "exception.escaped": self._escaped,
                "tocsin.error.fingerprint": fingerprint(self._error),
            }
        return {**facts, **self._attributes} if self._attributes else facts


class RecordingSpan(trace.Span):
    """A span of ours. The first span of a trace in this process (its root) decides at its end what is kept.

    tenant, reason and the buffer of children are the root's; other spans read them there.
    """

    # Defaults live on the class: most spans never differ, and a store for each would cost every request.
    trace_id = b""
    span_id = b""
    parent_id = b""
    end_ns = 0
    status = UNSET
    status_text = ""
    tenant = ""
    trace_state = ""
    reason = ""
    remote_sampled: bool | None = None
    head: bool | None = None
    is_done = False
    is_lasting = False
    # Why the trace is kept though nothing of the root itself says so, such as a failed operation inside.
    wanted = ""
    # Until something is said that only few spans have: a name, a status, attributes, events, links, a trace state.
    is_plain = True
    span_count = 1
    dropped_attributes = 0
    dropped_events = 0
    attributes: dict[str, Any] | None = None
    children: list[RecordingSpan] | None = None
    events: list[Event] | None = None
    links: Sequence[trace.Link] | None = None
    # What a root's trace has called, see calls.py; most have called nothing.
    calls: Calls | None = None
    # One request in some adds up what noting its calls costs.
    is_metered = False
    # The instrumentation scope: (name, version); None for request spans, which are our own.
    library: tuple[str, str] | None = None
    # None for roots: a reference to itself would leave every span to the garbage collector.
    _parent_root: RecordingSpan | None = None
    _context: trace.SpanContext | None = None

    def __init__(
        self, agent: Agent, name: str, kind: int, trace_id: bytes, span_id: bytes, parent_id: bytes, start_ns: int
    ) -> None:
        self.agent = agent
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.start_ns = start_ns

    @property
    def root(self) -> RecordingSpan:
        return self._parent_root or self

    def identify(self) -> None:
        """Makes sure that trace_id and span_id are there; requests put it off until somebody asks."""

    # -- OpenTelemetry's interface; guarded, because instrumentations call it from the app's own code

    def get_span_context(self) -> trace.SpanContext:
        context = self._context
        if context is None:
            self.identify()
            context = self._context = self._make_context()
        return context

    def is_recording(self) -> bool:
        return not self.end_ns

    @guarded(None)
    def set_attribute(self, key: str, value: Any) -> None:
        if self.end_ns or value is None:
            return
        attributes = self.attributes
        if attributes is None:
            self.is_plain = False
            attributes = self.attributes = {}
        if key not in attributes and len(attributes) >= self.agent.settings.attributes_per_span:
            self.dropped_attributes += 1
            return
        attributes[key] = self._cut(value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    @guarded(None)
    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        if self.end_ns:
            return
        self._append_event(name, attributes, timestamp)

    @guarded(None)
    def add_link(self, context: trace.SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if not self.end_ns and len(self.links or ()) < self.agent.settings.attributes_per_span:
            self.is_plain = False
            self.links = [*(self.links or ()), trace.Link(context, attributes)]

    def update_name(self, name: str) -> None:
        if not self.end_ns:
            self.is_plain = False
            self.name = name

    @guarded(None)
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self.end_ns:
            return
        code = status.status_code if isinstance(status, Status) else status
        text = status.description if isinstance(status, Status) else description
        # OpenTelemetry: Ok is final, Unset is ignored.
        if self.status != OK and code is not StatusCode.UNSET:
            self.is_plain = False
            self.status = _STATUS[code]
            self.status_text = text or "" if code is StatusCode.ERROR else ""

    @guarded(None)
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        if not self.end_ns:
            self.note_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        if not self.end_ns:
            self.end_ns = end_time or time.time_ns()
            self._finish()

    # As a context manager a span ends and remembers what went wrong, as OpenTelemetry's own SDK does.
    def __exit__(self, exc_type: Any, exc_val: BaseException | None, exc_tb: Any) -> None:
        if isinstance(exc_val, Exception):
            self.record_exception(exc_val)
            self.set_status(StatusCode.ERROR, f"{type(exc_val).__name__}: {exc_val}")
        self.end()

    # -- ours

    def note_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Adds the `exception` event with stack and fingerprint."""
        captured = capture(exception, self.agent.settings.attribute_characters + SLACK)
        self._append_event("exception", attributes, timestamp, captured, escaped)

    def set_attribute_late(self, key: str, value: Any) -> None:
        """An attribute that becomes known after the end, before the span is handed over."""
        self.is_plain = False
        self.attributes = {**(self.attributes or {}), key: value}

    def sampled_flag(self) -> bool:
        """The head decision of this trace, drawn when it is first asked for, so that the tenant is known by then."""
        root = self.root
        root.identify()
        head = root.head
        if head is None:
            head = root.head = root.agent.head_decision(root)
        return head

    def _make_context(self) -> trace.SpanContext:
        state = trace.TraceState.from_header([self.root.trace_state]) if self.root.trace_state else None
        flags = _SAMPLED if self.sampled_flag() else _UNSAMPLED
        trace_id, span_id = int.from_bytes(self.trace_id, "big"), int.from_bytes(self.span_id, "big")
        return trace.SpanContext(trace_id, span_id, False, flags, state)

    def _append_event(
        self,
        name: str,
        attributes: Mapping[str, Any] | None,
        timestamp: int | None,
        error: CapturedError | None = None,
        escaped: bool = False,
    ) -> None:
        events = self.events
        if events is None:
            self.is_plain = False
            events = self.events = []
        if len(events) >= self.agent.settings.attributes_per_span:
            self.dropped_events += 1
            return
        kept = {key: self._cut(value) for key, value in attributes.items()} if attributes else None
        events.append(Event(name, timestamp or time.time_ns(), kept, error, escaped))

    def _cut(self, value: Any) -> Any:
        if type(value) is str:
            limit = self.agent.settings.attribute_characters + SLACK
            return value if len(value) <= limit else value[:limit]
        if type(value) is list:
            return tuple(value)  # the caller may go on changing its list
        return value

    @guarded(None)
    def _finish(self) -> None:
        if self._parent_root is None:
            if self.calls is not None:
                self.agent.calls.review(self)
            is_kept = self.agent.decide(self, self.end_ns - self.start_ns)
            if is_kept:
                self.agent.keep_trace(self)
            if self.calls is not None:
                self.agent.calls.close(self, is_kept)
        else:
            self._hand_to_root()

    def _hand_to_root(self) -> None:
        root = self.root
        with _handover:
            is_late = root.is_done
            if not is_late:
                if root.children is None:
                    root.children = []
                root.children.append(self)
            portion = (
                root.children if not is_late and root.head and len(root.children or ()) >= _EARLY_PORTION else None
            )
            if portion:
                root.children = None
        if portion:
            self.agent.keep_all(portion)
        elif is_late and root.reason:
            self.agent.keep(self)

    def close(self) -> list[RecordingSpan] | None:
        """Marks this root as done and takes its children; later ones find out by themselves."""
        with _handover:
            self.is_done = True
            children, self.children = self.children, None
        return children
