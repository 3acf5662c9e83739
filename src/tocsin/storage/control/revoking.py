"""Ending what proves who a program is: ingest keys and API tokens alike."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from tocsin.model.access import Principal
from tocsin.storage.control import audit
from tocsin.storage.control.errors import NotFound
from tocsin.storage.control.schema import ApiTokenRow, IngestKeyRow

Row = TypeVar("Row", ApiTokenRow, IngestKeyRow)
NOUNS = {ApiTokenRow: ("API token", "token"), IngestKeyRow: ("ingest key", "key")}
"""What the row is called in an answer, and in the audit log."""


def revoked(session: Session, kind: type[Row], row_id: str, actor: Principal, now: datetime) -> Row:
    """The row, which has ended now if it had not before. Raises NotFound."""
    name, noun = NOUNS[kind]
    row = session.get(kind, row_id, with_for_update=True)
    if row is None:
        raise NotFound(f"cannot find {name} '{row_id}': none has that id; look it up in the list")
    if row.revoked_at is None:
        row.revoked_at = now
        audit.record(session, now, actor, f"{noun}.revoke", row.id, {"name": row.name})
    return row
