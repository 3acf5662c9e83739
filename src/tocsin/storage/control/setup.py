"""One-time links: the first administrator's, and those that let a user set their password."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as OrmSession

from tocsin.model.access import Principal, Role
from tocsin.model.control import SYSTEM, Issued, Session, SetupLink
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput, LinkUnusable
from tocsin.storage.control.passwords import Passwords, check_password
from tocsin.storage.control.schema import SessionRow, SetupLinkRow, UserRow
from tocsin.storage.control.secrets import digest, new_id, new_secret
from tocsin.storage.control.sessions import Sessions
from tocsin.storage.control.settings import AuthSettings
from tocsin.storage.control.users import add_user, new_user, row_of, usable_admin_ids, user_of

KEPT_AFTER_EXPIRY = timedelta(days=30)  # so that an old link is answered "used" or "expired" rather than "unknown"


class Setup:
    """Links are good for one use; a used, expired or unknown one is refused with what to do next."""

    def __init__(self, database: Database, settings: AuthSettings, passwords: Passwords, sessions: Sessions) -> None:
        self._database = database
        self._settings = settings
        self._passwords = passwords
        self._sessions = sessions

    def first_admin_link(self) -> Issued[SetupLink] | None:
        """A link that creates the first administrator; None when somebody can administer already."""
        with self._database.write() as session:
            if usable_admin_ids(session):
                return None
            return self._issue(session, SYSTEM, None)

    def password_link(self, actor: Principal, user_id: str) -> Issued[SetupLink]:
        """A link with which a user sets a password; their earlier links end. Raises NotFound and InvalidInput."""
        with self._database.write() as session:
            user = row_of(session, user_id)
            if user.disabled_at is not None:
                raise InvalidInput(f"cannot make a link for '{user.email}': the user is disabled; enable them first")
            session.execute(delete(SetupLinkRow).where(SetupLinkRow.user_id == user_id))
            return self._issue(session, actor, user)

    def look_up(self, secret: str) -> SetupLink:
        """The link, if it can still be used. Raises LinkUnusable saying why not."""
        with self._database.read() as session:
            return _link_of(self._usable_row(session, secret))

    def redeem(
        self, secret: str, password: str, *, email: str = "", name: str = "", ip: str, agent: str
    ) -> Issued[Session]:
        """Sets the password, uses the link up and signs in; `email` and `name` serve only the first administrator.

        All other sessions of the user end. Raises LinkUnusable and InvalidInput (the link then stays usable).
        """
        link = self.look_up(secret)
        address = link.user.email if link.user else email.strip().lower()
        check_password(password, address)
        if link.user is None:
            new_user(email, name, Role.ADMIN, ())  # refuses a bad e-mail before the slow hash
        hashed = self._passwords.hash(password, address)
        with self._database.write() as session:
            row = self._usable_row(session, secret)
            self._use_up(session, row)
            user = row.user or self._first_admin(session, row, email, name)
            user.password_hash = hashed
            session.flush()
            session.execute(delete(SessionRow).where(SessionRow.user_id == user.id))
            audit.record(session, self._database.now(), user_of(user).principal, "user.password", user.id)
            return self._sessions.open_for(session, user, ip=ip, agent=agent)

    def prune(self) -> None:
        """Deletes links that ended long ago."""
        with self._database.write() as session:
            ended = SetupLinkRow.expires_at <= self._database.now() - KEPT_AFTER_EXPIRY
            session.execute(delete(SetupLinkRow).where(ended))

    def _issue(self, session: OrmSession, actor: Principal, user: UserRow | None) -> Issued[SetupLink]:
        now = self._database.now()
        secret = new_secret("set")
        row = SetupLinkRow(
            id=new_id("lnk"),
            token_hash=digest(secret),
            user_id=user.id if user else None,
            user=user,
            created_at=now,
            expires_at=now + timedelta(seconds=self._settings.setup_link_seconds),
        )
        session.add(row)
        about = user.email if user else "first administrator"
        audit.record(session, now, actor, "link.create", row.id, {"user": about})
        return Issued(_link_of(row), secret)

    def _usable_row(self, session: OrmSession, secret: str) -> SetupLinkRow:
        row = session.scalars(select(SetupLinkRow).where(SetupLinkRow.token_hash == digest(secret))).first()
        remedy = "ask an administrator for a new one, or restart the server if there is no administrator yet"
        if row is None:
            raise LinkUnusable(f"cannot use this link: it is not known here; {remedy}")
        if row.used_at is not None:
            raise LinkUnusable(f"cannot use this link: it was used already; sign in, or {remedy}")
        if row.expires_at <= self._database.now():
            raise LinkUnusable(f"cannot use this link: it expired; {remedy}")
        if row.user_id is None and usable_admin_ids(session):
            raise LinkUnusable("cannot use this link: there is an administrator already; ask them to add you as a user")
        return row

    def _use_up(self, session: OrmSession, row: SetupLinkRow) -> None:
        """Marks the link used, and with a first administrator's link all others of its kind."""
        same = SetupLinkRow.user_id.is_(None) if row.user_id is None else SetupLinkRow.id == row.id
        unused = SetupLinkRow.used_at.is_(None)
        marking = update(SetupLinkRow).where(same, unused).values(used_at=self._database.now())
        marked = session.execute(marking.returning(SetupLinkRow.id), execution_options={"synchronize_session": False})
        if row.id not in set(marked.scalars()):
            raise LinkUnusable("cannot use this link: it was used already; sign in")

    def _first_admin(self, session: OrmSession, link: SetupLinkRow, email: str, name: str) -> UserRow:
        wanted = new_user(email, name, Role.ADMIN, ())
        # An administrator who never set a password, or is disabled, does not keep the owner of the machine out.
        user = session.scalars(select(UserRow).where(UserRow.email == wanted.email)).first()
        if user is None:
            user = add_user(session, wanted, self._database)
        user.role, user.tenants, user.disabled_at = Role.ADMIN, [], None
        detail = {"email": user.email, "role": user.role, "link": link.id}
        audit.record(session, self._database.now(), SYSTEM, "user.create", user.id, detail)
        return user


def _link_of(row: SetupLinkRow) -> SetupLink:
    return SetupLink(row.id, user_of(row.user) if row.user else None, row.expires_at)
