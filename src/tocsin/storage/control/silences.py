"""Silences and maintenance, each change of them audited."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from tocsin.model.access import Principal
from tocsin.model.silence import LabelMatcher, Maintenance, Silence
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput, NotFound
from tocsin.storage.control.schema_alerts import MaintenanceRow, SilenceRow


class Silences:
    """Silences by id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Silence]:
        """Those that end last first, expired ones too until they are pruned."""
        with self._database.read() as session:
            return [_silence(row) for row in session.scalars(select(SilenceRow).order_by(SilenceRow.ends_at.desc()))]

    def unexpired(self) -> list[Silence]:
        with self._database.read() as session:
            query = select(SilenceRow).where(SilenceRow.ends_at > self._database.now())
            return [_silence(row) for row in session.scalars(query)]

    def find(self, id: str) -> Silence | None:
        with self._database.read() as session:
            row = session.get(SilenceRow, id)
            return None if row is None else _silence(row)

    def set(
        self,
        actor: Principal,
        *,
        matchers: Sequence[LabelMatcher],
        starts_at: datetime,
        ends_at: datetime,
        comment: str,
        created_by: str = "",
        id: str = "",
    ) -> Silence:
        """A new silence, or the one with this id changed; where its matchers or its past would change, it is expired
        and a new one made, as Alertmanager does. Raises InvalidInput, NotFound.
        """
        now = self._database.now()
        if ends_at <= starts_at or ends_at <= now:
            raise InvalidInput(
                "cannot keep this silence: it ends before it starts or is over already; give a later end"
            )
        with self._database.write() as session:
            row = session.get(SilenceRow, id, with_for_update=True) if id else None
            if id and row is None:
                raise NotFound(f"cannot change silence '{id[:60]}': there is none; leave out the id to make one")
            plain = [matcher.plain() for matcher in matchers]
            if row is None or not _may_change(_silence(row), matchers, starts_at, now):
                if row is not None:
                    row.ends_at, row.starts_at = min(row.ends_at, now), min(row.starts_at, now)
                row = SilenceRow(id=str(uuid.uuid4()), matchers=plain, starts_at=max(starts_at, now))
                session.add(row)
            else:
                row.starts_at = starts_at if row.starts_at > now else row.starts_at
            row.ends_at, row.comment, row.updated_at = ends_at, comment, now
            row.created_by = (created_by or actor.name)[:320]
            detail = {"matchers": [str(matcher) for matcher in matchers], "ends_at": ends_at.isoformat()}
            audit.record(session, now, actor, "silence.set", row.id, detail | {"comment": comment[:500]})
            session.flush()
            return _silence(row)

    def expire(self, actor: Principal, id: str) -> None:
        """Ends it now; one that is over stays as it is. Raises NotFound."""
        now = self._database.now()
        with self._database.write() as session:
            row = session.get(SilenceRow, id, with_for_update=True)
            if row is None:
                raise NotFound(f"cannot expire silence '{id[:60]}': there is none; look it up in the list")
            if row.ends_at <= now:
                return
            row.ends_at, row.updated_at = now, now
            row.starts_at = min(row.starts_at, now)
            audit.record(session, now, actor, "silence.expire", id)

    def prune(self, before: datetime) -> None:
        with self._database.write() as session:
            session.execute(delete(SilenceRow).where(SilenceRow.ends_at < before))
            session.execute(delete(MaintenanceRow).where(MaintenanceRow.ends_at < before))


class Maintenances:
    """Times in which nothing is told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Maintenance]:
        """The newest first."""
        with self._database.read() as session:
            query = select(MaintenanceRow).order_by(MaintenanceRow.starts_at.desc())
            return [_maintenance(row) for row in session.scalars(query)]

    def running(self) -> list[Maintenance]:
        now = self._database.now()
        with self._database.read() as session:
            query = select(MaintenanceRow).where(MaintenanceRow.ends_at > now, MaintenanceRow.starts_at <= now)
            return [_maintenance(row) for row in session.scalars(query)]

    def begin(
        self, actor: Principal, *, ends_at: datetime, reason: str, matchers: Sequence[LabelMatcher] = ()
    ) -> Maintenance:
        """From now on. Raises InvalidInput."""
        now = self._database.now()
        if ends_at <= now:
            raise InvalidInput("cannot begin maintenance: its end is in the past; give a duration such as 2h")
        row = MaintenanceRow(
            id=str(uuid.uuid4()),
            starts_at=now,
            ends_at=ends_at,
            created_by=actor.name,
            reason=reason,
            matchers=[matcher.plain() for matcher in matchers],
            ended_by="",
        )
        with self._database.write() as session:
            session.add(row)
            detail = {
                "ends_at": ends_at.isoformat(),
                "reason": reason[:500],
                "matchers": [str(one) for one in matchers],
            }
            audit.record(session, now, actor, "maintenance.begin", row.id, detail)
            session.flush()
            return _maintenance(row)

    def end(self, actor: Principal) -> list[Maintenance]:
        """Ends all that run; what was ended."""
        now = self._database.now()
        with self._database.write() as session:
            query = select(MaintenanceRow).where(MaintenanceRow.ends_at > now).with_for_update()
            rows = list(session.scalars(query))
            for row in rows:
                row.ends_at, row.ended_by = now, actor.name
                audit.record(session, now, actor, "maintenance.end", row.id)
            session.flush()
            return [_maintenance(row) for row in rows]


def _may_change(silence: Silence, matchers: Sequence[LabelMatcher], starts_at: datetime, now: datetime) -> bool:
    if tuple(matchers) != silence.matchers:
        return False
    match silence.state(now):
        case "active":
            return starts_at == silence.starts_at
        case "pending":
            return starts_at >= now
        case _:
            return False


def _silence(row: SilenceRow) -> Silence:
    matchers = tuple(_matcher(plain) for plain in row.matchers)
    return Silence(row.id, matchers, row.starts_at, row.ends_at, row.created_by, row.comment, row.updated_at)


def _maintenance(row: MaintenanceRow) -> Maintenance:
    matchers = tuple(_matcher(plain) for plain in row.matchers)
    return Maintenance(row.id, row.starts_at, row.ends_at, row.created_by, row.reason, matchers, row.ended_by)


def _matcher(plain: dict[str, Any]) -> LabelMatcher:
    return LabelMatcher(plain["name"], plain["value"], plain["isRegex"], plain["isEqual"])
