"""Bearer tokens for automation."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select, update

from tocsin.model.access import Principal, Role
from tocsin.model.control import ApiToken, Issued
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput
from tocsin.storage.control.revoking import revoked
from tocsin.storage.control.schema import ApiTokenRow
from tocsin.storage.control.secrets import digest, new_id, new_secret, shown_prefix
from tocsin.storage.control.users import checked_tenants

USED_EVERY = timedelta(seconds=60)


class Tokens:
    """API tokens belong to nobody in particular: they live until they expire or are revoked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ApiToken]:
        """Every token, the newest first, revoked ones too."""
        query = select(ApiTokenRow).order_by(ApiTokenRow.created_at.desc(), ApiTokenRow.id)
        with self._database.read() as session:
            return [token_of(row) for row in session.scalars(query)]

    def create(
        self,
        actor: Principal,
        *,
        name: str,
        role: Role,
        tenants: Collection[str] = (),
        expires_at: datetime | None = None,
    ) -> Issued[ApiToken]:
        """A new token, its secret shown only now. Raises InvalidInput."""
        now = self._database.now()
        if expires_at is not None and expires_at <= now:
            raise InvalidInput(f"cannot create token '{name}': it would expire in the past; name a later time")
        secret = new_secret("api")
        row = ApiTokenRow(
            id=new_id("tok"),
            token_hash=digest(secret),
            name=checked_label(name),
            prefix=shown_prefix(secret),
            role=role,
            tenants=checked_tenants(role, tenants),
            created_at=now,
            created_by=actor.name,
            expires_at=expires_at,
        )
        with self._database.write() as session:
            session.add(row)
            audit.record(
                session,
                now,
                actor,
                "token.create",
                row.id,
                {"name": row.name, "role": row.role, "tenants": row.tenants},
            )
            session.flush()
            return Issued(token_of(row), secret)

    def revoke(self, actor: Principal, token_id: str) -> ApiToken:
        """Ends a token at once. Raises NotFound."""
        now = self._database.now()
        with self._database.write() as session:
            return token_of(revoked(session, ApiTokenRow, token_id, actor, now))

    def find(self, secret: str) -> ApiToken | None:
        """The token behind a bearer value; None when unknown, expired or revoked."""
        now = self._database.now()
        with self._database.read() as session:
            row = session.scalars(select(ApiTokenRow).where(ApiTokenRow.token_hash == digest(secret))).first()
            found = token_of(row) if row is not None else None
        if found is None or found.revoked_at is not None or (found.expires_at and found.expires_at <= now):
            return None
        if found.last_used_at is None or now - found.last_used_at >= USED_EVERY:
            with self._database.write() as session:
                session.execute(update(ApiTokenRow).where(ApiTokenRow.id == found.id).values(last_used_at=now))
        return found


def checked_label(name: str) -> str:
    """The name of a token or key. Raises InvalidInput when it is empty or too long."""
    label = " ".join(name.split())
    if not 1 <= len(label) <= 200:
        raise InvalidInput(f"cannot use name '{label[:40]}': it has {len(label)} characters; use 1 to 200")
    return label


def token_of(row: ApiTokenRow) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        role=Role(row.role),
        tenants=frozenset(row.tenants),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
