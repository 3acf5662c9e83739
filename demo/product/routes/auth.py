"""Signing in, and switching to another organisation of the same user."""

from __future__ import annotations

import logging
import time

from fastapi import APIRouter, HTTPException, Request, status
from pydantic import BaseModel
from sqlalchemy import select

import tocsin
from demo.product.identity import Caller
from demo.product.models import Membership, User
from demo.product.passwords import is_password
from demo.product.services import InServices, InSession
from demo.product.tokens import LIFETIME_SECONDS, Claims, issue_token

router = APIRouter(prefix="/auth", tags=["auth"])
log = logging.getLogger("tallyroom.auth")
security = logging.getLogger("tallyroom.security")


class Credentials(BaseModel):
    """What a user signs in with; without `org_id`, into their first organisation."""

    email: str
    password: str
    org_id: str | None = None


class Switch(BaseModel):
    """The organisation to go on in."""

    org_id: str


class SignedIn(BaseModel):
    """The token to send as `Authorization: Bearer …`, and what it stands for."""

    token: str
    org_id: str
    expires_in_seconds: int = LIFETIME_SECONDS


@router.post("/login")
def login(credentials: Credentials, request: Request, session: InSession, services: InServices) -> SignedIn:
    services.latency.wait(12)
    user = session.scalars(select(User).where(User.email == credentials.email)).one_or_none()
    if user is None or not is_password(credentials.password, user.password_hash):
        tocsin.login_attempt("failure")
        address = request.client.host if request.client else ""
        facts = {"event": "sign_in.failed", "email": credentials.email, "client_address": address}
        security.warning("failed sign-in of %s from %s", credentials.email, address, extra=facts)
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "email or password is wrong")
    if user.is_staff:
        tocsin.login_attempt("success")
        return _signed_in(Claims(user.id, "", "staff", True, _expiry()), services.token_secret)
    statement = select(Membership).where(Membership.user_id == user.id)
    if credentials.org_id is not None:
        statement = statement.where(Membership.org_id == credentials.org_id)
    with tocsin.cross_tenant("signing in"):
        membership = session.scalars(statement).first()
    if membership is None:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "you are not a member of that organisation")
    signed_in = _enter(membership, services.token_secret)
    tocsin.login_attempt("success")
    log.info("user %d signed in to %s", user.id, membership.org_id, extra={"event": "sign_in.succeeded"})
    return signed_in


@router.post("/switch")
def switch(wanted: Switch, caller: Caller, session: InSession, services: InServices) -> SignedIn:
    services.latency.wait(6)
    with tocsin.cross_tenant("switching organisation"):
        membership = session.get(Membership, (caller.user_id, wanted.org_id))
    if membership is None:
        facts = {"event": "switch.refused", "organisation": wanted.org_id}
        security.warning("user %d is no member of %s", caller.user_id, wanted.org_id, extra=facts)
        raise HTTPException(status.HTTP_403_FORBIDDEN, "you are not a member of that organisation")
    log.info("user %d switched to %s", caller.user_id, wanted.org_id, extra={"event": "organisation.switched"})
    return _enter(membership, services.token_secret)


@router.get("/me")
def me(caller: Caller, session: InSession) -> dict[str, object]:
    user = session.get_one(User, caller.user_id)
    with tocsin.cross_tenant("a user's own organisations"):
        memberships = sorted(session.scalars(select(Membership.org_id).where(Membership.user_id == user.id)))
    return {"email": user.email, "name": user.name, "org_id": caller.org_id, "organisations": memberships}


def _enter(membership: Membership, secret: bytes) -> SignedIn:
    # The sign-in itself already belongs to the tenant: a monitor should see whose sign-ins are slow.
    tocsin.set_tenant(membership.org_id)
    return _signed_in(Claims(membership.user_id, membership.org_id, membership.role, False, _expiry()), secret)


def _signed_in(claims: Claims, secret: bytes) -> SignedIn:
    return SignedIn(token=issue_token(claims, secret), org_id=claims.org_id)


def _expiry() -> float:
    return time.time() + LIFETIME_SECONDS
