"""Refuses forms that another site sent in a user's name.

A form carries the HMAC of the browser's own cookie: of the session once signed in, of the visitor's value before.
Another site can make the browser send the cookie but can neither read it nor compute the token.
"""

from __future__ import annotations

import base64
import hmac

from fastapi import HTTPException, Request
from starlette.requests import HTTPConnection

from tocsin.web.cookies import session_secret, visit_of
from tocsin.web.paths import inner_path

FIELD = "csrf"
HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
BASIC_PATHS = ("/prometheus/", "/loki/")
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def csrf_token(request: HTTPConnection) -> str:
    """The value of the hidden field `csrf` (or the header X-CSRF-Token) in forms of the signed-in browser."""
    return _token_for(session_secret(request) or "")


def visit_token(request: HTTPConnection) -> str:
    """The same for forms shown before sign-in; the answer has to `set_visit`."""
    return _token_for(visit_of(request))


def bearer_of(request: HTTPConnection) -> str | None:
    """The bearer value a program sent; browsers never send one by themselves."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and inner_path(request).startswith(BASIC_PATHS):
        return _password(value)
    return value.strip() if scheme.lower() == "bearer" else None


def _password(encoded: str) -> str | None:
    """The password of basic authentication, as which Prometheus' and Loki's tools send a token: they know no other way.

    Only where nothing can be changed, because browsers do send this by themselves once it was typed.
    """
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("latin-1").partition(":")[2]
    except ValueError:
        return None


async def refuse_forged(request: Request) -> None:
    """Dependency: 403 when a change comes by session cookie without that session's token."""
    if request.method in SAFE_METHODS or bearer_of(request) is not None or session_secret(request) is None:
        return
    await _compare(request, csrf_token(request))


async def refuse_forged_visit(request: Request) -> None:
    """Dependency of the forms before sign-in: 403 without the token that the visitor's cookie gives."""
    if request.method not in SAFE_METHODS:
        await _compare(request, visit_token(request))


async def _compare(request: Request, expected: str) -> None:
    sent = request.headers.get(HEADER)
    if sent is None and request.headers.get("content-type", "").startswith(FORM_TYPES):
        field = (await request.form()).get(FIELD)
        sent = field if isinstance(field, str) else None
    is_foreign = request.headers.get("sec-fetch-site") == "cross-site"
    if is_foreign or sent is None or not hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode()):
        raise HTTPException(
            403,
            f"cannot accept this form: its token ({FIELD} or {HEADER}) is missing or of another session; "
            "reload the page and try again",
        )


def _token_for(cookie: str) -> str:
    return hmac.digest(cookie.encode("utf-8", "surrogateescape"), b"tocsin csrf v1", "sha256").hex()
