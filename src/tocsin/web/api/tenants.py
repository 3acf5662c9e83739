"""/api/v1/tenants: how each tenant is served."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from tocsin.query import tenants
from tocsin.web.api.asked import READING, Store, note_asked
from tocsin.web.api.contract import BEARER
from tocsin.web.api.figures import Narrowed
from tocsin.web.api.services import RedAnswer
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1/tenants", tags=["telemetry"], dependencies=[Depends(BEARER), Depends(note_asked)], responses=READING
)


class TenantAnswer(BaseModel):
    """One tenant over the time asked for."""

    tenant: str
    red: RedAnswer
    percentile_rank: float = Field(description="Of its p95 among all tenants: 0 fastest, 1 slowest")
    last_seen: datetime


class TenantList(BaseModel):
    """Tenants with traffic, most failed requests first, then the busiest."""

    tenants: list[TenantAnswer]


@router.get("", summary="List tenants")
def list_tenants(
    store: Store,
    principal: Anybody,
    asked: Narrowed,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
) -> TenantList:
    rows = tenants.tenants(store, principal.scope, asked, limit=limit)
    return TenantList(
        tenants=[
            TenantAnswer(
                tenant=row.tenant,
                red=RedAnswer.model_validate(row.red),
                percentile_rank=row.percentile_rank,
                last_seen=datetime.fromtimestamp(row.last_seen_ns / 1e9, UTC),
            )
            for row in rows
        ]
    )
