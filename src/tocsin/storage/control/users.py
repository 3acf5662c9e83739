"""Who may sign in, and as what."""

from __future__ import annotations

import re
from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tocsin.model.access import Principal, Role
from tocsin.model.control import User
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput, LastAdmin, NotFound, Taken
from tocsin.storage.control.schema import SessionRow, SetupLinkRow, UserRow
from tocsin.storage.control.secrets import new_id

EMAIL = re.compile(r"[^@\s<>\"']+@[^@\s<>\"']+")


class Users:
    """People and their roles. A change of role or of `disabled` takes effect with the user's next request."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[User]:
        """Every user by e-mail, disabled ones too."""
        with self._database.read() as session:
            return [user_of(row) for row in session.scalars(select(UserRow).order_by(UserRow.email))]

    def get(self, user_id: str) -> User:
        """The user. Raises NotFound."""
        with self._database.read() as session:
            return user_of(row_of(session, user_id))

    def has_admin(self) -> bool:
        """Whether anybody can administer: an enabled administrator with a password."""
        with self._database.read() as session:
            return bool(usable_admin_ids(session))

    def create(self, actor: Principal, *, email: str, name: str, role: Role, tenants: Collection[str] = ()) -> User:
        """A user who cannot sign in until a set-up link has set their password.

        Raises InvalidInput for a bad e-mail or a tenant viewer without tenants, Taken when the e-mail is in use.
        """
        now = self._database.now()
        with self._database.write() as session:
            row = add_user(session, new_user(email, name, role, tenants), self._database)
            detail = {"email": row.email, "role": row.role, "tenants": row.tenants}
            audit.record(session, now, actor, "user.create", row.id, detail)
            return user_of(row)

    def change(
        self,
        actor: Principal,
        user_id: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        tenants: Collection[str] | None = None,
    ) -> User:
        """The user with what is given changed; None leaves a value as it is.

        Raises NotFound, InvalidInput, and LastAdmin when nobody could administer any more.
        """
        with self._database.write() as session:
            usable_admin_ids(session, lock=True)  # before the user's own row: two who demote each other wait in order
            row = row_of(session, user_id)
            before = {"name": row.name, "role": row.role, "tenants": row.tenants}
            if role is not None and role is not Role.ADMIN:
                _keep_an_admin(session, row)
            kept = tenants if tenants is not None else row.tenants
            row.name = checked_name(name, row.email) if name is not None else row.name
            row.role = role or row.role
            row.tenants = checked_tenants(Role(row.role), kept)
            after = {"name": row.name, "role": str(row.role), "tenants": row.tenants}
            changed = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
            if changed:
                audit.record(session, self._database.now(), actor, "user.change", row.id, changed)
            return user_of(row)

    def disable(self, actor: Principal, user_id: str) -> User:
        """Ends the user's sessions and set-up links and refuses new ones. Raises NotFound and LastAdmin."""
        now = self._database.now()
        with self._database.write() as session:
            usable_admin_ids(session, lock=True)
            row = row_of(session, user_id)
            if row.disabled_at is None:
                _keep_an_admin(session, row)
                row.disabled_at = now
                session.execute(delete(SessionRow).where(SessionRow.user_id == user_id))
                session.execute(delete(SetupLinkRow).where(SetupLinkRow.user_id == user_id))
                audit.record(session, now, actor, "user.disable", row.id, {"email": row.email})
            return user_of(row)

    def enable(self, actor: Principal, user_id: str) -> User:
        """Lets a disabled user sign in again, with the password they had. Raises NotFound."""
        with self._database.write() as session:
            row = row_of(session, user_id)
            if row.disabled_at is not None:
                row.disabled_at = None
                audit.record(session, self._database.now(), actor, "user.enable", row.id, {"email": row.email})
            return user_of(row)


def user_of(row: UserRow) -> User:
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        tenants=frozenset(row.tenants),
        has_password=row.password_hash is not None,
        is_disabled=row.disabled_at is not None,
        created_at=row.created_at,
        last_sign_in_at=row.last_sign_in_at,
    )


def row_of(session: Session, user_id: str) -> UserRow:
    row = session.get(UserRow, user_id, with_for_update=True)
    if row is None:
        raise NotFound(f"cannot find user '{user_id}': nobody has that id; look it up in the list of users")
    return row


def new_user(email: str, name: str, role: Role, tenants: Collection[str]) -> UserRow:
    """A user row from checked values, not yet stored. Raises InvalidInput."""
    address = email.strip().lower()
    if not EMAIL.fullmatch(address) or len(address) > 320:
        raise InvalidInput(f"cannot use e-mail '{email}': it does not look like one; write it as name@example.com")
    return UserRow(
        id=new_id("usr"),
        email=address,
        name=checked_name(name, address),
        password_hash=None,
        role=role,
        tenants=checked_tenants(role, tenants),
    )


def add_user(session: Session, row: UserRow, database: Database) -> UserRow:
    """Stores a new user. Raises Taken when the e-mail is in use."""
    row.created_at = database.now()
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Taken(f"cannot create user '{row.email}': there is one with that e-mail; change that user") from error
    return row


def checked_name(name: str, fallback: str) -> str:
    shown = " ".join(name.split()) or fallback
    if len(shown) > 200:
        raise InvalidInput("cannot use this name: it is longer than 200 characters; shorten it")
    return shown


def checked_tenants(role: Role, tenants: Collection[str]) -> list[str]:
    """The tenants a role keeps: those named for a tenant viewer, none for the roles that see the whole platform."""
    named = sorted({tenant.strip() for tenant in tenants} - {""})
    if role is not Role.TENANT_VIEWER:
        return []
    if not named:
        raise InvalidInput("cannot give the role tenant_viewer: no tenant is named; name the tenants to be seen")
    return named


def usable_admin_ids(session: Session, *, lock: bool = False) -> set[str]:
    """Administrators who can sign in. `lock` holds their rows, so that two of them cannot demote each other at once."""
    query = select(UserRow).where(
        UserRow.role == Role.ADMIN, UserRow.disabled_at.is_(None), UserRow.password_hash.is_not(None)
    )
    ordered = query.order_by(UserRow.id)
    return {row.id for row in session.scalars(ordered.with_for_update() if lock else ordered)}


def _keep_an_admin(session: Session, row: UserRow) -> None:
    if usable_admin_ids(session) == {row.id}:
        raise LastAdmin(f"cannot take administration from '{row.email}': nobody else has it; name another one first")
