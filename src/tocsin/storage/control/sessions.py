"""Signed-in browsers: sign-in, the check of every request, sign-out."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session as OrmSession

from tocsin.model.control import Issued, Session
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import WrongCredentials
from tocsin.storage.control.passwords import Passwords
from tocsin.storage.control.schema import SessionRow, UserRow
from tocsin.storage.control.secrets import digest, new_id, new_secret
from tocsin.storage.control.settings import AuthSettings
from tocsin.storage.control.throttle import Throttle
from tocsin.storage.control.users import user_of

LONGEST_EMAIL_CHARS = 320
SEEN_EVERY = timedelta(seconds=60)  # a write for every request of every browser would be a lot for little


class Sessions:
    """Sessions end by sign-out, by idling, by age, and when their user is disabled or sets a new password."""

    def __init__(self, database: Database, settings: AuthSettings, passwords: Passwords) -> None:
        self._database = database
        self._settings = settings
        self._passwords = passwords
        self._throttle = Throttle(database, settings)

    def sign_in(
        self, email: str, password: str, *, ip: str, agent: str, replaces: str | None = None
    ) -> Issued[Session]:
        """A new session; the secret goes into the cookie. `replaces` is the cookie that came with the request.

        Raises WrongCredentials (the same for every cause) or Throttled.
        """
        address = email.strip().lower().replace("\x00", "")[:LONGEST_EMAIL_CHARS]
        self._throttle.admit(address, ip)
        with self._database.read() as session:
            found = session.scalars(select(UserRow).where(UserRow.email == address)).first()
            stored = found.password_hash if found else None
            user_id = found.id if found else ""
        matches, renewed = self._passwords.verify(password, stored)
        if not matches:
            raise WrongCredentials
        with self._database.write() as session:
            row = session.get(UserRow, user_id)
            if row is None or row.disabled_at is not None or row.password_hash != stored:
                raise WrongCredentials
            row.password_hash = renewed or row.password_hash
            self._throttle.clear(session, address, ip)
            if replaces:
                session.execute(delete(SessionRow).where(SessionRow.token_hash == digest(replaces)))
            return self.open_for(session, row, ip=ip, agent=agent)

    def open_for(self, session: OrmSession, user: UserRow, *, ip: str, agent: str) -> Issued[Session]:
        """Adds a session for a user who has just proven who they are."""
        now = self._database.now()
        secret = new_secret("ses")
        row = SessionRow(
            id=new_id("ses"),
            token_hash=digest(secret),
            user_id=user.id,
            user=user,
            created_at=now,
            expires_at=now + timedelta(seconds=self._settings.session_lifetime_seconds),
            last_seen_at=now,
            ip=ip[:64],
            agent=agent[:300],
        )
        user.last_sign_in_at = now
        session.add(row)
        audit.record(session, now, user_of(user).principal, "session.create", row.id, {"ip": row.ip})
        return Issued(session_of(row), secret)

    def find(self, secret: str) -> Session | None:
        """The live session behind a cookie; None when it ended, idled too long, or its user is disabled."""
        now = self._database.now()
        with self._database.read() as session:
            row = session.scalars(select(SessionRow).where(SessionRow.token_hash == digest(secret))).first()
            found = session_of(row) if row is not None else None
        if found is None or found.user.is_disabled or self._is_over(found, now):
            return None
        if now - found.last_seen_at >= SEEN_EVERY:
            self._note_seen(found.id, now)
        return found

    def sign_out(self, secret: str) -> None:
        """Ends the session behind a cookie; nothing happens when there is none."""
        with self._database.write() as session:
            row = session.scalars(select(SessionRow).where(SessionRow.token_hash == digest(secret))).first()
            if row is not None:
                audit.record(session, self._database.now(), user_of(row.user).principal, "session.end", row.id)
                session.delete(row)

    def of_user(self, user_id: str) -> list[Session]:
        """The sessions of one user, the latest first."""
        query = select(SessionRow).where(SessionRow.user_id == user_id).order_by(SessionRow.created_at.desc())
        with self._database.read() as session:
            return [session_of(row) for row in session.scalars(query)]

    def prune(self) -> int:
        """Deletes sessions that are over; gives how many."""
        now = self._database.now()
        idle_since = now - timedelta(seconds=self._settings.session_idle_seconds)
        over = or_(SessionRow.expires_at <= now, SessionRow.last_seen_at <= idle_since)
        with self._database.write() as session:
            return len(session.execute(delete(SessionRow).where(over).returning(SessionRow.id)).all())

    def _is_over(self, found: Session, now: datetime) -> bool:
        idle_since = now - timedelta(seconds=self._settings.session_idle_seconds)
        return found.expires_at <= now or found.last_seen_at <= idle_since

    def _note_seen(self, session_id: str, now: datetime) -> None:
        with self._database.write() as session:
            session.execute(update(SessionRow).where(SessionRow.id == session_id).values(last_seen_at=now))


def session_of(row: SessionRow) -> Session:
    return Session(
        id=row.id,
        user=user_of(row.user),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_seen_at=row.last_seen_at,
        ip=row.ip,
        agent=row.agent,
    )
