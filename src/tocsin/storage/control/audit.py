"""The audit log: who changed what, written in the same transaction as the change, and who read whose telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tocsin.model.access import Principal
from tocsin.model.control import AuditEntry
from tocsin.storage.control.database import Database
from tocsin.storage.control.schema import AuditRow


def record(
    session: Session,
    at: datetime,
    actor: Principal,
    action: str,
    object: str,
    detail: Mapping[str, Any] | None = None,
    tenant: str | None = None,
) -> None:
    """Adds an entry to the transaction of the change it tells of; `detail` must be JSON and hold no secret."""
    session.add(
        AuditRow(
            at=at,
            actor_id=actor.id,
            actor=actor.name,
            action=action,
            object=object,
            detail=dict(detail or {}),
            tenant=tenant,
        )
    )


class Audit:
    """Reads the log and adds what happened outside the control store; nothing edits it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, actor: Principal, action: str, object: str, detail: Mapping[str, Any], tenant: str | None = None
    ) -> None:
        """Adds an entry in a transaction of its own; `detail` must be JSON and hold no secret."""
        with self._database.write() as session:
            record(session, self._database.now(), actor, action, object, detail, tenant)

    def entries(
        self, *, limit: int = 100, before_id: int | None = None, action: str | None = None, object: str | None = None
    ) -> list[AuditEntry]:
        """The newest entries first; `before_id` continues after a page, `action` and `object` match exactly."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(AuditRow.id < before_id)
        if action is not None:
            query = query.where(AuditRow.action == action)
        if object is not None:
            query = query.where(AuditRow.object == object)
        with self._database.read() as session:
            return [_entry(row) for row in session.scalars(query)]


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(row.id, row.at, row.actor_id, row.actor, row.action, row.object, row.detail, row.tenant)
