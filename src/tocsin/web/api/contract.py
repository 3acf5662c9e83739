"""What the REST routes of access management share: how they are reached, refused and documented."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from tocsin.web.refusals import RefusingRoute

BEARER = HTTPBearer(auto_error=False, description="An API token (tcs_api_…) or the value of TOCSIN_ADMIN_TOKEN")


class Problem(BaseModel):
    """Why a request was refused and what to do about it."""

    detail: str = Field(examples=["cannot find user 'usr_1': nobody has that id; look it up in the list of users"])


class Shown(BaseModel):
    """An answer filled from a frozen dataclass."""

    model_config = ConfigDict(from_attributes=True)


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No token or session, or one that is over"},
    403: {"model": Problem, "description": "The role does not allow it, or the CSRF token is missing"},
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "Nothing has that id"}}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "The name is taken, or nobody could administer any more"}
}


def access_router(noun: str) -> APIRouter:
    """A router at /api/v1/<noun> for administrators."""
    return APIRouter(
        prefix=f"/api/v1/{noun}",
        tags=["access"],
        dependencies=[Depends(BEARER)],
        responses=REFUSALS,
        route_class=RefusingRoute,
    )
