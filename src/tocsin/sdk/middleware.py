"""The one ASGI middleware: sees every request and WebSocket of an app, and leaves them as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.context import Context

from tocsin.sdk import coexist
from tocsin.sdk import instrument as instruments
from tocsin.sdk.agent import PORTION, Agent, agent_for
from tocsin.sdk.current import SPAN_KEY, current_context, enter_context, leave_context
from tocsin.sdk.exchange import Exchange, Message, Receive, Send
from tocsin.sdk.guard import guarded
from tocsin.sdk.settings import Settings
from tocsin.sdk.tenant import current_work

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Marks a scope that is already being recorded, for middleware added twice and for instrumented sub-apps.
MARK = "tocsin"
_RECORDED = frozenset({"http", "websocket"})


class MonitoringMiddleware:
    """Records what passes through an ASGI app.

    `app.add_middleware(MonitoringMiddleware)` or with settings as keyword arguments; without any, the environment
    decides. Raises SettingsError or TenantError at start for settings that cannot be used.
    """

    def __init__(self, app: App, *, settings: Settings | None = None, **arguments: Any) -> None:
        self.app = self._inner = app
        self.settings = settings or Settings.load(**arguments)
        self.agent: Agent | None = agent_for(self.settings) if self.settings.enabled else None
        self._excluded = tuple(self.settings.exclude)
        self._is_prepared = False
        self._stands_down = False
        self._is_current = True
        # Nobody else records requests: known once we have looked around.
        self._is_alone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        agent = self.agent
        if agent is None or MARK in scope or scope["type"] not in _RECORDED:
            if agent is not None and scope["type"] == "lifespan":
                send = self._lifespan_send(agent, scope, send)
            await self._inner(scope, receive, send)
            return
        if self._excluded and scope["path"].startswith(self._excluded):
            scope.setdefault(coexist.NATIVE, None)  # nor may a mounted FastAPI app record it by itself
            await self._inner(scope, receive, send)
            return
        # Called from variables: CPython 3.11 looks up `object.attribute()` as a method first, which these are not.
        next_kind, inner = agent.next_kind, self._inner
        exchange = next_kind()(agent, scope, receive, send)
        scope[MARK] = True
        agent.live.add(exchange)
        around, outer_work, work = current_context(), current_work.get(), None
        if around or outer_work is not None or not self._is_alone or coexist.NATIVE in scope:
            context = self._begin_among_others(exchange, scope, around)
            work = current_work.set(exchange)
        else:
            # The span in the context says whose work this is; see `tenant.work_at_hand`.
            # Mounted FastAPI apps would begin a native span of their own; None is FastAPI's word for "do not".
            scope[coexist.NATIVE] = None
            context = Context({SPAN_KEY: exchange})
        token = enter_context(context)
        try:
            await inner(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.finish()
            leave_context(token)
            if work is not None:
                current_work.reset(work)
            if len(agent.ended) >= PORTION:
                agent.digest_portion()

    @guarded(Context())
    def _begin_among_others(self, exchange: Exchange, scope: Scope, around: Context) -> Context:
        """The OpenTelemetry context of a request when there may be something around us that records its span, too."""
        if not self._is_prepared:
            self._prepare(exchange.agent, scope)
        exchange.outer_span = coexist.recorded_outside(scope, around)
        exchange.is_recorded = exchange.outer_span is None and not self._stands_down
        exchange.is_plain = exchange.is_recorded
        if exchange.is_recorded:
            exchange.local_parent = coexist.local_parent(around)
            scope.setdefault(coexist.NATIVE, None)
            if self._is_current:
                return Context({**around, SPAN_KEY: exchange})
        return around

    def _prepare(self, agent: Agent, scope: Scope) -> None:
        """Looks around once, at the first request: by then everybody else has been set up."""
        self._is_prepared = True
        self._stands_down = coexist.stack_records_requests(self.app)
        if coexist.install_provider(agent.provider) and not self._stands_down:
            coexist.quiet_native_telemetry(scope.get("app"))
            coexist.let_native_telemetry_sleep(scope.get("app"))
        self._is_current = not coexist.global_is_foreign()
        self._is_alone = self._is_current and not self._stands_down

    def _lifespan_send(self, agent: Agent, scope: Scope, send: Send) -> Send:
        """Prepares when start-up is complete, and flushes when shutdown is: signals may end the process after it.

        Figures go from then on: of an app that dies before anybody has asked it something, they are all there is.
        """

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
        agent.exporter.wake()

    @guarded(None)
    def _stop(self, agent: Agent) -> None:
        instruments.leave()
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

    class Outermost(MonitoringMiddleware, ServerErrorMiddleware):
        """What OpenTelemetry's instrumentation insists on finding outermost: it takes app, handler and debug out."""

        def __init__(self, stack: ServerErrorMiddleware) -> None:
            MonitoringMiddleware.__init__(self, stack, settings=settings)
            self.app = MonitoringMiddleware(stack.app, settings=settings)
            self.handler, self.debug = stack.handler, stack.debug

    def build_middleware_stack() -> App:
        stack = build()
        if isinstance(stack, ServerErrorMiddleware):
            return Outermost(stack)
        return MonitoringMiddleware(stack, settings=settings)

    build_middleware_stack.is_tocsin = True  # type: ignore[attr-defined]  # found again by a second call
    return build_middleware_stack
