"""Puts the pages, their static files and their error pages on an application."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from tocsin.web import assets, white_label
from tocsin.web.auth import principal_of
from tocsin.web.csrf import csrf_token
from tocsin.web.page import found
from tocsin.web.paths import is_for_people
from tocsin.web.render import render
from tocsin.web.routes import add_routes

TITLES = {
    400: "That address does not make sense",
    401: "Sign in first",
    403: "Not yours to open",
    404: "Nothing is here",
    500: "Something broke on our side",
    503: "Not ready yet",
}


def add_pages(app: FastAPI) -> None:
    """Mount static files, every page of `tocsin.web.pages` and the error pages."""
    add_routes(app, white_label.router, is_documented=False)
    app.mount("/static", assets.static_app(), name="static")
    for _, router in found():
        add_routes(app, router, is_documented=False)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(Exception, answer_failure)


def answer_http_error(request: Request, error: Exception) -> Response:
    """An error page for people, JSON for programs; redirects keep their location."""
    assert isinstance(error, HTTPException)
    if "location" in (error.headers or {}):
        return Response(status_code=error.status_code, headers=error.headers)
    if _is_for_program(request):
        return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
    if error.status_code != 429:  # asking who it is would be one more attempt
        _recognise(request)
    said = error.detail if error.detail != _phrase(error.status_code) else ""
    response = error_page(request, error.status_code, said)
    response.headers.update(error.headers or {})
    return response


def answer_failure(request: Request, error: Exception) -> Response:
    """500: what went wrong stays in the server's log, where the exception is raised on to."""
    if _is_for_program(request):
        return JSONResponse({"detail": "the server failed; its log says why"}, 500)
    return error_page(request, 500, "")


def error_page(request: Request, status_code: int, said: str) -> Response:
    title = TITLES.get(status_code, TITLES[500] if status_code >= 500 else TITLES[400])
    return render(request, "error.html", status_code, code=status_code, title=title, said=said)


def _is_for_program(request: Request) -> bool:
    wants_page = "text/html" in request.headers.get("accept", "text/html") or "hx-request" in request.headers
    return not (is_for_people(request) and wants_page)


def _recognise(request: Request) -> None:
    """Who asks, also where no route matched and nobody asked yet: the error page then keeps the navigation."""
    if getattr(request.state, "principal", None) is None and (principal := principal_of(request)):
        request.state.principal = principal
        request.state.csrf_token = csrf_token(request)


def _phrase(status_code: int) -> str:
    return HTTPException(status_code).detail
