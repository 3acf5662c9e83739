"""Other tracers on the same app: who records the request's span, so that it is never recorded twice.

| what is there | request span | spans inside | rate, errors, duration |
|---|---|---|---|
| nothing else | ours | ours | ours |
| an OpenTelemetry SDK as global provider, which records no requests | ours, kept apart | the SDK's | ours |
| FastAPI(telemetry=…), Starlette's or contrib's OpenTelemetryMiddleware | theirs | their provider's | ours |
| the same without an SDK: they use our provider | theirs, recorded by us | ours | ours |

The global provider is set only when none is, and only when the app has finished starting, so that a product that
configures OpenTelemetry in its start-up code finds the place free. FastAPI's native telemetry wakes up by itself as
soon as any global provider exists; when that provider is ours and the app did not name one, its tracing is put back to
sleep, because ours is the cheaper one. For metrics and logs it asks at every request whether a provider has come, a
quarter of what all of ours costs; we ask once a second in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from weakref import WeakSet

from opentelemetry import _logs, metrics, trace

from tocsin.sdk.current import SPAN_KEY
from tocsin.sdk.spans import SERVER, RecordingSpan
from tocsin.sdk.trace import TocsinTracerProvider

_MIDDLEWARES = frozenset(
    {
        ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware"),
        ("starlette.middleware.opentelemetry", "OpenTelemetryMiddleware"),
    }
)
NATIVE = "fastapi.telemetry"


def install_provider(provider: TocsinTracerProvider) -> bool:
    """Makes ours the global provider if nobody has set one; True when the global one is of ours now."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
    return global_is_ours()


def global_is_ours() -> bool:
    return isinstance(trace.get_tracer_provider(), TocsinTracerProvider)


def is_foreign(provider: trace.TracerProvider) -> bool:
    """Whether somebody else's provider is the global one."""
    return not isinstance(provider, trace.ProxyTracerProvider | TocsinTracerProvider | trace.NoOpTracerProvider)


def global_is_foreign() -> bool:
    return is_foreign(trace.get_tracer_provider())


def stack_records_requests(app: Any) -> bool:
    """Whether a middleware further in makes a server span of every request."""
    return any((type(layer).__module__, type(layer).__name__) in _MIDDLEWARES for layer in _layers(app))


def recorded_outside(scope: Mapping[str, Any], context: Mapping[str, Any]) -> trace.Span | None:
    """The server span that somebody around us has already opened for this request, or None."""
    native = scope.get(NATIVE)
    if native is not None and getattr(native, "span", None) is not None:
        found: trace.Span = native.span
        return found
    span = context.get(SPAN_KEY)
    if span is None or not span.is_recording():
        return None
    if isinstance(span, RecordingSpan):
        # One without a library is our own request span: another request, whose handler calls this app in process.
        return span if span.kind == SERVER and span.library is not None else None
    return span if getattr(span, "kind", None) is trace.SpanKind.SERVER else None


def local_parent(context: Mapping[str, Any]) -> trace.Span | None:
    """A span of this process that the request belongs below although no header says so, as in a product's tests."""
    span = context.get(SPAN_KEY)
    return span if span is not None and span.get_span_context().is_valid else None


def quiet_native_telemetry(app: Any) -> None:
    """Keeps FastAPI's native telemetry of this app from recording what we record; a provider it names is left alone."""
    telemetry = _native_settings(app)
    if telemetry is not None and telemetry.get("tracer_provider") is None:
        telemetry["tracing"] = False


class _Signal(NamedTuple):
    """A signal of FastAPI's native telemetry: its switch, the provider an app may name, and the global one."""

    switch: str
    named_provider: str
    provider: Callable[[], Any]
    # The type of what the API gives until somebody has set a provider.
    stand_in: str

    def waits(self) -> bool:
        return type(self.provider()).__name__ == self.stand_in


_SLEEPING: dict[_Signal, WeakSet[Any]] = {
    _Signal("metrics", "meter_provider", metrics.get_meter_provider, "_ProxyMeterProvider"): WeakSet(),
    _Signal("logs", "logger_provider", _logs.get_logger_provider, "ProxyLoggerProvider"): WeakSet(),
}


def let_native_telemetry_sleep(app: Any) -> None:
    """Spares each request of this app the question whether a provider of metrics or logs has come."""
    telemetry = _native_settings(app) or {}
    for signal, apps in _SLEEPING.items():
        if telemetry.get(signal.switch) and telemetry.get(signal.named_provider) is None and signal.waits():
            telemetry[signal.switch] = False
            apps.add(app)


def wake_native_telemetry() -> None:
    """Switches on again what a provider has come for."""
    for signal, apps in _SLEEPING.items():
        if apps and not signal.waits():
            for app in list(apps):
                app._telemetry[signal.switch] = True
            apps.clear()


def _native_settings(app: Any) -> dict[str, Any] | None:
    """What FastAPI(telemetry=…) was given, which FastAPI reads at every request; None for other apps and versions."""
    telemetry = getattr(app, "_telemetry", None)
    return telemetry if isinstance(telemetry, dict) else None


def _layers(app: Any) -> Iterator[Any]:
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        yield app
        app = getattr(app, "app", None)
