"""People of acme and globex for tests of the control store, a clock to turn, and hashes that cost nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from argon2.profiles import CHEAPEST

from tocsin.model.access import Role
from tocsin.model.control import User
from tocsin.storage.control import ControlStore
from tocsin.storage.control.passwords import Passwords

PASSWORD = "correct horse battery"


class TurnedClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def quick_passwords() -> Passwords:
    return Passwords(CHEAPEST)


def first_admin(store: ControlStore, email: str = "ada@acme.example") -> User:
    link = store.setup.first_admin_link()
    assert link is not None
    return store.setup.redeem(link.secret, PASSWORD, email=email, name="Ada", ip="192.0.2.1", agent="test").item.user


def user_with_password(
    store: ControlStore, email: str, role: Role = Role.VIEWER, tenants: Collection[str] = ()
) -> User:
    admin = store.users.all()[0].principal
    user = store.users.create(admin, email=email, name="", role=role, tenants=tenants)
    secret = store.setup.password_link(admin, user.id).secret
    return store.setup.redeem(secret, PASSWORD, ip="192.0.2.2", agent="test").item.user
