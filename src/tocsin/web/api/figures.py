"""/api/v1/series, heatmap, statuses, endpoints and active: what the charts and lists of the pages are drawn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from tocsin.query import active, red
from tocsin.query.filters import Filter
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, Shown
from tocsin.web.api.services import EndpointAnswer, EndpointList
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1", tags=["telemetry"], dependencies=[Depends(BEARER), Depends(note_asked)], responses=READING
)


class SeriesAnswer(Shown):
    """Requests over time; every list is as long as `times` (unix seconds, start of each step)."""

    step_seconds: int
    times: list[int]
    request_rate: list[float] = Field(description="Per second")
    error_rate: list[float]
    client_error_rate: list[float]
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]
    p99_seconds: list[float | None]


class HeatmapAnswer(Shown):
    """counts[time][bucket]: requests that took bounds_seconds[bucket] to the next bound."""

    times: list[int]
    step_seconds: int
    bounds_seconds: list[float]
    counts: list[list[int]]


class StatusAnswer(Shown):
    """Requests that ended with a status; 0 stands for none."""

    status_code: int
    requests: int


class StatusList(BaseModel):
    """Statuses, rising."""

    statuses: list[StatusAnswer]


class ActiveAnswer(Shown):
    """Requests being served; `now` is null when no service reports it."""

    now: int | None
    times: list[int]
    values: list[float | None]
    step_seconds: int


def narrowed_filter(
    asked: Asked, service: str | None = None, method: str | None = None, route: str | None = None
) -> Filter:
    """Dependency: the slice of telemetry, narrowed to a service or an endpoint."""
    return replace(asked, service=service or None, method=method or None, route=route or None)


Narrowed = Annotated[Filter, Depends(narrowed_filter)]


@router.get("/series", summary="Rate, errors and durations over time")
def read_series(store: Store, principal: Anybody, asked: Narrowed) -> SeriesAnswer:
    return SeriesAnswer.model_validate(red.series(store, principal.scope, asked))


@router.get("/heatmap", summary="How many requests took how long, over time")
def read_heatmap(store: Store, principal: Anybody, asked: Narrowed) -> HeatmapAnswer:
    return HeatmapAnswer.model_validate(red.heatmap(store, principal.scope, asked))


@router.get("/statuses", summary="Requests by HTTP status")
def read_statuses(store: Store, principal: Anybody, asked: Narrowed) -> StatusList:
    found = red.statuses(store, principal.scope, asked)
    return StatusList(statuses=[StatusAnswer.model_validate(row) for row in found])


@router.get("/endpoints", summary="Endpoints of all services")
def list_endpoints(
    store: Store,
    principal: Anybody,
    asked: Narrowed,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    order: Annotated[red.EndpointOrder, Query(description="What comes first")] = red.EndpointOrder.HARM,
) -> EndpointList:
    rows = red.endpoints(store, principal.scope, asked, limit=limit, order=order)
    return EndpointList(endpoints=[EndpointAnswer.model_validate(row) for row in rows])


@router.get("/active", summary="Requests being served")
def read_active(store: Store, principal: Anybody, asked: Narrowed) -> ActiveAnswer:
    return ActiveAnswer.model_validate(active.active_requests(store, principal.scope, asked))
