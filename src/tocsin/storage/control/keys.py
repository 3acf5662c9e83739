"""Ingest keys: what applications send their telemetry with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import select, update

from tocsin.model.access import Principal
from tocsin.model.control import IngestKey, Issued
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput
from tocsin.storage.control.revoking import revoked
from tocsin.storage.control.schema import IngestKeyRow
from tocsin.storage.control.secrets import digest, new_id, new_secret, shown_prefix
from tocsin.storage.control.tokens import checked_label


class Keys:
    """Ingest keys. The key ring in front of the ingest path hears of changes through `on_change`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after every key made or revoked through this object."""
        self._listeners.append(listener)

    def all(self) -> list[IngestKey]:
        """Every key, the newest first, revoked ones too."""
        query = select(IngestKeyRow).order_by(IngestKeyRow.created_at.desc(), IngestKeyRow.id)
        with self._database.read() as session:
            return [key_of(row) for row in session.scalars(query)]

    def create(
        self, actor: Principal, *, name: str, environment: str = "", spans_per_second: int | None = None
    ) -> Issued[IngestKey]:
        """A new key, its secret shown only now. `spans_per_second` None sets no limit. Raises InvalidInput."""
        if spans_per_second is not None and not 1 <= spans_per_second <= 10**9:
            raise InvalidInput(
                f"cannot limit key '{name}' to {spans_per_second} spans/s: use 1 to 1000000000, or leave it empty"
            )
        if len(environment) > 200:
            raise InvalidInput("cannot use this environment note: it is longer than 200 characters; shorten it")
        now = self._database.now()
        secret = new_secret("key")
        row = IngestKeyRow(
            id=new_id("key"),
            token_hash=digest(secret),
            name=checked_label(name),
            prefix=shown_prefix(secret),
            environment=environment.strip(),
            spans_per_second=spans_per_second,
            created_at=now,
            created_by=actor.name,
        )
        with self._database.write() as session:
            session.add(row)
            audit.record(session, now, actor, "key.create", row.id, {"name": row.name, "environment": row.environment})
            session.flush()
            issued = Issued(key_of(row), secret)
        self._tell()
        return issued

    def revoke(self, actor: Principal, key_id: str) -> IngestKey:
        """Ends a key: at once on this server, within a second on others. Raises NotFound."""
        now = self._database.now()
        with self._database.write() as session:
            ended = key_of(revoked(session, IngestKeyRow, key_id, actor, now))
        self._tell()
        return ended

    def live(self) -> Mapping[str, IngestKey]:
        """The keys that are not revoked, by the hash of their secret."""
        query = select(IngestKeyRow).where(IngestKeyRow.revoked_at.is_(None))
        with self._database.read() as session:
            return {row.token_hash: key_of(row) for row in session.scalars(query)}

    def note_used(self, key_ids: set[str]) -> None:
        """Stamps keys as used now."""
        with self._database.write() as session:
            mine = IngestKeyRow.id.in_(sorted(key_ids))
            session.execute(update(IngestKeyRow).where(mine).values(last_used_at=self._database.now()))

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def key_of(row: IngestKeyRow) -> IngestKey:
    return IngestKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        environment=row.environment,
        spans_per_second=row.spans_per_second,
        created_at=row.created_at,
        created_by=row.created_by,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
