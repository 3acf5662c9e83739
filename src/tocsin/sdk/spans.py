"""Spans being recorded: OpenTelemetry's Span, with the decision to keep taken when the local root ends."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace.status import Status, StatusCode

from tocsin.sdk.errors import fingerprint, qualified_name
from tocsin.sdk.guard import guarded

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

# OTLP's numbers for SpanKind and Status.
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
UNSET, OK, ERROR = 0, 1, 2

_STACK_CHARACTERS = 16_384
# Spans of a trace that is already sure to be kept go out in portions, so that endless roots stay small.
_EARLY_PORTION = 64

_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_UNSAMPLED = trace.TraceFlags(trace.TraceFlags.DEFAULT)

_STATUS = {StatusCode.UNSET: UNSET, StatusCode.OK: OK, StatusCode.ERROR: ERROR}

# Guards the hand-over of ended children to their root against the root's own end, which may be in another thread.
_handover = threading.Lock()


class Event:
    """One event of a span."""

    __slots__ = ("attributes", "name", "time_ns")

    def __init__(self, name: str, time_ns: int, attributes: Mapping[str, Any] | None) -> None:
        self.name = name
        self.time_ns = time_ns
        self.attributes = attributes


class RecordingSpan(trace.Span):
    """A span of ours. The first span of a trace in this process (its root) decides at its end what is kept.

    tenant, request and the buffer of children are the root's; other spans read them there.
    """

    __slots__ = (
        "_context", "agent", "attributes", "children", "dropped_attributes", "dropped_events", "end_ns", "events",
        "head", "is_done", "is_lasting", "kind", "links", "name", "parent_id", "reason", "remote_sampled", "request", "root", "scope",
        "span_count", "span_id", "start_ns", "status", "status_text", "tenant", "trace_id", "trace_state",
    )  # fmt: skip

    def __init__(
        self, agent: Agent, name: str, kind: int, trace_id: int, span_id: int, parent_id: int, start_ns: int
    ) -> None:
        self.agent = agent
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.start_ns = start_ns
        self.end_ns = 0
        self.root: RecordingSpan = self
        self.tenant = ""
        self.trace_state = ""
        self.remote_sampled: bool | None = None
        self.head: bool | None = None
        self.reason = ""
        self.status = UNSET
        self.status_text = ""
        self.is_done = self.is_lasting = False
        self.span_count = 1
        self.attributes: dict[str, Any] | None = None
        self.children: list[RecordingSpan] | None = None
        self.events: list[Event] | None = None
        self.links: Sequence[trace.Link] | None = None
        self.scope: tuple[str, str] | None = None
        self.request: tuple[Any, ...] | None = None
        self.dropped_attributes = self.dropped_events = 0
        self._context: trace.SpanContext | None = None

    # -- OpenTelemetry's interface; guarded, because instrumentations call it from the app's own code

    def get_span_context(self) -> trace.SpanContext:
        context = self._context
        if context is None:
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
            self.links = [*(self.links or ()), trace.Link(context, attributes)]

    def update_name(self, name: str) -> None:
        if not self.end_ns:
            self.name = name

    @guarded(None)
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self.end_ns:
            return
        if isinstance(status, Status):
            status, description = status.status_code, status.description
        # OpenTelemetry: Ok is final, Unset is ignored.
        if self.status != OK and status is not StatusCode.UNSET:
            self.status = _STATUS[status]
            self.status_text = description or "" if status is StatusCode.ERROR else ""

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
        stack = "".join(traceback.format_exception(exception))
        if len(stack) > _STACK_CHARACTERS:
            half = _STACK_CHARACTERS // 2
            stack = f"{stack[:half]}\n  …\n{stack[-half:]}"
        facts: dict[str, Any] = {
            "exception.type": qualified_name(exception),
            "exception.message": str(exception)[: self.agent.settings.attribute_characters],
            "exception.stacktrace": stack,
            "exception.escaped": escaped,
            "tocsin.error.fingerprint": fingerprint(exception),
        }
        if attributes:
            facts.update(attributes)
        self._append_event("exception", facts, timestamp)

    def set_attribute_late(self, key: str, value: Any) -> None:
        """An attribute that becomes known after the end, before the span is handed over."""
        self.attributes = {**(self.attributes or {}), key: value}

    def sampled_flag(self) -> bool:
        """The head decision of this trace, drawn when it is first asked for, so that the tenant is known by then."""
        root = self.root
        head = root.head
        if head is None:
            head = root.head = root.agent.head_decision(root)
        return head

    def _make_context(self) -> trace.SpanContext:
        state = trace.TraceState.from_header([self.root.trace_state]) if self.root.trace_state else None
        flags = _SAMPLED if self.sampled_flag() else _UNSAMPLED
        return trace.SpanContext(self.trace_id, self.span_id, False, flags, state)

    def _append_event(self, name: str, attributes: Mapping[str, Any] | None, timestamp: int | None) -> None:
        events = self.events
        if events is None:
            events = self.events = []
        if len(events) >= self.agent.settings.attributes_per_span:
            self.dropped_events += 1
            return
        events.append(Event(name, timestamp or time.time_ns(), dict(attributes) if attributes else None))

    def _cut(self, value: Any) -> Any:
        if type(value) is str:
            limit = self.agent.settings.attribute_characters
            return value if len(value) <= limit else value[:limit]
        if type(value) is list:
            return tuple(value)  # the caller may go on changing its list
        return value

    @guarded(None)
    def _finish(self) -> None:
        if self.root is self:
            self.agent.end_root(self, self.end_ns - self.start_ns)
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

    def close_root(self) -> list[RecordingSpan] | None:
        """Marks this root as done and takes its children; later ones find out by themselves."""
        with _handover:
            self.is_done = True
            children, self.children = self.children, None
        return children
