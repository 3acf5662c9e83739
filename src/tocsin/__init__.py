"""Tocsin: monitoring for multi-tenant FastAPI products. These are the SDK's public names; importing them is cheap."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.sdk.middleware import MonitoringMiddleware, instrument
    from tocsin.sdk.router import monitoring_router, set_health_check
    from tocsin.sdk.settings import Settings
    from tocsin.sdk.tenant import current_tenant, set_tenant, wrap
    from tocsin.sdk.trace import span

__all__ = [
    "MonitoringMiddleware",
    "Settings",
    "current_tenant",
    "embed",
    "instrument",
    "monitoring_router",
    "set_health_check",
    "set_tenant",
    "span",
    "wrap",
]

_HOMES = {
    "MonitoringMiddleware": "tocsin.sdk.middleware",
    "Settings": "tocsin.sdk.settings",
    "current_tenant": "tocsin.sdk.tenant",
    "embed": "tocsin.app",
    "instrument": "tocsin.sdk.middleware",
    "monitoring_router": "tocsin.sdk.router",
    "set_health_check": "tocsin.sdk.router",
    "set_tenant": "tocsin.sdk.tenant",
    "span": "tocsin.sdk.trace",
    "wrap": "tocsin.sdk.tenant",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
