"""/api/v1/services: services and their endpoints with rate, errors and duration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query import red, sdk
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING, Shown
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1/services",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
)


class RedAnswer(Shown):
    """Rate, errors and duration over the time asked for. Ratios are 0 to 1; a duration without traffic is null."""

    requests: int
    errors: int = Field(description="5xx, unhandled exceptions and failed spans")
    client_errors: int = Field(description="4xx")
    request_rate: float = Field(description="Per second")
    error_ratio: float
    client_error_ratio: float
    mean_seconds: float | None
    p50_seconds: float | None
    p90_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    total_seconds: float = Field(description="Time spent by all requests together")
    response_bytes: int
    background_seconds: float = Field(description="Work after the answers' last byte, all requests together")
    mean_background_seconds: float | None = Field(description="The same per request")


class ServiceAnswer(Shown):
    """A service."""

    service: str
    red: RedAnswer
    last_seen: datetime
    releases: list[str]
    environments: list[str]
    sdk: str = Field(description="telemetry.sdk.name of its sender")


class ServiceList(BaseModel):
    """Every service with traffic, busiest first."""

    services: list[ServiceAnswer]


class EndpointAnswer(Shown):
    """An endpoint of a service."""

    service: str
    method: str
    route: str
    red: RedAnswer
    share_of_time: float = Field(description="Its part of all time spent, 0 to 1")
    tenants_hurt: list[str] = Field(description="Tenants with failed requests, most first, at most five")


class EndpointList(BaseModel):
    """The endpoints of a service."""

    endpoints: list[EndpointAnswer]


@router.get("", summary="List services")
def list_services(store: Store, principal: Anybody, asked: Asked) -> ServiceList:
    rows = red.services(store, principal.scope, asked)
    return ServiceList(
        services=[
            ServiceAnswer(
                service=row.service,
                red=RedAnswer.model_validate(row.red),
                last_seen=datetime.fromtimestamp(row.last_seen_ns / 1e9, UTC),
                releases=row.releases,
                environments=row.environments,
                sdk=row.sdk,
            )
            for row in rows
        ]
    )


class SdkAnswer(Shown):
    """What the monitoring costs a service."""

    processes: int
    overhead_seconds: float | None = Field(description="Per request")
    by_instrument: dict[str, float]
    shed_level: int = Field(description="0: nothing shed")
    dropped: int = Field(description="Items its processes had to drop in the time asked for")


@router.get("/{service}/sdk", summary="What the monitoring costs a service", responses=MISSING)
def read_sdk_cost(store: Store, principal: Anybody, asked: Asked, service: str) -> SdkAnswer:
    cost = sdk.sdk_cost(store, principal.scope, replace(asked, service=service))
    if cost is None:
        raise HTTPException(404, f"cannot tell what monitoring costs '{service}': no Tocsin SDK reports it to you")
    return SdkAnswer.model_validate(cost)


@router.get("/{service}/endpoints", summary="List the endpoints of a service")
def list_endpoints(
    store: Store,
    principal: Anybody,
    asked: Asked,
    service: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    order: Annotated[red.EndpointOrder, Query(description="What comes first")] = red.EndpointOrder.HARM,
) -> EndpointList:
    rows = red.endpoints(store, principal.scope, replace(asked, service=service), limit=limit, order=order)
    return EndpointList(endpoints=[EndpointAnswer.model_validate(row) for row in rows])
