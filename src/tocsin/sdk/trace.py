"""OpenTelemetry's TracerProvider over our spans, so that every instrumentation package feeds the same trace."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util._decorator import _agnosticcontextmanager  # what the API's own start_as_current_span is

from tocsin.sdk.agents import active_agent
from tocsin.sdk.guard import guarded
from tocsin.sdk.propagation import new_span_id, new_trace_id
from tocsin.sdk.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, RecordingSpan
from tocsin.sdk.tenant import current_tenant

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

_KINDS = {
    trace.SpanKind.INTERNAL: INTERNAL,
    trace.SpanKind.SERVER: SERVER,
    trace.SpanKind.CLIENT: CLIENT,
    trace.SpanKind.PRODUCER: PRODUCER,
    trace.SpanKind.CONSUMER: CONSUMER,
}


class TocsinTracerProvider(trace.TracerProvider):
    """Gives tracers whose spans an agent keeps."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._tracers: dict[tuple[str, str], TocsinTracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        key = (instrumenting_module_name, instrumenting_library_version or "")
        tracer = self._tracers.get(key)
        if tracer is None:
            tracer = self._tracers[key] = TocsinTracer(self.agent, key)
        return tracer

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As OpenTelemetry's SDK has it; True when everything is out."""
        return self.agent.exporter.flush(timeout_millis / 1000)


class TocsinTracer(trace.Tracer):
    """Makes spans of one instrumentation scope."""

    def __init__(self, agent: Agent, library: tuple[str, str]) -> None:
        self._agent = agent
        self._library = library

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        parent = trace.get_current_span(context)
        return self._start(parent, name, kind, attributes, links, start_time)

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span

    @guarded(trace.INVALID_SPAN)
    def _start(
        self,
        parent: trace.Span,
        name: str,
        kind: trace.SpanKind,
        attributes: Mapping[str, Any] | None,
        links: Sequence[trace.Link] | None,
        start_time: int | None,
    ) -> trace.Span:
        span = start_child(self._agent, parent, name, _KINDS[kind], start_time)
        if isinstance(span, RecordingSpan):
            span.library = self._library
            if attributes:
                span.set_attributes(attributes)
            if links:
                span.links = list(links[: self._agent.settings.attributes_per_span])
        return span


class UnrecordedSpan(trace.NonRecordingSpan):
    """Stands for a span there was no room for; what is below it belongs to the same request all the same."""

    def __init__(self, parent: RecordingSpan) -> None:
        super().__init__(parent.get_span_context())
        self.root = parent.root


def start_child(agent: Agent, parent: trace.Span, name: str, kind: int, start_ns: int | None = None) -> trace.Span:
    """A span below the parent; a root of its own when the parent is invalid, remote or of another SDK.

    Gives a span that records nothing when the trace is full or child spans are being shed.
    """
    start_ns = start_ns or time.time_ns()
    if isinstance(parent, RecordingSpan):
        root = parent.root
        if agent.sheds_children or root.span_count >= agent.settings.spans_per_trace:
            agent.note_unrecorded_child()
            return UnrecordedSpan(parent)
        root.span_count += 1
        parent.identify()
        span = RecordingSpan(agent, name, kind, root.trace_id, new_span_id(), parent.span_id, start_ns)
        span._parent_root = root
        return span
    if isinstance(parent, UnrecordedSpan):
        agent.note_unrecorded_child()
        return parent
    context = parent.get_span_context()
    if not context.is_valid:
        span = RecordingSpan(agent, name, kind, new_trace_id(), new_span_id(), b"", start_ns)
    else:
        trace_id, parent_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
        span = RecordingSpan(agent, name, kind, trace_id, new_span_id(), parent_id, start_ns)
        span.remote_sampled = context.trace_flags.sampled
        span.trace_state = context.trace_state.to_header() if context.trace_state else ""
    span.tenant = current_tenant() or ""
    return span


class span:
    """A span of your own around a block or a function, below the current one.

    `with tocsin.span("render", pages=12) as current:` gives the OpenTelemetry span; `@tocsin.span("render")`
    wraps a function, coroutine functions included. An exception is recorded and passes on.
    """

    def __init__(self, name: str, **attributes: Any) -> None:
        self._name = name
        self._attributes = attributes
        self._entered: list[Any] = []

    def __enter__(self) -> trace.Span:
        entered = self._open()
        current: trace.Span = entered.__enter__()
        self._entered.append(entered)
        return current

    def __exit__(self, *exception: Any) -> None:
        self._entered.pop().__exit__(*exception)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self._open():
                    return await func(*args, **kwargs)

            return call_async

        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._open():
                return func(*args, **kwargs)

        return call

    def _open(self) -> Any:
        agent = active_agent()
        if agent is None:
            return _no_span()
        tracer = agent.tracer_for_app()
        return tracer.start_as_current_span(self._name, attributes=self._attributes)


@contextmanager
def _no_span() -> Iterator[trace.Span]:
    yield trace.INVALID_SPAN
