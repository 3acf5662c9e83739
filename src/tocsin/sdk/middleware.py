"""The one ASGI middleware: sees every request and WebSocket of an app, and leaves them as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from tocsin.sdk import coexist
from tocsin.sdk.agent import Agent, agent_for
from tocsin.sdk.exchange import Exchange, Message, MeteredExchange, Receive, Send
from tocsin.sdk.guard import guarded
from tocsin.sdk.overhead import MEASURE_EVERY
from tocsin.sdk.settings import Settings
from tocsin.sdk.tenant import current_holder
from tocsin.sdk.trace import SPAN_KEY

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Marks a scope that is already being recorded, for middleware added twice and for instrumented sub-apps.
MARK = "tocsin"


class MonitoringMiddleware:
    """Records what passes through an ASGI app.

    `app.add_middleware(MonitoringMiddleware)` or with settings as keyword arguments; without any, the environment
    decides. Raises SettingsError or TenantError at start for settings that cannot be used.
    """

    def __init__(self, app: App, *, settings: Settings | None = None, **arguments: Any) -> None:
        self.app = app
        self.settings = settings or Settings.load(**arguments)
        self.agent: Agent | None = agent_for(self.settings) if self.settings.enabled else None
        self._is_prepared = False
        self._stands_down = False
        self._is_current = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        agent = self.agent
        kind = scope["type"]
        if agent is None or MARK in scope or (kind != "http" and kind != "websocket"):
            if kind == "lifespan" and agent is not None:
                send = self._lifespan_send(agent, scope, send)
            await self.app(scope, receive, send)
            return
        exchange = self._begin(agent, scope, receive, send)
        if exchange is None:
            await self.app(scope, receive, send)
            return
        holder = current_holder.set(exchange)
        span = exchange.span
        token = None
        if span is not None and self._is_current:
            token = otel_context.attach(Context({**otel_context.get_current(), SPAN_KEY: span}))
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.finish()
            if token is not None:
                otel_context.detach(token)
            current_holder.reset(holder)

    @guarded(None)
    def _begin(self, agent: Agent, scope: Scope, receive: Receive, send: Send) -> Exchange | None:
        if not self._is_prepared:
            self._prepare(agent, scope)
        kind = MeteredExchange if agent.next_request() % MEASURE_EVERY == 0 else Exchange
        exchange = kind(agent, scope, receive, send, scope["type"] == "websocket")
        scope[MARK] = True
        agent.live.add(exchange)
        context = otel_context.get_current()
        outer = coexist.recorded_outside(scope, context) if context or coexist.NATIVE in scope else None
        if outer is not None:
            exchange.foreign = outer
        elif not self._stands_down:
            exchange.open_span(context.get(SPAN_KEY) if context else None)
            # Mounted FastAPI apps would begin a native span of their own; None is FastAPI's word for "do not".
            scope.setdefault(coexist.NATIVE, None)
        return exchange

    def _prepare(self, agent: Agent, scope: Scope) -> None:
        """Looks around once, at the first request: by then everybody else has been set up."""
        self._is_prepared = True
        self._stands_down = coexist.stack_records_requests(self.app)
        agent.is_global = coexist.install_provider(agent.provider)
        if agent.is_global and not self._stands_down:
            coexist.quiet_native_telemetry(scope)
        self._is_current = not coexist.global_is_foreign()

    def _lifespan_send(self, agent: Agent, scope: Scope, send: Send) -> Send:
        """Prepares when start-up is complete, and flushes when shutdown is: signals may end the process after it."""

        async def observed(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._start(agent, scope)
            elif message["type"] == "lifespan.shutdown.complete":
                self._stop(agent)
            await send(message)

        return observed

    @guarded(None)
    def _start(self, agent: Agent, scope: Scope) -> None:
        if not self._is_prepared:
            self._prepare(agent, scope)

    @guarded(None)
    def _stop(self, agent: Agent) -> None:
        agent.exporter.stop(agent.settings.exit_flush_seconds)


def instrument(app: Any, **arguments: Any) -> Any:
    """Monitors a FastAPI or Starlette app, or any ASGI callable; gives the app that is to be served.

    FastAPI and Starlette apps are changed in place (call it once, anywhere before the first request; more calls
    change nothing) and given back; any other ASGI callable comes back wrapped. Keyword arguments are the settings
    of docs/sdk.md. Raises SettingsError or TenantError for settings that cannot be used.
    """
    settings = Settings.load(**arguments)
    if isinstance(app, MonitoringMiddleware):
        return app
    build = getattr(app, "build_middleware_stack", None)
    if build is None:
        return MonitoringMiddleware(app, settings=settings)
    if getattr(app, "middleware_stack", None) is not None:
        raise RuntimeError("cannot instrument the app: it has already started; call tocsin.instrument(app) before")
    if not getattr(build, "is_tocsin", False):
        app.build_middleware_stack = _outermost(build, settings)
    return app


def _outermost(build: Callable[[], App], settings: Settings) -> Callable[[], App]:
    """The app's stack with our middleware around all of it, error handlers included, whoever adds theirs later."""

    def build_middleware_stack() -> App:
        return MonitoringMiddleware(build(), settings=settings)

    build_middleware_stack.is_tocsin = True  # type: ignore[attr-defined]  # found again by a second call
    return build_middleware_stack
