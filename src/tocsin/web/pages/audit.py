"""Audit: who changed what, and who read whose telemetry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.responses import Response

from tocsin.model.access import Role
from tocsin.model.control import AuditEntry
from tocsin.web import format, settings_headline
from tocsin.web.page import Page
from tocsin.web.read_audit import ACTION
from tocsin.web.state import control_of
from tocsin.web.view import View, view_of

page = Page(
    id="audit", title="Audit", group="Settings", path="/settings/audit", order=4, role=Role.ADMIN, notes_reads=False
)
router = APIRouter()

PAGE_ROWS = 100
SHOWN = {"": "everything", ACTION: "telemetry read", "session.create": "sign-ins", "user.create": "new users"}
"""What the list can be narrowed to, by action."""


@router.get(page.path)
def audit(
    view: Annotated[View, Depends(view_of(page))],
    action: str = "",
    before_id: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    if action not in SHOWN:
        raise HTTPException(400, f"cannot show '{action[:40]}': pick one of {', '.join(filter(None, SHOWN))}")
    log = control_of(view.request).audit
    found = log.entries(limit=PAGE_ROWS + 1, before_id=before_id, action=action or None)
    since = datetime.fromtimestamp(view.now_ns / 1e9, tz=UTC) - timedelta(days=1)
    recent = [entry for entry in log.entries(limit=1000) if entry.at >= since]
    rows = found[:PAGE_ROWS]
    return view.render(
        headline=settings_headline.audit(recent, ACTION),
        rows=[(entry, told(entry)) for entry in rows],
        action=action,
        shown=SHOWN,
        older=rows[-1].id if len(found) > PAGE_ROWS else None,
    )


def told(entry: AuditEntry) -> list[tuple[str, str]]:
    """The detail of an entry as names and words; a change says what it was and what it is."""
    is_change = entry.action.endswith(".change")
    return [
        (name, " → ".join(map(_words, value)) if is_change and isinstance(value, list) else _words(value))
        for name, value in entry.detail.items()
        if value or is_change
    ]


def _words(value: object) -> str:
    if isinstance(value, list):
        return format.join(sorted(map(str, value))) if value else "none"
    return str(value).replace("tenant_viewer", "tenant viewer") if value not in ("", None) else "none"
