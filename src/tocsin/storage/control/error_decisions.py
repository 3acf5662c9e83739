"""Decisions about groups of errors: resolved, ignored, reopened; each with who took it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from tocsin.model.access import Principal
from tocsin.model.errors import ErrorDecision
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput, NotFound
from tocsin.storage.control.schema import ErrorDecisionRow

MAX_RELEASES = 200
MAX_OCCURRENCES = 10**9
MAX_NOTE = 500


class ErrorDecisions:
    """The last decision of each group, by fingerprint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, ErrorDecision]:
        with self._database.read() as session:
            return {row.fingerprint: _decision(row) for row in session.scalars(select(ErrorDecisionRow))}

    def find(self, fingerprint: str) -> ErrorDecision | None:
        with self._database.read() as session:
            row = session.get(ErrorDecisionRow, fingerprint)
            return None if row is None else _decision(row)

    def resolve(
        self, actor: Principal, fingerprint: str, *, kind: str, releases: Sequence[str] = (), note: str = ""
    ) -> ErrorDecision:
        """Says that a group is fixed; with `releases`, from the next release on. `kind` is its type, for the audit."""
        detail = {"type": kind, "note": note.strip(), "after releases": list(releases)[:MAX_RELEASES]}
        values = {"is_resolved": True, "releases": list(releases)[:MAX_RELEASES]}
        return self._decide(actor, fingerprint, "error.resolve", note, values, detail)

    def ignore(
        self,
        actor: Principal,
        fingerprint: str,
        *,
        kind: str,
        until: datetime | None = None,
        occurrences: int | None = None,
        occurrences_then: int = 0,
        note: str = "",
    ) -> ErrorDecision:
        """Silences a group, until a time or until it has occurred so many times more. Raises InvalidInput."""
        if until is not None and until <= self._database.now():
            raise InvalidInput(f"cannot ignore until {until:%Y-%m-%d %H:%M}: that is over; name a time to come")
        if occurrences is not None and not 1 <= occurrences <= MAX_OCCURRENCES:
            raise InvalidInput(f"cannot ignore for {occurrences} occurrences: use 1 to {MAX_OCCURRENCES}")
        values = {"is_resolved": False, "until": until, "occurrences": occurrences}
        values["occurrences_then"] = occurrences_then
        detail = {"type": kind, "note": note.strip(), "occurrences": occurrences or ""}
        detail["until"] = until.isoformat() if until else ""
        return self._decide(actor, fingerprint, "error.ignore", note, values, detail)

    def reopen(self, actor: Principal, fingerprint: str, *, kind: str) -> None:
        """Takes the decision back. Raises NotFound."""
        with self._database.write() as session:
            row = session.get(ErrorDecisionRow, fingerprint, with_for_update=True)
            if row is None:
                raise NotFound(f"cannot reopen error {fingerprint}: nobody resolved or ignored it; it is open")
            session.delete(row)
            was = "resolved" if row.is_resolved else "ignored"
            detail = {"type": kind, "was": was}
            audit.record(session, self._database.now(), actor, "error.reopen", fingerprint, detail)

    def _decide(
        self, actor: Principal, fingerprint: str, action: str, note: str, values: dict[str, Any], detail: dict[str, Any]
    ) -> ErrorDecision:
        if len(note.strip()) > MAX_NOTE:
            raise InvalidInput(f"cannot keep this note: it is longer than {MAX_NOTE} characters; shorten it")
        now = self._database.now()
        empty: dict[str, Any] = {"releases": [], "until": None, "occurrences": None, "occurrences_then": 0}
        taken = {"decided_at": now, "decided_by": actor.name, "note": note.strip()}
        with self._database.write() as session:
            row = session.get(ErrorDecisionRow, fingerprint, with_for_update=True)
            if row is None:
                row = ErrorDecisionRow(fingerprint=fingerprint)
                session.add(row)
            for name, value in (empty | taken | values).items():
                setattr(row, name, value)
            audit.record(session, now, actor, action, fingerprint, detail)
            session.flush()
            return _decision(row)


def _decision(row: ErrorDecisionRow) -> ErrorDecision:
    return ErrorDecision(
        fingerprint=row.fingerprint,
        is_resolved=row.is_resolved,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        note=row.note,
        releases=tuple(row.releases),
        until=row.until,
        occurrences=row.occurrences,
        occurrences_then=row.occurrences_then,
    )
