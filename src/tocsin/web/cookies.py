"""The two cookies: the session's, and a visitor's before sign-in, to which the forms' CSRF tokens are bound."""

from __future__ import annotations

import secrets

from starlette.requests import HTTPConnection
from starlette.responses import Response

from tocsin.web.paths import root_of
from tocsin.web.state import auth_settings_of

SESSION = "tocsin_session"
VISIT = "tocsin_visit"


def session_secret(request: HTTPConnection) -> str | None:
    """What the browser sent as its session, unchecked."""
    return request.cookies.get(SESSION) or None


def set_session(request: HTTPConnection, response: Response, secret: str) -> None:
    """Gives the browser its session; the visitor's cookie has served."""
    lifetime = int(auth_settings_of(request).session_lifetime_seconds)
    _set(request, response, SESSION, secret, max_age=lifetime)
    response.delete_cookie(VISIT, path=_path(request))


def clear_session(request: HTTPConnection, response: Response) -> None:
    response.delete_cookie(SESSION, path=_path(request))


def visit_of(request: HTTPConnection) -> str:
    """The visitor's random value: the cookie's, or a new one that `set_visit` has to send."""
    known = getattr(request.state, "visit", None) or request.cookies.get(VISIT) or secrets.token_urlsafe(24)
    request.state.visit = known
    return str(known)


def set_visit(request: HTTPConnection, response: Response) -> None:
    """Gives a visitor the value that their form's token is bound to."""
    _set(request, response, VISIT, visit_of(request), max_age=None)


def _set(request: HTTPConnection, response: Response, name: str, value: str, *, max_age: int | None) -> None:
    is_secure = request.url.scheme in ("https", "wss") or auth_settings_of(request).secure_cookies
    response.set_cookie(
        name, value, max_age=max_age, path=_path(request), secure=is_secure, httponly=True, samesite="lax"
    )


def _path(request: HTTPConnection) -> str:
    return root_of(request) or "/"
