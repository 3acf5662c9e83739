"""/api/v1/tenants: how each tenant is served."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query import tenants
from tocsin.web import tenant_ranks
from tocsin.web.api.asked import READING, Store, note_asked
from tocsin.web.api.contract import BEARER, Shown
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


class RankAnswer(Shown):
    """One service level, or one use of the platform, of a tenant beside those of all."""

    name: str
    value: float = Field(description="Of the tenant: a part (0-1) of something, or seconds")
    mean: float = Field(description="Of all tenants with requests")
    rank: float | None = Field(description="The part (0-1) of the other tenants that have less; null with too few")
    is_level: bool = Field(description="A service level, of which more is worse; else a use of the platform")
    words: str


class RankList(BaseModel):
    """Service levels first; empty for a tenant without requests."""

    tenant: str
    ranks: list[RankAnswer]


@router.get("/ranks", summary="A tenant's service levels and uses among all tenants")
def list_ranks(store: Store, principal: Anybody, asked: Narrowed) -> RankList:
    seen = principal.scope.tenants or frozenset()
    tenant = asked.tenant or (next(iter(seen)) if len(seen) == 1 else "")
    if not tenant:
        raise HTTPException(400, "cannot rank without a tenant: add tenant=NAME")
    found = tenant_ranks.ranks_of(store, principal.scope, asked, tenant)
    return RankList(tenant=tenant, ranks=[RankAnswer.model_validate(rank) for rank in found])


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
