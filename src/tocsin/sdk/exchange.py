"""One request or WebSocket: what is observed between its first message and its last byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded
from tocsin.sdk.propagation import new_span_id, new_trace_id, parse_traceparent
from tocsin.sdk.route import route_template
from tocsin.sdk.spans import ERROR, SERVER, RecordingSpan
from tocsin.sdk.tenant import TenantHolder, resolve_first

if TYPE_CHECKING:
    from opentelemetry import trace

    from tocsin.sdk.agent import Agent

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
# The pseudo-method of WebSockets: their minutes must not be mixed into the durations of GET.
WEBSOCKET = "WS"
# Said when the client went away before there was a status; nginx uses the same number.
CLIENT_CLOSED = 499
# Less than this after the last byte is the framework returning, not background work.
_BACKGROUND_SECONDS = 0.001


class Exchange(TenantHolder):
    """A request on its way through the app. Also holds its tenant, which `set_tenant` may change."""

    __slots__ = (
        "_expects_trailers", "_receive", "_send", "_streams", "agent", "disconnected", "ended_at", "error", "foreign",
        "headers", "is_websocket", "key", "request_bytes", "response_bytes", "scope", "span", "started_at", "status",
    )  # fmt: skip
    is_request = True

    def __init__(
        self, agent: Agent, scope: MutableMapping[str, Any], receive: Receive, send: Send, is_websocket: bool
    ) -> None:
        self.agent = agent
        self.scope: MutableMapping[str, Any] | None = scope
        self._receive: Receive | None = receive
        self._send: Send | None = send
        self.is_websocket = is_websocket
        self.headers = headers = dict(scope["headers"])
        self.tenant = ""
        self.status = 0
        self.response_bytes = 0
        length = headers.get(b"content-length")
        self.request_bytes = -1 if length is None else _to_int(length)
        self.ended_at = 0.0
        self.error: BaseException | None = None
        self.foreign: trace.Span | None = None
        self.span: RecordingSpan | None = None
        self.key: tuple[str, str, int, str, str] | None = None
        self.disconnected = self._streams = self._expects_trailers = False
        self.started_at = perf_counter()

    # -- the span of this request

    def open_span(self, local_parent: Any) -> RecordingSpan:
        """Begins our own server span, below the caller's if its headers say so."""
        traceparent = self.headers.get(b"traceparent")
        remote = None
        if traceparent is not None:
            remote = parse_traceparent(traceparent, self._trace_state())
        if remote is None and local_parent is not None:
            return self._open_below(local_parent)
        if remote is None:
            span = RecordingSpan(self.agent, "", SERVER, new_trace_id(), new_span_id(), 0, time_ns())
        else:
            span = RecordingSpan(self.agent, "", SERVER, remote.trace_id, new_span_id(), remote.span_id, time_ns())
            span.remote_sampled = remote.is_sampled
            span.trace_state = remote.trace_state
        self.span = span
        return span

    def _open_below(self, local_parent: trace.Span) -> RecordingSpan:
        """Our server span below a span of this process that has nothing to do with HTTP, in a test for instance."""
        context = local_parent.get_span_context()
        span = RecordingSpan(self.agent, "", SERVER, context.trace_id, new_span_id(), context.span_id, time_ns())
        span.remote_sampled = context.trace_flags.sampled
        self.span = span
        return span

    def _trace_state(self) -> bytes:
        if b"tracestate" not in self.headers or self.scope is None:
            return b""
        return b",".join(value for name, value in self.scope["headers"] if name == b"tracestate")

    # -- the tenant

    @guarded("")
    def find_tenant(self) -> str:
        """The tenant that was set, else the first that a resolver finds; found once."""
        if not self.tenant and self.agent.resolvers and self.scope is not None:
            self.tenant = resolve_first(self.agent.resolvers, self.scope, self.headers)
        return self.tenant

    # -- messages

    def send(self, message: Message) -> Awaitable[None]:
        """The app's `send`. A plain function: it hands on the server's own awaitable instead of wrapping it."""
        assert self._send is not None
        self.observe(message)
        if self._streams:
            # The last byte of a stream is out when the server has taken it, which may wait for a slow client.
            return self._send_streamed(message)
        return self._send(message)

    async def receive(self) -> Message:
        """The app's `receive`; notices a client that goes away before the response is complete."""
        assert self._receive is not None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            if not self.ended_at:
                self.disconnected = True
        elif message["type"] == "http.request" and self.request_bytes < 0:
            self.count_body(message)
        return message

    @guarded(None)
    def observe(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self.response_bytes += len(body)
            if message.get("more_body"):
                self._streams = True
            elif not self._streams and not self._expects_trailers:
                self.end()
        elif kind == "http.response.start":
            self.status = message["status"]
            self._expects_trailers = message.get("trailers", False)
            if self._expects_trailers:
                self._streams = True
            self._note_event_stream(message)
        elif kind == "http.response.pathsend" or kind == "http.response.zerocopysend":
            self._streams = True
        elif self.is_websocket:
            self._observe_websocket(kind, message)

    def _note_event_stream(self, message: Message) -> None:
        """A stream of server-sent events lasts by design: it is never a slow request."""
        if self.span is not None:
            for name, value in message.get("headers", ()):
                if name == b"content-type":
                    self.span.is_lasting = value.startswith(b"text/event-stream")
                    return

    async def _send_streamed(self, message: Message) -> None:
        assert self._send is not None
        try:
            await self._send(message)
        except OSError:
            self.disconnected = True  # servers with ASGI spec 2.4 say so by raising
            raise
        self._after_streamed(message)

    @guarded(None)
    def _after_streamed(self, message: Message) -> None:
        kind = message["type"]
        is_last = (
            (kind == "http.response.body" and not message.get("more_body") and not self._expects_trailers)
            or (kind == "http.response.trailers" and not message.get("more_trailers"))
            or kind == "http.response.pathsend"
        )
        if is_last and not self.ended_at:
            self.end()

    def _observe_websocket(self, kind: str, message: Message) -> None:
        if kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.send":
            self.response_bytes += len(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.close" and not self.status:
            self.status = 403  # what servers answer to a handshake that the app refuses
        elif kind == "websocket.http.response.start":
            self.status = message["status"]

    @guarded(None)
    def count_body(self, message: Message) -> None:
        """Adds up a body that came without a length; known once its last part is here."""
        size = len(message.get("body", b""))
        # Kept negative until complete: -1 - bytes so far.
        self.request_bytes -= size
        if not message.get("more_body"):
            self.request_bytes = -1 - self.request_bytes

    # -- the end

    def end(self) -> None:
        """The last byte is out: counts the request. Happens once."""
        now = perf_counter()
        self.ended_at = now
        agent = self.agent
        scope = self.scope
        agent.live.discard(self)
        assert scope is not None
        method = WEBSOCKET if self.is_websocket else scope["method"]
        if method not in _METHODS and method != WEBSOCKET:
            method = "_OTHER"
        status = self.status
        error = self.error
        error_type = "" if status < 500 and error is None else qualified_name(error) if error else str(status)
        tenant = self.tenant or (self.find_tenant() if agent.resolvers else "")
        self.key = key = (method, route_template(scope), status, tenant, error_type)
        seconds = now - self.started_at
        agent.red.record(key, seconds, self.request_bytes, self.response_bytes)
        span = self.span
        if span is not None:
            span.end_ns = span.start_ns + int(seconds * 1e9)
            if error_type:
                span.status = ERROR

    @guarded(None)
    def fail(self, error: BaseException) -> None:
        """An exception is leaving the app. It goes on untouched; only a real error is recorded."""
        if not isinstance(error, Exception):
            if not self.ended_at:
                self.disconnected = True  # cancelled: servers do so when the client is gone or they stop
            return
        if self.disconnected and isinstance(error, OSError):
            return
        if self.is_websocket and type(error).__name__ == "WebSocketDisconnect":
            return
        if not self.ended_at:
            self.error = error
        span = self.span
        if span is not None:
            span.note_exception(error, escaped=True)
            span.status, span.status_text = ERROR, f"{type(error).__name__}: {error}"[:256]
            if self.key is not None and not self.key[4]:
                # After the last byte: the client saw no error, the trace is kept nevertheless.
                span.set_attribute_late("tocsin.background.error", qualified_name(error))

    @guarded(None)
    def finish(self) -> None:
        """The app has returned: background time is known, the trace is kept or let go, the scope is let go."""
        background = 0.0
        if not self.ended_at:
            self._end_incomplete()
        else:
            background = perf_counter() - self.ended_at
            if background >= _BACKGROUND_SECONDS and self.key is not None:
                self.agent.red.record_background(self.key, background)
            else:
                background = 0.0
        if self.span is not None:
            self._finish_span(self.span, background)
        elif self.foreign is not None:
            self._label_foreign(self.foreign)
        self.scope = self._receive = self._send = self.error = None
        self.agent.exporter_wanted()

    def _end_incomplete(self) -> None:
        """The app is done and the response is not: an error, a disconnect, or a WebSocket at its natural end."""
        if self.error is not None and not (self.is_websocket and self.status):
            self.status = self.status or 500
        elif not self.is_websocket and not self.status:
            self.status = CLIENT_CLOSED if self.disconnected else 500
        self.end()

    def _finish_span(self, span: RecordingSpan, background_seconds: float) -> None:
        scope, key = self.scope, self.key
        if scope is None or key is None:
            return
        span.tenant = key[3]
        duration_ns = span.end_ns - span.start_ns
        agent = self.agent
        agent.end_root(span, duration_ns)
        if span.reason:
            span.request = self.facts(scope, key, background_seconds)
        if duration_ns >= agent.slow_ns and not span.is_lasting:
            self._log_slow(span, duration_ns / 1e9)

    def facts(
        self, scope: Mapping[str, Any], key: tuple[str, str, int, str, str], background_seconds: float
    ) -> tuple[Any, ...]:
        """What the encoder needs of the request, copied out so that the scope is free.

        (what endpoints share, path, query, client, user agent, request bytes, response bytes, rare attributes)
        """
        rare: dict[str, Any] | None = None
        if background_seconds or self.disconnected:
            rare = {}
            if background_seconds:
                rare["tocsin.background.duration"] = background_seconds
            if self.disconnected:
                rare["tocsin.client.disconnected"] = True
        client = scope.get("client")
        server = scope.get("server")
        if type(server) is list:  # ASGI allows any iterable; the static part is looked up by value
            server = tuple(server)
        static = (
            key[0], key[1], key[2], key[4], scope.get("scheme", "http"), server,
            scope.get("http_version"), self.is_websocket,
        )  # fmt: skip
        return (
            static, scope["path"], scope.get("query_string"), client and client[0], self.headers.get(b"user-agent"),
            self.request_bytes, self.response_bytes, rare,
        )  # fmt: skip

    def _label_foreign(self, span: trace.Span) -> None:
        """Puts the tenant on the request span that somebody else records."""
        tenant = self.key[3] if self.key else ""
        if tenant:
            span.set_attribute("tocsin.tenant", tenant)
        if tenant and isinstance(span, RecordingSpan):
            span.root.tenant = tenant

    def _log_slow(self, span: RecordingSpan, seconds: float) -> None:
        if self.key is None:
            return
        method, route, status, tenant, _ = self.key
        facts = {"method": method, "route": route, "status": status, "tenant": tenant}
        self.agent.slow.write(seconds, {**facts, "trace_id": f"{span.trace_id:032x}"})


class MeteredExchange(Exchange):
    """An exchange that also adds up what observing it costs; one request in some is one."""

    __slots__ = ("cost_seconds",)

    def __init__(
        self, agent: Agent, scope: MutableMapping[str, Any], receive: Receive, send: Send, is_websocket: bool
    ) -> None:
        began = perf_counter()
        super().__init__(agent, scope, receive, send, is_websocket)
        self.cost_seconds = perf_counter() - began

    def observe(self, message: Message) -> None:
        began = perf_counter()
        super().observe(message)
        self.cost_seconds += perf_counter() - began

    def finish(self) -> None:
        began = perf_counter()
        super().finish()
        self.agent.meter.add("request", self.cost_seconds + perf_counter() - began)


def _to_int(value: bytes) -> int:
    try:
        return max(-1, int(value))
    except ValueError:
        return -1
