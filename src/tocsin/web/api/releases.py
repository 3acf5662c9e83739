"""/api/v1/releases: releases and what each did, compared with the one before or with any other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from tocsin.query.deployments import Deployment, commit_range
from tocsin.query.deployments import releases as all_releases
from tocsin.query.filters import Filter
from tocsin.query.release_compare import Change, Comparison, Side, compare
from tocsin.query.releases import chosen_sides, found_release, pairs
from tocsin.web.api.asked import READING, Store, note_asked
from tocsin.web.api.contract import BEARER, MISSING, Shown
from tocsin.web.auth import Anybody

router = APIRouter(
    prefix="/api/v1/releases",
    tags=["telemetry"],
    dependencies=[Depends(BEARER), Depends(note_asked)],
    responses=READING,
)


class ReleaseAnswer(BaseModel):
    """A release of a service in an environment."""

    service: str
    environment: str
    release: str
    since: datetime
    last_seen: datetime
    before: str | None = Field(description="The release that ran there before")
    commit: str
    commits: str = Field(description="Those since the release before, as git log takes them: a..b; '' if not told")
    author: str
    url: str


class ReleaseList(BaseModel):
    """Releases, newest first."""

    releases: list[ReleaseAnswer]


class SideAnswer(BaseModel):
    """Whose requests were compared."""

    release: str | None
    start: datetime
    end: datetime


class LotAnswer(Shown):
    requests: int
    errors: int
    error_ratio: float
    p50_seconds: float | None
    p95_seconds: float | None


class ChangeAnswer(BaseModel):
    """What became of an endpoint. A q is a p-value corrected for how many endpoints were looked at."""

    method: str
    route: str
    tenant: str = Field(description="'' for all together")
    verdict: str = Field(description="worse, better, no difference shown, or too little data")
    latency: str
    latency_q: float
    errors: str
    errors_q: float
    before: LotAnswer
    after: LotAnswer


class ComparisonAnswer(BaseModel):
    """Two releases against each other, what got worse first."""

    service: str
    verdict: str
    commits: str = Field(description="Between the two, as git log takes them: a..b; '' if not told")
    before: SideAnswer
    after: SideAnswer
    endpoints: list[ChangeAnswer]
    tenants: list[ChangeAnswer]


@router.get("", summary="List releases")
def list_releases(
    store: Store,
    principal: Anybody,
    service: str | None = None,
    environment: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ReleaseList:
    return ReleaseList(
        releases=[
            _release(one, before) for one, before in pairs(store, service, environment or None, principal.scope)[:limit]
        ]
    )


@router.get("/compare", summary="Compare two releases endpoint by endpoint", responses=MISSING)
def compare_releases(
    store: Store,
    principal: Anybody,
    service: str,
    to: Annotated[str, Query(description="The newer release")],
    of: Annotated[str, Query(alias="from", description="The older release; default the one before")] = "",
    environment: str | None = None,
    tenant: str | None = None,
) -> ComparisonAnswer:
    """The hour before the newer one was deployed against the hour after, each release by its own requests."""
    every = all_releases(store, service, environment or None, principal.scope)
    known = ((one, before) for one, before in pairs(store, service, environment or None, principal.scope) if before)
    older = of or next((before.release for one, before in known if one.release == to), "")
    sides = chosen_sides(every, older, to, time.time_ns())
    if sides is None:
        missing = to if all(one.release != to for one in every) else older or "before it"
        raise HTTPException(
            404, f"cannot compare releases of '{service}': there is no release {missing}; see /api/v1/releases"
        )
    place = next(one.environment for one in every if one.release == to)
    asked = Filter(sides[1].window, environment or place, tenant or None, service)
    ends = [found_release([each for each in every if each.environment == place], name) for name in (older, to)]
    return _comparison(service, compare(store, principal.scope, asked, *sides), commit_range(*ends))


def _release(one: Deployment, before: Deployment | None) -> ReleaseAnswer:
    return ReleaseAnswer(
        service=one.service,
        environment=one.environment,
        release=one.release,
        since=_moment(one.at_ns),
        last_seen=_moment(one.last_seen_ns),
        before=before.release if before else None,
        commit=one.commit,
        commits=commit_range(before, one),
        author=one.author,
        url=one.url,
    )


def _comparison(service: str, found: Comparison, commits: str) -> ComparisonAnswer:
    return ComparisonAnswer(
        service=service,
        verdict=found.verdict,
        commits=commits,
        before=_side(found.before),
        after=_side(found.after),
        endpoints=[change_answer(one) for one in found.endpoints],
        tenants=[change_answer(one) for one in found.tenants],
    )


def _side(side: Side) -> SideAnswer:
    return SideAnswer(release=side.release, start=_moment(side.window.start_ns), end=_moment(side.window.end_ns))


def change_answer(one: Change) -> ChangeAnswer:
    shift = one.shift
    before = LotAnswer(
        requests=one.before.requests, errors=one.before.errors, error_ratio=one.before.error_ratio,
        p50_seconds=shift.p50_before, p95_seconds=shift.p95_before,
    )  # fmt: skip
    after = LotAnswer(
        requests=one.after.requests, errors=one.after.errors, error_ratio=one.after.error_ratio,
        p50_seconds=shift.p50_after, p95_seconds=shift.p95_after,
    )  # fmt: skip
    return ChangeAnswer(
        method=one.method, route=one.route, tenant=one.tenant, verdict=one.verdict, latency=one.latency,
        latency_q=one.latency_q, errors=one.errors, errors_q=one.errors_q, before=before, after=after,
    )  # fmt: skip


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
