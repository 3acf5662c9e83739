"""Other tracers on the same app: who records the request's span, so that it is never recorded twice.

| what is there | request span | spans inside | rate, errors, duration |
|---|---|---|---|
| nothing else | ours | ours | ours |
| an OpenTelemetry SDK as global provider, which records no requests | ours, kept apart | the SDK's | ours |
| FastAPI(telemetry=…), Starlette's or contrib's OpenTelemetryMiddleware | theirs | their provider's | ours |
| the same without an SDK: they use our provider | theirs, recorded by us | ours | ours |

The global provider is set only when none is, and only when the app has finished starting, so that a product that
configures OpenTelemetry in its start-up code finds the place free. FastAPI's native telemetry wakes up by itself as
soon as any global provider exists; when that provider is ours and the app did not name one, it is put back to sleep,
because ours is the cheaper one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import trace

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
    telemetry = getattr(app, "_telemetry", None)
    if isinstance(telemetry, dict) and telemetry.get("tracer_provider") is None:
        telemetry["tracing"] = False


def _layers(app: Any) -> Iterator[Any]:
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        yield app
        app = getattr(app, "app", None)
