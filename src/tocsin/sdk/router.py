"""Routes for load balancers, people and scrapers.

`app.include_router(tocsin.monitoring_router)`: is this process well, and what is it doing. Neither route reads
anything slow or tells anything secret. `app.include_router(tocsin.metrics_router)`: `/metrics` and `/api/health`,
where the classic stack looks; keep `/metrics` from the public, it names routes and tenants.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tocsin.sdk import catalogue, instrument
from tocsin.sdk.agent import Agent
from tocsin.sdk.agents import current_agent
from tocsin.sdk.exposition import OPENMETRICS, TEXT, render
from tocsin.sdk.guard import attempt
from tocsin.sdk.overhead import LEVELS

if TYPE_CHECKING:
    from fastapi import APIRouter

PREFIX = "/api/v1/monitoring"
# The status is computed at most this often, whoever asks.
_STATUS_SECONDS = 1.0

_started_at = time.monotonic()
# Names and callables that say whether a part of the app is well.
_checks: dict[str, Callable[[], bool]] = {}


def set_health_check(name: str, check: Callable[[], bool] | None) -> None:
    """Adds (or with None takes away) a part of the app's health: a quick callable, False when it is unhealthy.

    A check that raises counts as unhealthy. It runs at every call of the health route: keep it under a millisecond.
    """
    if check is None:
        _checks.pop(name, None)
    else:
        _checks[name] = check


def health() -> tuple[int, dict[str, Any]]:
    """The HTTP status and body of the health route; 503 only when a check of the app says so."""
    failing = [name for name, check in _checks.items() if not attempt(f"health check {name}", check, False)]
    body: dict[str, Any] = {"status": "unhealthy" if failing else "healthy"}
    if failing:
        body["failing"] = failing
    return (503 if failing else 200), body


class StatusPage:
    """The status as JSON with its ETag, computed at most once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._computed_at = float("-inf")
        self._last = (clock(), 0, 0)
        self._body, self._etag = b"", ""

    def read(self, agent: Agent | None) -> tuple[bytes, str]:
        """(body, ETag)"""
        now = self._clock()
        if now - self._computed_at >= _STATUS_SECONDS:
            self._computed_at = now
            self._body = json.dumps(self._status(agent, now)).encode()
            self._etag = f'"{hashlib.blake2s(self._body, digest_size=8).hexdigest()}"'
        return self._body, self._etag

    def _status(self, agent: Agent | None, now: float) -> dict[str, Any]:
        status: dict[str, Any] = {"status": health()[1]["status"], "uptime_seconds": int(now - _started_at)}
        if agent is None:
            return {**status, "monitoring": {"state": "off"}}
        agent.digest()
        since, total_then, failed_then = self._last
        total, failed = agent.red.total, agent.red.failed
        self._last = (now, total, failed)
        requests = total - total_then
        return {
            **status,
            "service": agent.settings.service,
            "version": agent.settings.release,
            "environment": agent.settings.environment,
            "requests_total": total,
            "requests_per_second": round(requests / max(now - since, 1e-3), 2),
            "error_ratio": round((failed - failed_then) / requests, 4) if requests else 0.0,
            "active_requests": len(agent.live),
            "monitoring": _monitoring(agent),
        }


def _monitoring(agent: Agent) -> dict[str, Any]:
    exporter = agent.exporter
    dropped = {f"{signal}.{reason}": count for (signal, reason), count in sorted(exporter.dropped.items())}
    return {
        "state": exporter.state,
        "dropped": dropped,
        "shed": LEVELS[agent.meter.level],
        "instruments": instrument.states(),
    }


def create_router() -> APIRouter:
    """A fresh router with the two routes. Raises ImportError when FastAPI is not installed."""
    from fastapi import APIRouter
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    router = APIRouter(prefix=PREFIX, tags=["monitoring"])
    page = StatusPage()

    async def get_health() -> Response:
        status, body = health()
        return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})

    async def get_status(request: Request) -> Response:
        body, etag = page.read(current_agent())
        headers = {"ETag": etag, "Cache-Control": "public, max-age=1"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    # Request is imported in here, where an annotation written as text would not be found.
    get_status.__annotations__["request"] = Request
    router.add_api_route("/health", get_health, methods=["GET"], summary="Is this process well?")
    router.add_api_route("/status", get_status, methods=["GET"], summary="What is this process doing?")
    return router


def create_metrics_router() -> APIRouter:
    """A fresh router with `/metrics` and `/api/health`. Raises ImportError when FastAPI is not installed."""
    from fastapi import APIRouter
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    catalogue.want()
    router = APIRouter(tags=["monitoring"])

    def get_metrics(request: Request) -> Response:
        agent = current_agent()
        openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
        text = render(agent.catalogue.families() if agent else [], openmetrics=openmetrics)
        return Response(text, media_type=OPENMETRICS if openmetrics else TEXT)

    async def get_health() -> Response:
        status, body = health()
        return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})

    get_metrics.__annotations__["request"] = Request
    router.add_api_route("/metrics", get_metrics, methods=["GET"], summary="What is counted, for Prometheus")
    router.add_api_route("/api/health", get_health, methods=["GET"], summary="Is this process well?")
    return router


_ROUTERS = {"monitoring_router": create_router, "metrics_router": create_metrics_router}


def __getattr__(name: str) -> Any:
    if name in _ROUTERS:
        router = globals()[name] = _ROUTERS[name]()
        return router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
