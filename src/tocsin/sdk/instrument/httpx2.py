"""httpx2: the same as httpx, under its new name."""

from __future__ import annotations

from tocsin.sdk.instrument import httpx


class Instrument(httpx.Instrument):
    """Requests as spans and numbers, and the trace handed on."""

    modules = ("httpx2", "httpcore2")
    contrib = "opentelemetry.instrumentation.httpx2"
