"""Headers on every answer that keep browsers from running, framing, sniffing or keeping what they should not."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.web.white_label import EMBED, site_settings_of

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
KEPT_NOWHERE = ("text/html", "application/json")
HSTS = "max-age=31536000"


class SecurityHeaders:
    """ASGI middleware: the one place that decides these headers; only Cache-Control is left to the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _complete(headers, is_secure=scope.get("scheme") == "https")
                _let_embed(headers, HTTPConnection(scope))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _let_embed(headers: MutableHeaders, request: HTTPConnection) -> None:
    """Opens an embedded page, and only that, to the frames of the sites in the settings."""
    if request.query_params.get(EMBED) != "1":
        return
    if ancestors := site_settings_of(request).frame_ancestors:
        allowed = f"frame-ancestors {' '.join(ancestors)}"
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", allowed)
        del headers["X-Frame-Options"]


def _complete(headers: MutableHeaders, *, is_secure: bool) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
    if is_secure:
        headers.setdefault("Strict-Transport-Security", HSTS)
    if headers.get("content-type", "").startswith(KEPT_NOWHERE):
        headers.setdefault("Cache-Control", "no-store")
