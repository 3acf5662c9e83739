"""The one ASGI middleware: sees every request and WebSocket of an app, and leaves them as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from tocsin.sdk import coexist
from tocsin.sdk.agent import Agent, agent_for
from tocsin.sdk.exchange import Exchange, Message, MeteredExchange, Receive, Send
from tocsin.sdk.guard import guarded, guarded_observer
from tocsin.sdk.overhead import MEASURE_EVERY
from tocsin.sdk.settings import Settings
from tocsin.sdk.tenant import current_work
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
        self._is_alone = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        agent = self.agent
        kind = scope["type"]
        if agent is None or MARK in scope or (kind != "http" and kind != "websocket"):
            if kind == "lifespan" and agent is not None:
                send = self._lifespan_send(agent, scope, send)
            await self.app(scope, receive, send)
            return
        # One request in some is measured by a kind of exchange that takes more clocks.
        is_plain = agent.next_request() % MEASURE_EVERY
        exchange = (Exchange if is_plain else MeteredExchange)(agent, scope, receive, send)
        self._begin(exchange)
        work = current_work.set(exchange)
        context = exchange.context
        token = otel_context.attach(context) if context is not None else None
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.finish()
            if token is not None:
                otel_context.detach(token)
            current_work.reset(work)

    @guarded_observer
    def _begin(self, exchange: Exchange) -> None:
        agent, scope = exchange.agent, exchange.scope
        assert scope is not None
        if not self._is_prepared:
            self._prepare(agent, scope)
        scope[MARK] = True
        agent.live.add(exchange)
        around = otel_context.get_current()
        if around or not self._is_alone or coexist.NATIVE in scope:
            self._begin_among_others(exchange, scope, around)
        else:
            exchange.context = Context({SPAN_KEY: exchange})
            # Mounted FastAPI apps would begin a native span of their own; None is FastAPI's word for "do not".
            scope[coexist.NATIVE] = None

    def _begin_among_others(self, exchange: Exchange, scope: Scope, around: Context) -> None:
        """Finds out who records the request's span when there is something around us."""
        exchange.outer_span = coexist.recorded_outside(scope, around)
        exchange.is_recorded = exchange.outer_span is None and not self._stands_down
        if exchange.is_recorded:
            exchange.local_parent = coexist.local_parent(around)
            scope.setdefault(coexist.NATIVE, None)
            if self._is_current:
                exchange.context = Context({**around, SPAN_KEY: exchange})

    def _prepare(self, agent: Agent, scope: Scope) -> None:
        """Looks around once, at the first request: by then everybody else has been set up."""
        self._is_prepared = True
        self._stands_down = coexist.stack_records_requests(self.app)
        if coexist.install_provider(agent.provider) and not self._stands_down:
            coexist.quiet_native_telemetry(scope.get("app"))
        self._is_current = not coexist.global_is_foreign()
        self._is_alone = self._is_current and not self._stands_down

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
        if settings.enabled:
            agent_for(settings)
            if coexist.global_is_ours():
                coexist.quiet_native_telemetry(app)
        app.build_middleware_stack = _outermost(build, settings)
    return app


def _outermost(build: Callable[[], App], settings: Settings) -> Callable[[], App]:
    """The app's stack with our middleware around all of it, error handlers included, whoever adds theirs later."""
    from starlette.middleware.errors import ServerErrorMiddleware

    class Outermost(ServerErrorMiddleware):
        """What OpenTelemetry's instrumentation insists on finding outermost: it takes app, handler and debug out."""

        def __init__(self, stack: Any) -> None:
            super().__init__(MonitoringMiddleware(stack.app, settings=settings), stack.handler, stack.debug)
            self._monitored = MonitoringMiddleware(stack, settings=settings)

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._monitored(scope, receive, send)

    def build_middleware_stack() -> App:
        stack = build()
        if isinstance(stack, ServerErrorMiddleware):
            return Outermost(stack)
        return MonitoringMiddleware(stack, settings=settings)

    build_middleware_stack.is_tocsin = True  # type: ignore[attr-defined]  # found again by a second call
    return build_middleware_stack
