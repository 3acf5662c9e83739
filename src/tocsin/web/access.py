"""Puts everything about access on an application: sign-in, the settings' forms, the REST routes, the guards."""

from __future__ import annotations

from fastapi import FastAPI

from tocsin.web import channel_actions, settings_actions, sign_in
from tocsin.web.api import audit, keys, tokens, users
from tocsin.web.body_limit import BodyLimit
from tocsin.web.read_audit import ReadAudit
from tocsin.web.routes import add_routes
from tocsin.web.security_headers import SecurityHeaders


def add_access(app: FastAPI) -> None:
    """Include the routes of sign-in, settings forms and REST access management, and the guarding middleware."""
    for router in (
        sign_in.router,
        settings_actions.router,
        channel_actions.router,
        users.router,
        keys.router,
        tokens.router,
        audit.router,
    ):
        add_routes(app, router)
    app.state.read_audit = ReadAudit()
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
