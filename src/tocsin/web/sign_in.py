"""The pages before sign-in: signing in and out, and the one-time links that set a password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from tocsin.model.control import Issued, Session, SetupLink
from tocsin.storage.control import ControlError, InvalidInput, LinkUnusable, Throttled, WrongCredentials
from tocsin.storage.control.passwords import SHORTEST_CHARS
from tocsin.web.auth import ip_of, principal_of
from tocsin.web.cookies import clear_session, session_secret, set_session, set_visit
from tocsin.web.csrf import refuse_forged, refuse_forged_visit, visit_token
from tocsin.web.paths import at, safe_next
from tocsin.web.refusals import STATUS, headers_of
from tocsin.web.render import render
from tocsin.web.state import control_of

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]
VISITOR = [Depends(refuse_forged_visit)]


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "") -> Response:
    """The form; whoever is signed in goes straight on."""
    if principal_of(request) is not None:
        return RedirectResponse(safe_next(request, next), 303)
    return _sign_in_form(request, next=next)


@router.post("/sign-in", dependencies=VISITOR)
def sign_in(request: Request, email: Text = "", password: Text = "", next: Text = "") -> Response:
    """Opens a session under a new secret, whatever cookie came along, and goes to `next`."""
    control, ip = control_of(request), ip_of(request)
    try:
        control.attempts.admit(ip, "sign in")
        issued = control.sessions.sign_in(
            email, password, ip=ip, agent=agent_of(request), replaces=session_secret(request)
        )
        control.attempts.was_right(ip)
    except (WrongCredentials, Throttled) as error:
        return _sign_in_form(request, next=next, email=email, problem=error)
    return _signed_in(request, issued, safe_next(request, next))


@router.post("/sign-out", dependencies=[Depends(refuse_forged)])
def sign_out(request: Request) -> Response:
    """Ends the session and shows the sign-in form."""
    if secret := session_secret(request):
        control_of(request).sessions.sign_out(secret)
    response = RedirectResponse(at(request, "/sign-in"), 303)
    clear_session(request, response)
    return response


@router.get("/setup/{token}")
def setup_page(request: Request, token: str) -> Response:
    """The form behind a one-time link, or why the link does not work."""
    return _setup_form(request, token)


@router.post("/setup/{token}", dependencies=VISITOR)
def setup(request: Request, token: str, email: Text = "", name: Text = "", password: Text = "") -> Response:
    """Sets the password, uses the link up and signs in."""
    who = {"ip": ip_of(request), "agent": agent_of(request)}
    try:
        _look_up(request, token)
        issued = control_of(request).setup.redeem(token, password, email=email, name=name, **who)
    except (InvalidInput, LinkUnusable, Throttled) as error:
        return _setup_form(request, token, email=email, name=name, problem=error)
    return _signed_in(request, issued, at(request, "/"))


def agent_of(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _signed_in(request: Request, issued: Issued[Session], where: str) -> Response:
    response = RedirectResponse(where, 303)
    set_session(request, response, issued.secret)
    return response


def _look_up(request: Request, token: str) -> SetupLink:
    """The link if it can be used, counted against the address if not. Raises LinkUnusable and Throttled."""
    control, ip = control_of(request), ip_of(request)
    control.attempts.admit(ip, "use this link")
    link = control.setup.look_up(token)
    control.attempts.was_right(ip)
    return link


def _sign_in_form(request: Request, next: str, email: str = "", problem: ControlError | None = None) -> Response:
    status_code = STATUS[type(problem)] if problem else 200
    response = render(
        request,
        "sign_in.html",
        status_code,
        csrf=visit_token(request),
        next=safe_next(request, next),
        email=email,
        problem=str(problem or ""),
    )
    response.headers.update((headers_of(problem) if problem else None) or {})
    set_visit(request, response)
    return response


def _setup_form(
    request: Request, token: str, email: str = "", name: str = "", problem: ControlError | None = None
) -> Response:
    link = None
    try:
        link = _look_up(request, token)
    except (LinkUnusable, Throttled) as error:
        problem = error
    response = render(
        request,
        "setup.html",
        STATUS[type(problem)] if problem else 200,
        csrf=visit_token(request),
        token=token,
        link=link,
        email=email,
        name=name,
        shortest_chars=SHORTEST_CHARS,
        problem=str(problem or ""),
    )
    response.headers.update((headers_of(problem) if problem else None) or {})
    set_visit(request, response)
    return response
