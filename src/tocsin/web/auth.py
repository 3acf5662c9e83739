"""Who is asking: dependencies that give the principal behind a request or turn it away.

`current_principal` is for any signed-in user (its scope says which tenants they see), `require(Role.…)` for more. Both
refuse forged forms, so a route that names its principal is guarded in every way.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.requests import HTTPConnection

from tocsin.model.access import Principal, Role
from tocsin.storage.control import Throttled
from tocsin.web.cookies import session_secret
from tocsin.web.csrf import bearer_of, csrf_token, refuse_forged
from tocsin.web.paths import is_for_people, sign_in_path
from tocsin.web.refusals import headers_of
from tocsin.web.state import auth_settings_of, control_of, state_of

AUTOMATION = Principal("admin-token", "TOCSIN_ADMIN_TOKEN", Role.ADMIN)
LOCAL = Principal("local", "command line of this machine", Role.VIEWER)


def principal_of(request: HTTPConnection) -> Principal | None:
    """The principal behind the bearer value or else the session cookie; None when neither is good.

    Reads the control store: call it from threads. Also for WebSockets, which have no dependencies on forms.
    Raises HTTPException 429 when the address has sent too many wrong bearer values.
    """
    bearer = bearer_of(request)
    if bearer is not None:
        return _principal_of_bearer(request, bearer)
    secret = session_secret(request)
    session = control_of(request).sessions.find(secret) if secret else None
    return session.user.principal if session else None


def ip_of(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


def current_principal(request: Request, _: Annotated[None, Depends(refuse_forged)]) -> Principal:
    """Dependency: the principal, whatever the role; also in `request.state.principal` with its `csrf_token`.

    Raises HTTPException: for pages 303 to the sign-in page, for programs 401.
    """
    principal = principal_of(request)
    if principal is None:
        raise _not_signed_in(request)
    request.state.principal = principal
    request.state.csrf_token = csrf_token(request)
    return principal


@cache
def require(role: Role) -> Callable[[Request, Principal], Principal]:
    """A dependency that gives the principal if they may do what `role` may, and answers 403 if not."""

    def permitted(request: Request, principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
        if not principal.has(role):
            raise HTTPException(
                403, f"cannot do this as {principal.role}: it takes the role {role}; ask an administrator for it"
            )
        return principal

    return permitted


Anybody = Annotated[Principal, Depends(current_principal)]
Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]


def _principal_of_bearer(request: HTTPConnection, bearer: str) -> Principal | None:
    attempts, ip = control_of(request).attempts, ip_of(request)
    try:
        attempts.admit(ip, "tell who is asking", bearer)
    except Throttled as error:
        raise HTTPException(429, str(error), headers=headers_of(error)) from error
    found = _known_bearer(request, bearer)
    if found is None:
        attempts.was_wrong(bearer)
    else:
        attempts.was_right(ip, bearer)
    return found


def _known_bearer(request: HTTPConnection, bearer: str) -> Principal | None:
    expected = auth_settings_of(request).admin_token
    if expected and hmac.compare_digest(bearer.encode("latin-1"), expected.encode("utf-8", "replace")):
        return AUTOMATION
    if hmac.compare_digest(bearer.encode(), state_of(request).local_token.encode()):
        return LOCAL
    token = control_of(request).tokens.find(bearer)
    return token.principal if token else None


def _not_signed_in(request: Request) -> HTTPException:
    if is_for_people(request) and bearer_of(request) is None:
        where = sign_in_path(request)
        if request.headers.get("hx-request"):
            # htmx would put the sign-in page where the fragment goes; this header makes it leave the page instead.
            return HTTPException(401, "sign in again", headers={"HX-Redirect": where})
        return HTTPException(303, "sign in", headers={"Location": where})
    cause = "no bearer token and no session was sent"
    if bearer := bearer_of(request):
        is_key = bearer.startswith("tcs_key_")
        cause = "this is an ingest key" if is_key else "this token is unknown, expired or revoked"
    elif session_secret(request):
        cause = "the session is over"
    remedy = "send an API token as 'Authorization: Bearer tcs_api_…'; make one under Settings, API tokens"
    return HTTPException(401, f"cannot tell who is asking: {cause}; {remedy}", headers={"WWW-Authenticate": "Bearer"})
