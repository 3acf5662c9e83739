"""The current OpenTelemetry context and our span in it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context

# The key under which the API keeps the current span; found through the API instead of importing a private name.
SPAN_KEY: str = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))


def _context_access() -> tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], None]]:
    """Read, enter and leave the current OpenTelemetry context.

    The API's own functions go through two Python calls to one context variable, which costs a request a microsecond;
    so the variable itself where the API keeps its contexts in one, as it does unless told otherwise.
    """
    variable = getattr(getattr(context_api, "_RUNTIME_CONTEXT", None), "_current_context", None)
    if isinstance(variable, ContextVar):
        return variable.get, variable.set, variable.reset
    return context_api.get_current, context_api.attach, context_api.detach


current_context, enter_context, leave_context = _context_access()
