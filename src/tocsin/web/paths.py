"""Paths inside this server, wherever it is mounted, and which of them may be redirected to."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection

MACHINE_PREFIXES = ("/api/", "/v1/", "/prometheus/", "/alertmanager/", "/loki/", "/-/", "/metrics", "/ready")
"""Paths that programs read: they are answered in JSON and never redirected to the sign-in page."""


def root_of(request: HTTPConnection) -> str:
    """Where this server is mounted: "" or a path such as "/monitoring"."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def inner_path(request: HTTPConnection) -> str:
    """The path of the request below the mount."""
    return request.url.path.removeprefix(root_of(request)) or "/"


def at(request: HTTPConnection, path: str) -> str:
    """`path` of this server as a browser has to ask for it."""
    return root_of(request) + path


def is_for_people(request: HTTPConnection) -> bool:
    """Whether the path is a page rather than something programs read."""
    return not inner_path(request).startswith(MACHINE_PREFIXES)


def is_of_this_site(request: HTTPConnection) -> bool:
    """Whether a browser's request comes from a page of this server."""
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "")


def segment(text: str) -> str:
    """Text as one segment of a URL path."""
    return quote(text, safe="")


def safe_next(request: HTTPConnection, wanted: str) -> str:
    """`wanted` when it is a path on this host, otherwise the overview; a link must not lead a signed-in user away."""
    home = at(request, "/")
    is_path = wanted.startswith("/") and not wanted.startswith("//")
    # Browsers read a backslash as a slash and drop tabs and newlines, so "/\tevil" may become "//evil".
    is_plain = all(char.isprintable() and char not in "\\ " for char in wanted)
    if not (is_path and is_plain) or len(wanted) > 2000:
        return home
    path = wanted.partition("?")[0]
    return home if path in (at(request, "/sign-in"), at(request, "/sign-out")) else wanted


def sign_in_path(request: HTTPConnection) -> str:
    """The sign-in page that leads back to what was asked for."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("hx-request") or request.scope.get("method", "GET") != "GET":
        wanted = at(request, "/")  # a fragment or a form is no page to return to
    return at(request, "/sign-in") + f"?next={quote(wanted, safe='/')}"
