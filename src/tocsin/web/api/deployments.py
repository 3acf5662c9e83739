"""/api/v1/deployments: tell that something was deployed, and what was. /api/v1/annotations: the markers of charts."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from tocsin.ingest.gate import Key, Refused
from tocsin.ingest.own_events import admit_event
from tocsin.model.access import Role
from tocsin.model.window import Window
from tocsin.query import deployments as deployed
from tocsin.query.annotations import happened
from tocsin.query.filters import Filter
from tocsin.query.timerange import TimeRangeError
from tocsin.web.api.asked import READING, Asked, End, Start, Store, asked_filter, note_asked
from tocsin.web.api.contract import BEARER, Problem, Shown
from tocsin.web.auth import Anybody, current_principal, require
from tocsin.web.csrf import bearer_of, refuse_forged

router = APIRouter(prefix="/api/v1", tags=["telemetry"], dependencies=[Depends(BEARER)], responses=READING)

INGEST_KEY = "tcs_key_"
LONGEST = 512


class DeploymentAnswer(Shown):
    """A release that began to run."""

    service: str
    environment: str
    release: str
    at: datetime
    commit: str
    author: str
    url: str
    is_marked: bool = Field(description="Told by whoever deployed; else found in what the service sends")


class DeploymentList(BaseModel):
    """Deploys, newest first."""

    deployments: list[DeploymentAnswer]


class DeploymentMark(BaseModel):
    """A deploy to be shown on the charts."""

    service: str = Field(min_length=1, max_length=LONGEST)
    release: str = Field(min_length=1, max_length=LONGEST)
    environment: str = Field("", max_length=LONGEST)
    commit: str = Field("", max_length=LONGEST)
    author: str = Field("", max_length=LONGEST)
    url: str = Field("", max_length=2048, description="Of the change, the build or the release notes")
    at: datetime | None = Field(None, description="Default now")


class AnnotationAnswer(BaseModel):
    """A marker, in the form of Grafana's annotations; times are unix milliseconds."""

    id: int
    time: int
    timeEnd: int
    title: str
    text: str
    tags: list[str]
    kind: str
    service: str
    environment: str
    tenant: str
    release: str
    url: str


def marking_key(request: Request, _: Annotated[None, Depends(refuse_forged)]) -> Key | None:
    """Dependency: the ingest key, or None for an operator; both may tell of deploys."""
    bearer = bearer_of(request)
    if bearer is not None and bearer.startswith(INGEST_KEY):
        try:
            key: Key | None = request.app.state.tocsin.gate.authenticate(bearer)
        except Refused as error:
            raise HTTPException(int(error.status), error.message) from error
        return key
    require(Role.OPERATOR)(request, current_principal(request, None))
    return None


@router.post(
    "/deployments",
    status_code=201,
    summary="Tell that a release was deployed",
    responses={429: {"model": Problem, "description": "The key sends too much"}},
)
async def mark_deployment(
    request: Request, mark: DeploymentMark, key: Annotated[Key | None, Depends(marking_key)]
) -> DeploymentAnswer:
    """With an API token of an operator, or with an ingest key: whoever deploys has one."""
    at = mark.at or datetime.now(UTC)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    resource = {
        "service.name": mark.service,
        "service.version": mark.release,
        "deployment.environment.name": mark.environment,
    }
    attributes: dict[str, str | bool] = {
        "tocsin.release": mark.release,
        "vcs.ref.head.revision": mark.commit,
        "tocsin.author": mark.author,
        "url.full": mark.url,
        deployed.MARKED: True,
    }
    text = f"{mark.service} {mark.release} deployed"
    try:
        stored = admit_event(
            request.app.state.tocsin.gate, key, deployed.DEPLOY, text, int(at.timestamp() * 1e9), resource, attributes
        )
        await asyncio.wrap_future(stored)
    except Refused as error:
        raise HTTPException(int(error.status), error.message) from error
    return DeploymentAnswer(**mark.model_dump(exclude={"at"}), at=at, is_marked=True)


@router.get("/deployments", summary="List deploys", dependencies=[Depends(note_asked)])
def list_deployments(
    store: Store, _: Anybody, asked: Asked, service: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> DeploymentList:
    found = deployed.deployments(store, _narrowed(asked, service), limit)
    return DeploymentList(
        deployments=[
            DeploymentAnswer(
                service=one.service,
                environment=one.environment,
                release=one.release,
                at=datetime.fromtimestamp(one.at_ns / 1e9, UTC),
                commit=one.commit,
                author=one.author,
                url=one.url,
                is_marked=one.is_marked,
            )
            for one in found
        ]
    )


def annotated_filter(
    start: Start = "",
    end: End = "",
    environment: str | None = None,
    tenant: str | None = None,
    range: str = "",
    from_ms: Annotated[int | None, Query(alias="from", description="Unix milliseconds, as Grafana asks")] = None,
    to_ms: Annotated[int | None, Query(alias="to", description="Unix milliseconds")] = None,
) -> Filter:
    """Dependency: the time in Grafana's words or in ours."""
    if from_ms is None and to_ms is None:
        return asked_filter(start, end, environment, tenant, range)
    end_ms = to_ms if to_ms is not None else time.time_ns() // 10**6
    start_ms = from_ms if from_ms is not None else end_ms - 3_600_000
    try:
        if not 0 <= start_ms < end_ms < 9_000_000_000_000:
            raise TimeRangeError("cannot use from and to: write unix milliseconds, from before to")
    except TimeRangeError as error:
        raise HTTPException(400, str(error)) from error
    window = Window(start_ms * 10**6, end_ms * 10**6)
    return Filter(window, environment=environment or None, tenant=tenant or None)


@router.get(
    "/annotations", summary="Deploys, flag changes and migrations, as Grafana takes annotations",
    dependencies=[Depends(note_asked)],
)  # fmt: skip
def list_annotations(
    store: Store,
    principal: Anybody,
    asked: Annotated[Filter, Depends(annotated_filter)],
    service: str | None = None,
    tags: Annotated[list[str] | None, Query(description="deploy, flag, migration, or a service; any of them")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AnnotationAnswer]:
    found = happened(store, principal.scope, _narrowed(asked, service), limit=limit)
    made = []
    for place, one in enumerate(found, 1):
        of = [one.kind, one.service, one.environment, one.tenant, one.release]
        said = [tag for tag in of if tag]
        if tags and not set(tags) & set(said):
            continue
        at = one.time_ns // 10**6
        made.append(
            AnnotationAnswer(
                id=place, time=at, timeEnd=at, title=one.title, text=one.text, tags=said, kind=one.kind,
                service=one.service, environment=one.environment, tenant=one.tenant, release=one.release, url=one.url,
            )
        )  # fmt: skip
    return made


def _narrowed(asked: Filter, service: str | None) -> Filter:
    return Filter(asked.window, asked.environment, asked.tenant, service or None)
