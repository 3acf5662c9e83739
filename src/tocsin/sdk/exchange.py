"""One request or WebSocket: what is observed between its first message and its last byte.

An exchange is its own server span. While the request runs it only takes clocks and notes; numbers, the decision to
keep the trace and the encoding come a moment later in `digest.py`, where the same work costs less than half.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from operator import itemgetter
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any

from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded, guarded_observer, guarded_step, note_fault
from tocsin.sdk.logs.whose import note_left
from tocsin.sdk.propagation import new_span_id, new_trace_id, parse_traceparent
from tocsin.sdk.route import route_template
from tocsin.sdk.spans import ERROR, SERVER, UNSET, RecordingSpan
from tocsin.sdk.tenant import NO_SCOPE, resolve_first

if TYPE_CHECKING:
    from opentelemetry import trace

    from tocsin.sdk.agent import Agent
    from tocsin.sdk.red import Key

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Headers = Sequence[tuple[bytes, bytes]]

# Said when the client went away before there was a status; nginx uses the same number.
CLIENT_CLOSED = 499
# Cut to 256 when it is encoded, without what is secret.
_STATUS_CHARACTERS = 768
# From here on a call has waited for somebody else, over a socket say.
_WAITED_NS = 20_000
_NO_KEY = ("", "", 0, "", "")

# What the encoder needs of a scope, copied out at once: the scope itself must not outlive the request.
_FACT_NAMES = ("type", "method", "path", "query_string", "client", "server", "scheme", "http_version")
_facts_of = itemgetter(*_FACT_NAMES)


class Exchange(RecordingSpan):
    """A request on its way through the app. It is the server span and holds the tenant, which `set_tenant` changes."""

    is_request = True
    name = ""
    kind = SERVER
    # What every request has, in slots: a default of the class costs more to read than a slot to set, and this many
    # attributes would else become a dictionary of their own.
    __slots__ = (
        "_receive", "_streams", "agent", "ended_ns", "facts", "finished_ns", "has_tenant", "headers", "http_status",
        "is_done", "is_plain", "is_recorded", "key", "outer_span", "parent_id", "reason", "relay", "remote_sampled",
        "request_bytes", "response_bytes", "response_headers", "route", "scope", "span_count", "span_id",
        "started_ns", "status", "tenant", "trace_id",
    )  # fmt: skip
    # What only few have.
    disconnected = False
    error: BaseException | None = None
    has_failed = False
    row_tenant: Any = None
    local_parent: trace.Span | None = None
    _expects_trailers = False

    def __init__(self, agent: Agent, scope: Scope, receive: Receive, send: Send) -> None:
        self.agent = agent
        self.scope: Scope | None = scope
        self._receive = receive
        self.relay = send
        self.headers: dict[bytes, bytes] | None = None
        self.http_status = self.response_bytes = 0
        # -1: unknown until the content-length is read or the last part of the body is here.
        self.request_bytes = -1
        self.response_headers: Headers = ()
        # Known at the end.
        self.route = ""
        self.key: Key = _NO_KEY
        self.facts: tuple[Any, ...] = ()
        self.tenant = self.reason = ""
        # Whether the app has said whose request it is; no resolver is asked then.
        self.has_tenant = self._streams = self.is_done = False
        # False when somebody else records the span of this request.
        self.is_recorded = self.is_plain = True
        self.outer_span: trace.Span | None = None
        self.status = UNSET
        self.span_count = 1
        self.trace_id = self.span_id = self.parent_id = b""
        self.remote_sampled: bool | None = None
        # perf_counter nanoseconds; 0 until it happens.
        self.ended_ns = self.finished_ns = 0
        self.started_ns = perf_counter_ns()

    # -- what others ask for while the request runs

    def identify(self) -> None:
        """Takes the trace id of the caller or begins a new trace; in any case once."""
        if self.span_id:
            return
        headers = self.headers or self.header_map()
        traceparent = headers.get(b"traceparent")
        remote = parse_traceparent(traceparent, headers.get(b"tracestate", b"")) if traceparent else None
        if remote is not None:
            self.trace_id, self.parent_id, self.remote_sampled, trace_state = remote
            if trace_state:
                self.trace_state, self.is_plain = trace_state, False
        elif self.local_parent is not None:
            context = self.local_parent.get_span_context()
            self.trace_id, self.parent_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
            self.remote_sampled = context.trace_flags.sampled
        else:
            self.trace_id = new_trace_id()
        self.span_id = new_span_id()

    def header_map(self) -> Mapping[bytes, bytes]:
        """The request's headers; of repeated ones the last, but the whole trace state.

        One dictionary of bytes, instead of keeping the server's list: the garbage collector passes over it.
        """
        headers = self.headers
        if headers is None:
            pairs: Headers = self.scope["headers"]  # type: ignore[index]  # None only after they were read
            headers = self.headers = dict(pairs)
            if b"tracestate" in headers:
                headers[b"tracestate"] = b",".join(value for name, value in pairs if name == b"tracestate")
        return headers

    @property
    def start_ns(self) -> int:  # type: ignore[override]  # other spans know their wall time from the start
        return time_ns() - perf_counter_ns() + self.started_ns

    @property
    def end_ns(self) -> int:  # type: ignore[override]
        """Wall time of the last byte; 0 while the app may still say something, as in background tasks."""
        return time_ns() - perf_counter_ns() + self.ended_ns if self.finished_ns else 0

    def is_recording(self) -> bool:
        return not self.finished_ns

    def end(self, end_time: int | None = None) -> None:
        """Nothing: a request ends with its last byte, whatever the app calls."""

    @guarded("")
    def find_tenant(self) -> str:
        """The tenant that was set, else the first that a resolver finds."""
        if not self.tenant and not self.has_tenant and self.agent.resolvers:
            scope = self.scope  # held: a thread that watches may ask while the request ends
            if scope is not None:
                self.tenant = resolve_first(self.agent.resolvers, scope, self.header_map())
            elif self.agent.resolve_headers is not None:
                self.tenant = self.agent.resolve_headers(NO_SCOPE, self.header_map()) or ""
        return self.tenant

    def default_name(self) -> str:
        return f"{self.key[0]} {self.key[1]}"

    # -- messages

    def send(self, message: Message) -> Awaitable[None]:
        """The app's `send`: takes note of the message and hands it on. Plain, so that no coroutine wraps another."""
        try:
            kind = message["type"]
            if kind == "http.response.body":
                body = message.get("body")
                if body:
                    self.response_bytes += len(body)
                if not self._streams:
                    if not message.get("more_body"):
                        self.close_response()
                    else:
                        self._streams = True
            elif kind == "http.response.start":
                self.http_status = status = message["status"]
                self.response_headers = message.get("headers", ())
                if message.get("trailers"):
                    self._expects_trailers = self._streams = True
                if status >= 500:
                    self._note_handled_error()
            else:
                self._observe_other(kind, message)
        except Exception as error:  # noqa: BLE001  a guard of its own: a call less, twice a request
            note_fault("Exchange.send", error)
            return self.relay(message)
        if self._streams:
            # The last byte of a stream is out when the server has taken it, which may wait for a slow client.
            return self._send_streamed(message)
        relay = self.relay
        return relay(message)

    async def receive(self) -> Message:
        """The app's `receive`; notices a client that goes away before the response is complete."""
        receive = self._receive
        message = await receive()
        self._observe_received(message)
        return message

    def close_response(self) -> None:
        """The last byte is out: the request is over for the client and counted. Happens once."""
        if self.ended_ns:
            return
        self.ended_ns = perf_counter_ns()
        agent = self.agent
        scope: Scope = self.scope  # type: ignore[assignment]  # None only after the app has returned
        agent.live.discard(self)
        fastapi = scope.get("fastapi")
        context = fastapi.get("effective_route_context") if fastapi else None
        if context is not None and context.original_route is scope.get("route") and "app_root_path" not in scope:
            self.route = context.path or "/"  # most requests of current FastAPI versions
        else:
            self.route = route_template(scope)
        try:
            self.facts = _facts_of(scope)
        except KeyError:
            self.facts = tuple(map(scope.get, _FACT_NAMES))
        if self.headers is None:
            self.header_map()
        if self._streams:
            self.is_lasting = _is_event_stream(self.response_headers)
        self.response_headers = ()
        if self.outer_span is not None:
            self._label_outer(self.outer_span)
        elif agent.resolves_by_scope:
            self.find_tenant()
        put = agent.put
        put(self)

    @guarded_observer
    def _observe_received(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.disconnect":
            if not self.ended_ns:
                self.disconnected, self.is_plain = True, False
        elif kind == "http.request":
            # Kept below zero until complete: -1 - bytes so far.
            self.request_bytes -= len(message.get("body", b""))
            if not message.get("more_body"):
                self.request_bytes = -1 - self.request_bytes

    def _observe_other(self, kind: str, message: Message) -> None:
        if kind == "websocket.accept":
            self.http_status = 101
        elif kind == "websocket.send":
            self.response_bytes += len(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.close" and not self.http_status:
            self.http_status = 403  # what servers answer to a handshake that the app refuses
        elif kind == "websocket.http.response.start":
            self.http_status = message["status"]
        elif kind == "http.response.pathsend" or kind == "http.response.zerocopysend":
            self._streams = True

    async def _send_streamed(self, message: Message) -> None:
        try:
            await self.relay(message)
        except OSError:
            self.disconnected, self.is_plain = True, False  # servers with ASGI spec 2.4 say so by raising
            raise
        self._after_streamed(message)

    @guarded_observer
    def _after_streamed(self, message: Message) -> None:
        kind = message["type"]
        is_last = (
            (kind == "http.response.body" and not message.get("more_body") and not self._expects_trailers)
            or (kind == "http.response.trailers" and not message.get("more_trailers"))
            or kind == "http.response.pathsend"
        )
        if is_last:
            self.close_response()

    # -- errors and the end

    def error_type(self) -> str:
        """The exception's type on failures, or the status as text when no exception is known; '' on success."""
        if self.error is not None:
            return qualified_name(self.error)
        return str(self.http_status) if self.http_status >= 500 else ""

    def _note_handled_error(self) -> None:
        """An error handler is answering right now, with the exception still being handled further up."""
        self.status, self.is_plain = ERROR, False
        handled = sys.exc_info()[1]
        # Exceptions that carry a status, such as HTTPException, say nothing more than the status does.
        if isinstance(handled, Exception) and not hasattr(handled, "status_code"):
            self._note_error(handled, escaped=False)

    def _note_error(self, error: Exception, escaped: bool) -> None:
        self.error = error
        if self.is_recorded:
            self.note_exception(error, escaped=escaped)
        self.is_plain = False
        self.status, self.status_text = ERROR, f"{type(error).__name__}: {error}"[:_STATUS_CHARACTERS]

    @guarded_observer
    def fail(self, error: BaseException) -> None:
        """An exception is leaving the app. It goes on untouched; only a real error is recorded."""
        self.has_failed, self.is_plain = True, False
        if not isinstance(error, Exception):
            # Cancelled: servers do so when the client is gone or when they stop.
            self.disconnected = self.disconnected or not self.ended_ns
            return
        note_left(error)
        if error is self.error or (self.disconnected and isinstance(error, OSError)):
            return  # noted when its error page went out, or no fault of the app
        if type(error).__name__ == "WebSocketDisconnect":
            return
        if not self.ended_ns:
            self._note_error(error, escaped=True)
        elif self.is_recorded:
            # After the last byte: the client saw no error, the trace is kept nevertheless.
            self.note_exception(error, escaped=True)
            self.status = ERROR
            self.set_attribute_late("tocsin.background.error", qualified_name(error))

    def finish(self) -> None:
        """The app has returned: nothing more will be said, and the scope is let go."""
        if not self.ended_ns:
            self._close_incomplete()
        self.scope = None
        # The server's own pair would hold the scope; whoever still calls has no client any more.
        self._receive, self.relay = _receive_too_late, _send_too_late
        self.finished_ns = perf_counter_ns()

    @guarded_step
    def _close_incomplete(self) -> None:
        """The app is done and the response is not: an error, a disconnect, or a WebSocket at its natural end."""
        assert self.scope is not None
        if self.scope["type"] == "websocket":
            self.http_status = self.http_status or (500 if self.error is not None else 403)
        elif not self.http_status:
            self.http_status = CLIENT_CLOSED if self.disconnected and self.error is None else 500
            if self.http_status == 500:
                self.status, self.is_plain = ERROR, False
        self.close_response()

    def _label_outer(self, span: trace.Span) -> None:
        """Puts the tenant on the request span that somebody else records."""
        tenant = self.find_tenant()
        if tenant:
            span.set_attribute("tocsin.tenant", tenant)
        if tenant and isinstance(span, RecordingSpan):
            span.root.tenant = tenant


def _is_event_stream(headers: Headers) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


async def _receive_too_late() -> Message:
    return {"type": "http.disconnect"}


async def _send_too_late(message: Message) -> None:
    pass


class MeteredExchange(Exchange):
    """An exchange that also adds up what observing it costs; one request in some is one."""

    is_metered = True
    cost_ns = 0

    def note_hook(self, instrument: str, nanoseconds: int, call_ns: int = 0) -> None:
        """Adds what a call into a watched library cost in its hook; call_ns: how long the library took."""
        hooks = self.__dict__.setdefault("hooks", {})
        spent, number, waits = hooks.get(instrument, (0, 0, 0))
        hooks[instrument] = spent + nanoseconds, number + 1, waits + (call_ns >= _WAITED_NS)

    def send(self, message: Message) -> Awaitable[None]:
        began_ns = perf_counter_ns()
        taken = super().send(message)
        self.cost_ns += perf_counter_ns() - began_ns
        return taken

    @guarded_step
    def finish(self) -> None:
        began_ns = perf_counter_ns()
        super().finish()
        self.agent.meter.add("request", (self.cost_ns + perf_counter_ns() - began_ns) / 1e9)
        for instrument, (nanoseconds, number, waits) in self.__dict__.get("hooks", {}).items():
            self.agent.meter.add(instrument, nanoseconds / 1e9, number, waits)
