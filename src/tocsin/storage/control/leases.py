"""Leases: what one of several servers does, until it says no more that it does it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tocsin.storage.control.database import Database
from tocsin.storage.control.schema import LeaseRow

FORGOTTEN = timedelta(hours=1)  # after its end a lease is nobody's, and after this not even a row


class Leases:
    """By name. Time is the database's own, because the clocks of servers differ."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, holder: str, seconds: float) -> bool:
        """Whether the holder has it for so long from now on: it had it, or nobody does any more."""
        try:
            with self._database.write() as session:
                now = self._now(session)
                row = session.get(LeaseRow, name, with_for_update=True)
                if row is None:
                    session.execute(delete(LeaseRow).where(LeaseRow.expires_at < now - FORGOTTEN))
                    row = LeaseRow(name=name)
                    session.add(row)
                elif row.holder != holder and row.expires_at > now:
                    return False
                row.holder, row.expires_at = holder, now + timedelta(seconds=seconds)
        except IntegrityError:
            return False  # another has taken it at this very moment, for the first time
        return True

    def holder(self, name: str) -> str:
        """Who has it; '' for nobody."""
        with self._database.read() as session:
            row = session.get(LeaseRow, name)
            return row.holder if row is not None and row.expires_at > self._now(session) else ""

    def release(self, name: str, holder: str) -> None:
        with self._database.write() as session:
            session.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.holder == holder))

    def _now(self, session: Session) -> datetime:
        if self._database.is_sqlite:
            return self._database.now()
        now: datetime = session.scalars(select(func.clock_timestamp())).one()
        return now
