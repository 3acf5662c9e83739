"""Dashboards that people made or changed, kept as text that was checked before it came here."""

from __future__ import annotations

from sqlalchemy import select

from tocsin.model.access import Principal
from tocsin.model.control import StoredDashboard
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import NotFound, Taken
from tocsin.storage.control.schema import DashboardRow


class Dashboards:
    """Boards by id. `version` counts the changes of one, so that two people do not overwrite each other unseen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[StoredDashboard]:
        """By title."""
        with self._database.read() as session:
            rows = session.scalars(select(DashboardRow).order_by(DashboardRow.title, DashboardRow.id))
            return [_stored(row) for row in rows]

    def find(self, id: str) -> StoredDashboard | None:
        with self._database.read() as session:
            row = session.get(DashboardRow, id)
            return None if row is None else _stored(row)

    def save(
        self, actor: Principal, *, id: str, title: str, text: str, over_version: int | None = None
    ) -> StoredDashboard:
        """Writes a board. over_version: the version that was read before the change, 0 for none; None overwrites.

        Raises Taken when there is another version by now.
        """
        now = self._database.now()
        with self._database.write() as session:
            row = session.get(DashboardRow, id, with_for_update=True)
            found = row.version if row else 0
            if over_version is not None and over_version != found:
                raise Taken(
                    f"cannot save dashboard '{id}': {row.changed_by if row else 'somebody'} changed it meanwhile; "
                    "open it again and repeat your change"
                )
            if row is None:
                row = DashboardRow(id=id, version=0, created_at=now)
                session.add(row)
            row.title, row.text, row.version = title, text, found + 1
            row.changed_at, row.changed_by = now, actor.name
            detail = {"title": title, "version": row.version}
            audit.record(session, now, actor, "dashboard.save", id, detail)
            session.flush()
            return _stored(row)

    def delete(self, actor: Principal, id: str) -> None:
        """Raises NotFound."""
        with self._database.write() as session:
            row = session.get(DashboardRow, id, with_for_update=True)
            if row is None:
                raise NotFound(f"cannot delete dashboard '{id}': none of that id is stored; look it up in the list")
            session.delete(row)
            audit.record(session, self._database.now(), actor, "dashboard.delete", id, {"title": row.title})


def _stored(row: DashboardRow) -> StoredDashboard:
    return StoredDashboard(row.id, row.title, row.text, row.version, row.created_at, row.changed_at, row.changed_by)
