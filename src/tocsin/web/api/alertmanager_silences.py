"""Alertmanager's API v2, silences: for amtool, Grafana and our own pages alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tocsin.alerts.silence import checked
from tocsin.model.silence import LabelMatcher, Silence
from tocsin.web.alerting import pipeline_of
from tocsin.web.api.alertmanager import PREFIX, AlertmanagerRoute, Texts, answer, matchers_of, stamp
from tocsin.web.api.contract import BEARER
from tocsin.web.auth import Operator, Viewer
from tocsin.web.state import control_of

router = APIRouter(
    prefix=f"{PREFIX}/api/v2", tags=["alertmanager"], dependencies=[Depends(BEARER)], route_class=AlertmanagerRoute
)
ORDER = {"active": 0, "pending": 1, "expired": 2}


class PostableMatcher(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str
    value: str
    isRegex: bool
    isEqual: bool = True


class PostableSilence(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str | None = ""
    matchers: list[PostableMatcher] = Field(min_length=1)
    startsAt: datetime
    endsAt: datetime
    createdBy: str
    comment: str


@router.get("/silences", operation_id="alertmanager_silences")
def silences(request: Request, principal: Viewer, filter: Texts = None) -> Response:
    """Active ones first, then pending, then expired; filter: silences that have these matchers' labels and values."""
    now, wanted = pipeline_of(request).clock(), matchers_of(filter)
    found = [
        silence
        for silence in control_of(request).silences.all()
        if all(
            any(matcher.name == one.name and matcher.matches(one.value) for one in silence.matchers)
            for matcher in wanted
        )
    ]
    found.sort(key=lambda silence: (ORDER[silence.state(now)], silence.ends_at))
    return answer([plain_silence(silence, now) for silence in found])


@router.post("/silences", operation_id="alertmanager_post_silences")
def post_silences(request: Request, operator: Operator, given: PostableSilence) -> Response:
    """Makes a silence, or changes the one of the id."""
    matchers = checked(LabelMatcher(one.name, one.value, one.isRegex, one.isEqual) for one in given.matchers)
    silence = control_of(request).silences.set(
        operator,
        matchers=matchers,
        starts_at=_utc(given.startsAt),
        ends_at=_utc(given.endsAt),
        comment=given.comment,
        created_by=given.createdBy,
        id=given.id or "",
    )
    pipeline_of(request).wake()
    return answer({"silenceID": silence.id})


@router.get("/silence/{id}", operation_id="alertmanager_silence")
def silence(request: Request, principal: Viewer, id: str) -> Response:
    found = control_of(request).silences.find(id)
    if found is None:
        raise HTTPException(404, f"cannot find silence '{id[:60]}': there is none; look it up in the list")
    return answer(plain_silence(found, pipeline_of(request).clock()))


@router.delete("/silence/{id}", operation_id="alertmanager_delete_silence")
def delete_silence(request: Request, operator: Operator, id: str) -> Response:
    """Ends it now; it stays listed as expired."""
    control_of(request).silences.expire(operator, id)
    pipeline_of(request).wake()
    return Response(status_code=200)


def plain_silence(silence: Silence, now: datetime) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now)},
        "updatedAt": stamp(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": stamp(silence.ends_at),
        "matchers": [matcher.plain() for matcher in silence.matchers],
        "startsAt": stamp(silence.starts_at),
    }


def _utc(given: datetime) -> datetime:
    return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
