"""/api/v1/database, dependencies and caches: what the apps call, who calls it and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from tocsin.query import caches, call_places, call_tenants, calls, dependencies, pools
from tocsin.query.calls import Asked as CallsAsked
from tocsin.query.filters import Filter
from tocsin.web.api.asked import READING, Asked, Store, note_asked
from tocsin.web.api.call_answers import (
    CacheAnswer,
    CacheList,
    CallerAnswer,
    CallSeriesAnswer,
    DependencyAnswer,
    DependencyList,
    PlanAnswer,
    PoolAnswer,
    PoolList,
    RepeatAnswer,
    RepeatList,
    SlowAnswer,
    SlowList,
    StatementAnswer,
    StatementDetail,
    StatementList,
    TenantShareAnswer,
    TenantShareList,
)
from tocsin.web.api.contract import BEARER, MISSING
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1", tags=["telemetry"], dependencies=[Depends(BEARER), Depends(note_asked)], responses=READING
)
STATEMENTS, REQUESTS = CallsAsked(("db",)), CallsAsked(("http", "queue"))
Limit = Annotated[int, Query(ge=1, le=1000)]


def served_filter(asked: Asked, service: str | None = None) -> Filter:
    """Dependency: the slice of telemetry, narrowed to a service."""
    return replace(asked, service=service or None)


Served = Annotated[Filter, Depends(served_filter)]


def _before(asked: Filter) -> Filter:
    return replace(asked, window=asked.window.before())


@router.get("/database/statements", summary="Statements by time")
def list_statements(store: Store, principal: Anybody, asked: Served, limit: Limit = 50) -> StatementList:
    rows = calls.operations(store, principal.scope, asked, STATEMENTS, limit)
    return StatementList(statements=[StatementAnswer.model_validate(row) for row in rows])


@router.get("/database/statements/{fingerprint}", summary="One statement", responses=MISSING)
def read_statement(store: Store, principal: Anybody, asked: Served, fingerprint: str) -> StatementDetail:
    scope, wanted = principal.scope, CallsAsked(("db",), digest=fingerprint)
    rows = calls.operations(store, scope, asked, wanted, 1)
    if not rows:
        detail = f"cannot find statement '{fingerprint[:40]}': nobody ran it then, or it is not yours to see"
        raise HTTPException(404, detail)
    everything = calls.totals(store, scope, asked, STATEMENTS).total_seconds
    answer = StatementAnswer.model_validate(rows[0])
    answer.share = answer.calls.total_seconds / everything if everything else 0.0
    plan = call_places.plans(store, scope, asked).get(fingerprint)
    repeats = call_places.repeats(store, scope, asked, wanted)
    slow = call_places.slow_calls(store, scope, asked, wanted)
    return StatementDetail(
        **answer.model_dump(),
        by_caller=[CallerAnswer.model_validate(row) for row in calls.callers(store, scope, asked, wanted)],
        repeats=[RepeatAnswer.model_validate(row) for row in repeats],
        slow=[SlowAnswer.model_validate(row) for row in slow],
        plan=PlanAnswer.model_validate(plan) if plan else None,
        series=CallSeriesAnswer.model_validate(calls.series(store, scope, asked, wanted)),
    )


@router.get("/database/series", summary="Statements over time")
def read_statement_series(store: Store, principal: Anybody, asked: Served) -> CallSeriesAnswer:
    return CallSeriesAnswer.model_validate(calls.series(store, principal.scope, asked, STATEMENTS))


@router.get("/database/repeats", summary="Statements repeated within one request")
def list_repeats(store: Store, principal: Anybody, asked: Served, limit: Limit = 50) -> RepeatList:
    rows = call_places.repeats(store, principal.scope, asked, limit=limit)
    return RepeatList(repeats=[RepeatAnswer.model_validate(row) for row in rows])


@router.get("/database/slow", summary="Slow statements by line of code")
def list_slow(store: Store, principal: Anybody, asked: Served, limit: Limit = 50) -> SlowList:
    rows = call_places.slow_calls(store, principal.scope, asked, limit=limit)
    return SlowList(slow=[SlowAnswer.model_validate(row) for row in rows])


@router.get("/database/tenants", summary="Whose database time it is")
def list_tenant_shares(
    store: Store, principal: Anybody, asked: Served, limit: Limit = 50, fingerprint: str = ""
) -> TenantShareList:
    if not principal.scope.is_platform:
        return TenantShareList(tenants=[])
    wanted = CallsAsked(("db",), digest=fingerprint)
    rows = call_tenants.tenant_shares(store, principal.scope, asked, wanted, limit)
    return TenantShareList(tenants=[TenantShareAnswer.model_validate(row) for row in rows])


@router.get("/database/pools", summary="Connection pools")
def list_pools(store: Store, principal: Anybody, asked: Served) -> PoolList:
    found = pools.pools(store, principal.scope, asked) if principal.scope.is_platform else []
    return PoolList(pools=[PoolAnswer.model_validate(pool) for pool in found])


@router.get("/dependencies", summary="Services that the apps call")
def list_dependencies(store: Store, principal: Anybody, asked: Served) -> DependencyList:
    found = dependencies.dependencies(store, principal.scope, asked, _before(asked))
    return DependencyList(dependencies=[DependencyAnswer.model_validate(each) for each in found])


@router.get("/dependencies/series", summary="Requests to other services over time")
def read_dependency_series(store: Store, principal: Anybody, asked: Served) -> CallSeriesAnswer:
    return CallSeriesAnswer.model_validate(calls.series(store, principal.scope, asked, REQUESTS))


@router.get("/caches", summary="Caches by kind of key")
def list_caches(store: Store, principal: Anybody, asked: Served) -> CacheList:
    rows = caches.caches(store, principal.scope, asked, _before(asked))
    return CacheList(caches=[CacheAnswer.model_validate(row) for row in rows])


@router.get("/caches/commands", summary="Cache commands by time")
def list_commands(store: Store, principal: Anybody, asked: Served, limit: Limit = 50) -> StatementList:
    rows = caches.slow_commands(store, principal.scope, asked, limit)
    return StatementList(statements=[StatementAnswer.model_validate(row) for row in rows])
