"""/api/v1/users: who may sign in."""

from __future__ import annotations

from datetime import datetime

from fastapi import Request
from pydantic import BaseModel, Field

from tocsin.model.access import Role
from tocsin.web.api.contract import CONFLICT, MISSING, Shown, access_router
from tocsin.web.auth import Admin
from tocsin.web.settings_actions import setup_url
from tocsin.web.state import control_of

router = access_router("users")


class UserAnswer(Shown):
    """A person who can sign in once a password is set."""

    id: str
    email: str
    name: str
    role: Role
    tenants: frozenset[str] = Field(description="What a tenant viewer sees; empty for other roles")
    has_password: bool
    is_disabled: bool
    created_at: datetime
    last_sign_in_at: datetime | None


class UserList(BaseModel):
    """Every user, by e-mail."""

    users: list[UserAnswer]


class PasswordLink(BaseModel):
    """A one-time link; it is shown only now."""

    setup_url: str
    expires_at: datetime


class CreatedUser(PasswordLink):
    """A new user and the link with which they set their password."""

    user: UserAnswer


class NewUser(BaseModel):
    """Who to add."""

    email: str
    name: str = ""
    role: Role
    tenants: list[str] = Field(default=[], description="Needed for a tenant viewer")


class UserChange(BaseModel):
    """What to change; a value that is left out stays."""

    name: str | None = None
    role: Role | None = None
    tenants: list[str] | None = None
    is_disabled: bool | None = None


@router.get("", summary="List users")
def list_users(request: Request, _: Admin) -> UserList:
    return UserList(users=[UserAnswer.model_validate(user) for user in control_of(request).users.all()])


@router.post("", status_code=201, summary="Add a user", responses=CONFLICT)
def create_user(request: Request, admin: Admin, new: NewUser) -> CreatedUser:
    control = control_of(request)
    user = control.users.create(admin, email=new.email, name=new.name, role=new.role, tenants=new.tenants)
    link = control.setup.password_link(admin, user.id)
    url = setup_url(request, link.secret)
    return CreatedUser(user=UserAnswer.model_validate(user), setup_url=url, expires_at=link.item.expires_at)


@router.get("/{user_id}", summary="One user", responses=MISSING)
def get_user(request: Request, _: Admin, user_id: str) -> UserAnswer:
    return UserAnswer.model_validate(control_of(request).users.get(user_id))


@router.patch("/{user_id}", summary="Change role, tenants or name, disable or enable", responses=MISSING | CONFLICT)
def change_user(request: Request, admin: Admin, user_id: str, change: UserChange) -> UserAnswer:
    users = control_of(request).users
    user = users.change(admin, user_id, name=change.name, role=change.role, tenants=change.tenants)
    if change.is_disabled is not None:
        user = users.disable(admin, user_id) if change.is_disabled else users.enable(admin, user_id)
    return UserAnswer.model_validate(user)


@router.post("/{user_id}/password-link", status_code=201, summary="Make a password link", responses=MISSING)
def make_password_link(request: Request, admin: Admin, user_id: str) -> PasswordLink:
    link = control_of(request).setup.password_link(admin, user_id)
    return PasswordLink(setup_url=setup_url(request, link.secret), expires_at=link.item.expires_at)
