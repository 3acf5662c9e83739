"""Is this server well? /api/v1/monitoring/health and /status, /-/healthy, /-/ready and /metrics."""

from __future__ import annotations

import hashlib

import orjson
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field

from tocsin.model.access import Role
from tocsin.web.auth import principal_of
from tocsin.web.self_metrics import exposition

router = APIRouter(tags=["monitoring"])


class Health(BaseModel):
    """Whether the server takes and stores telemetry."""

    status: str = Field(description="ok, or degraded when telemetry waits for the store")
    uptime_seconds: float


class Status(Health):
    """A little more, without secrets."""

    version: str
    spool_bytes: int = Field(description="Telemetry acknowledged but not in the store yet")
    spool_age_seconds: float = Field(description="Age of the oldest of it")


@router.get("/api/v1/monitoring/health", summary="Is the server well?")
async def health(request: Request, response: Response) -> Health:
    """Public. 503 when telemetry is refused or has waited too long."""
    vitals = request.app.state.tocsin.vitals
    response.status_code = 200 if vitals.is_well else 503
    return Health(status=vitals.status, uptime_seconds=vitals.uptime_seconds)


@router.get("/api/v1/monitoring/status", summary="How is the server?", response_model=Status)
async def status(request: Request) -> Response:
    """Public. Carries an ETag that changes with the answer, so polling costs next to nothing."""
    vitals = request.app.state.tocsin.vitals
    body = orjson.dumps(
        {
            "status": vitals.status,
            "uptime_seconds": vitals.uptime_seconds // 5 * 5,
            "version": vitals.version,
            "spool_bytes": vitals.spool_bytes,
            "spool_age_seconds": round(vitals.spool_age_seconds),
        }
    )
    tag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.get("/-/healthy", summary="Liveness", response_class=Response)
async def healthy() -> Response:
    """The process answers. It does not look further, so that a slow disk never restarts a healthy server."""
    return Response("ok\n", media_type="text/plain")


@router.get("/-/ready", summary="Readiness", response_class=Response)
@router.get("/ready", include_in_schema=False)  # where clients of Loki ask
def ready(request: Request) -> Response:
    """200 when both stores answer, else 503 with the cause."""
    problem = request.app.state.tocsin.readiness_problem()
    return Response(f"{problem or 'ready'}\n", 503 if problem else 200, media_type="text/plain")


@router.get("/metrics", summary="The server's own metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """In the Prometheus text format, or OpenMetrics. Beyond this machine it takes a viewer's token."""
    server = request.app.state.tocsin
    if not server.config.is_local:
        principal = principal_of(request)
        if principal is None or not principal.has(Role.VIEWER):
            raise HTTPException(401, "cannot show metrics: send an API token of a viewer as 'Authorization: Bearer …'")
    text, media_type = exposition(server, request.headers.get("accept", ""))
    return Response(text, media_type=media_type)
