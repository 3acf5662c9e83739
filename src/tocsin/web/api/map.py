"""/api/v1/map: which service calls which."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from tocsin.query.map import service_map
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.contract import BEARER, Shown
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1/map", tags=["telemetry"], dependencies=[Depends(BEARER), Depends(note_asked)], responses=READING
)


class CallAnswer(Shown):
    """All calls of one service to another."""

    caller: str
    callee: str
    is_outside: bool = Field(description="The callee sends no telemetry; it is known by its host or system")
    system: str = Field(description="Of a database, cache or queue, such as postgresql")
    calls: int
    failures: int
    rate: float = Field(description="Per second")
    error_ratio: float
    p95_seconds: float | None


class MapAnswer(BaseModel):
    """Calls, those with failures first."""

    calls: list[CallAnswer]
    looked_at_start: datetime = Field(description="Calls are counted from here: the newest part of a long time")
    looked_at_end: datetime
    kept_ratio: float = Field(description="The part of all requests that has a trace; calls are scaled up to all")


@router.get("", summary="Which service calls which")
def read_map(store: Store, principal: Anybody, asked: Asked) -> MapAnswer:
    found = service_map(store, principal.scope, asked)
    return MapAnswer(
        calls=[CallAnswer.model_validate(call) for call in found.calls],
        looked_at_start=datetime.fromtimestamp(found.looked_at.start_ns / 1e9, UTC),
        looked_at_end=datetime.fromtimestamp(found.looked_at.end_ns / 1e9, UTC),
        kept_ratio=found.kept_ratio,
    )
