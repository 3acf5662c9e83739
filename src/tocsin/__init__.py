"""Tocsin: monitoring for multi-tenant FastAPI products. These are the SDK's public names; importing them is cheap."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin import logs
    from tocsin.sdk.isolation import cross_tenant, isolation
    from tocsin.sdk.job import job, start
    from tocsin.sdk.measures import count, gauge, login_attempt, registration, timing
    from tocsin.sdk.middleware import MonitoringMiddleware, instrument
    from tocsin.sdk.operations import critical, operation
    from tocsin.sdk.router import metrics_router, monitoring_router, set_health_check
    from tocsin.sdk.settings import Settings
    from tocsin.sdk.tenant import current_tenant, set_tenant, set_user, wrap
    from tocsin.sdk.trace import span

__all__ = [
    "MonitoringMiddleware",
    "Settings",
    "count",
    "critical",
    "cross_tenant",
    "current_tenant",
    "embed",
    "gauge",
    "instrument",
    "isolation",
    "job",
    "login_attempt",
    "logs",
    "metrics_router",
    "monitoring_router",
    "operation",
    "registration",
    "set_health_check",
    "set_tenant",
    "set_user",
    "span",
    "start",
    "timing",
    "wrap",
]

_HOMES = {
    "MonitoringMiddleware": "tocsin.sdk.middleware",
    "Settings": "tocsin.sdk.settings",
    "count": "tocsin.sdk.measures",
    "critical": "tocsin.sdk.operations",
    "cross_tenant": "tocsin.sdk.isolation",
    "current_tenant": "tocsin.sdk.tenant",
    "embed": "tocsin.app.embedded",
    "gauge": "tocsin.sdk.measures",
    "instrument": "tocsin.sdk.middleware",
    "isolation": "tocsin.sdk.isolation",
    "job": "tocsin.sdk.job",
    "logs": "tocsin.logs",
    "login_attempt": "tocsin.sdk.measures",
    "metrics_router": "tocsin.sdk.router",
    "monitoring_router": "tocsin.sdk.router",
    "operation": "tocsin.sdk.operations",
    "registration": "tocsin.sdk.measures",
    "set_health_check": "tocsin.sdk.router",
    "set_tenant": "tocsin.sdk.tenant",
    "set_user": "tocsin.sdk.tenant",
    "span": "tocsin.sdk.trace",
    "start": "tocsin.sdk.job",
    "timing": "tocsin.sdk.measures",
    "wrap": "tocsin.sdk.tenant",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    module = import_module(home)
    value = globals()[name] = module if home == f"tocsin.{name}" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
