"""/api/v1/push: the browsers in which the user who asks is told of alerts."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from tocsin.model.push import PushAddress, PushSubscription
from tocsin.web.api.contract import BEARER, CONFLICT, MISSING, REFUSALS, Shown
from tocsin.web.auth import Anybody
from tocsin.web.csrf import csrf_token
from tocsin.web.push import browser_of, checked_address, public_key, settings_of
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of

router = APIRouter(
    prefix="/api/v1/push",
    tags=["push"],
    dependencies=[Depends(BEARER)],
    responses=REFUSALS,
    route_class=RefusingRoute,
)


class BrowserAnswer(Shown):
    """A browser that is told; its address and keys stay in the server."""

    id: str
    browser: str = Field(examples=["Firefox on Android"])
    made_at: AwareDatetime
    told_at: AwareDatetime | None
    failures: int = Field(description="Since it was last told")
    last_failure: str


class PushAnswer(BaseModel):
    """What a browser needs to subscribe, and the user's browsers, the newest first."""

    public_key: str = Field(description="The applicationServerKey (VAPID), base64url")
    is_configured: bool
    browsers: list[BrowserAnswer]


class Keys(BaseModel):
    p256dh: str = Field(max_length=100)
    auth: str = Field(max_length=40)


class NewBrowser(BaseModel):
    """A PushSubscription as the browser writes it with toJSON()."""

    endpoint: str = Field(max_length=2000)
    keys: Keys


@router.get("", summary="My browsers")
def list_browsers(request: Request, user: Anybody) -> PushAnswer:
    rows = control_of(request).push.of_user(user.id)
    return PushAnswer(
        public_key=public_key(request),
        is_configured=settings_of(request) is not None,
        browsers=[_answer(row) for row in rows],
    )


@router.post("/browsers", status_code=201, summary="Tell me in this browser", responses=CONFLICT)
def subscribe(request: Request, user: Anybody, new: NewBrowser) -> BrowserAnswer:
    address = checked_address(request, PushAddress(new.endpoint, new.keys.p256dh, new.keys.auth))
    agent = request.headers.get("user-agent", "")
    return _answer(control_of(request).push.subscribe(user, address, browser_of(agent)))


@router.delete("/browsers/{browser_id}", status_code=204, summary="Tell me there no more", responses=MISSING)
def unsubscribe(request: Request, user: Anybody, browser_id: str) -> Response:
    control_of(request).push.unsubscribe(user, browser_id)
    return Response(status_code=204)


@router.get("/session", include_in_schema=False)
def session(request: Request, _: Anybody) -> dict[str, str]:
    """The token of this session's forms, for the worker, which has no page; no other site can read it."""
    return {"csrf": csrf_token(request)}


def _answer(row: PushSubscription) -> BrowserAnswer:
    return BrowserAnswer.model_validate(row)
