"""What the settings pages' forms do to users, ingest keys and API tokens; administrators only.

The pages list with `control_of(request).users.all()`, `.keys.all()` and `.tokens.all()`. A form posts the fields named
by its handler's parameters and the CSRF token, and returns to its page; a new secret is shown by `secret_once.html`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from tocsin.model.access import Role
from tocsin.model.clock import utc_now
from tocsin.web.auth import Admin
from tocsin.web.paths import at
from tocsin.web.refusals import RefusingRoute
from tocsin.web.render import render
from tocsin.web.state import control_of

router = APIRouter(prefix="/settings", include_in_schema=False, route_class=RefusingRoute)

Text = Annotated[str, Form()]
RoleField = Annotated[Role, Form()]


@router.post("/users")
def create_user(
    request: Request, admin: Admin, email: Text, role: RoleField, name: Text = "", tenants: Text = ""
) -> Response:
    """A user with a one-time link to set their password; `tenants` are separated by commas."""
    control = control_of(request)
    user = control.users.create(admin, email=email, name=name, role=role, tenants=tenants.split(","))
    return _link_once(request, user.email, control.setup.password_link(admin, user.id).secret)


@router.post("/users/{user_id}")
def change_user(
    request: Request,
    admin: Admin,
    user_id: str,
    role: RoleField,
    tenants: Text = "",
    name: Annotated[str | None, Form()] = None,
) -> Response:
    named = [tenant for tenant in tenants.split(",") if tenant.strip()]
    control_of(request).users.change(admin, user_id, role=role, tenants=named, name=name)
    return _back(request, "/settings/users")


@router.post("/users/{user_id}/disable")
def disable_user(request: Request, admin: Admin, user_id: str) -> Response:
    control_of(request).users.disable(admin, user_id)
    return _back(request, "/settings/users")


@router.post("/users/{user_id}/enable")
def enable_user(request: Request, admin: Admin, user_id: str) -> Response:
    control_of(request).users.enable(admin, user_id)
    return _back(request, "/settings/users")


@router.post("/users/{user_id}/link")
def make_password_link(request: Request, admin: Admin, user_id: str) -> Response:
    """A new one-time link for a user who forgot their password; earlier links end."""
    control = control_of(request)
    user = control.users.get(user_id)
    return _link_once(request, user.email, control.setup.password_link(admin, user_id).secret)


@router.post("/keys")
def create_key(
    request: Request, admin: Admin, name: Text, environment: Text = "", spans_per_second: Text = ""
) -> Response:
    """A new ingest key; an empty `spans_per_second` sets no limit."""
    limit = int(spans_per_second) if spans_per_second.strip().isdecimal() else None
    if spans_per_second.strip() and limit is None:
        limit = 0  # refused by the store with the bounds
    issued = control_of(request).keys.create(admin, name=name, environment=environment, spans_per_second=limit)
    use = "Give it to the application as TOCSIN_INGEST_KEY, or to an exporter as 'Authorization: Bearer <key>'."
    return _once(request, f"Ingest key {issued.item.name}", "Key", issued.secret, use, "/settings/keys")


@router.post("/keys/{key_id}/revoke")
def revoke_key(request: Request, admin: Admin, key_id: str) -> Response:
    control_of(request).keys.revoke(admin, key_id)
    return _back(request, "/settings/keys")


@router.post("/tokens")
def create_token(
    request: Request,
    admin: Admin,
    name: Text,
    role: RoleField,
    tenants: Text = "",
    expires_days: Annotated[int | None, Form(ge=1, le=3650)] = None,
) -> Response:
    """A new API token; without `expires_days` it lives until revoked."""
    expires_at = utc_now() + timedelta(days=expires_days) if expires_days else None
    issued = control_of(request).tokens.create(
        admin, name=name, role=role, tenants=tenants.split(","), expires_at=expires_at
    )
    use = "Send it as 'Authorization: Bearer <token>'."
    return _once(request, f"API token {issued.item.name}", "Token", issued.secret, use, "/settings/tokens")


@router.post("/tokens/{token_id}/revoke")
def revoke_token(request: Request, admin: Admin, token_id: str) -> Response:
    control_of(request).tokens.revoke(admin, token_id)
    return _back(request, "/settings/tokens")


def setup_url(request: Request, secret: str) -> str:
    """The address of a one-time link as the administrator's browser reaches this server."""
    return f"{request.url.scheme}://{request.url.netloc}{at(request, '/setup/')}{secret}"


def _link_once(request: Request, email: str, secret: str) -> Response:
    use = "Send it to them privately: whoever opens it first sets the password."
    return _once(request, f"Link for {email}", "Link", setup_url(request, secret), use, "/settings/users")


def _once(request: Request, title: str, label: str, secret: str, use: str, back: str) -> Response:
    where = at(request, back)
    return render(request, "secret_once.html", title=title, label=label, secret=secret, use=use, back=where)


def _back(request: Request, path: str) -> Response:
    return RedirectResponse(at(request, path), 303)
