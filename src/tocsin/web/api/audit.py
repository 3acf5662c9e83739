"""/api/v1/audit: who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, Field

from tocsin.web.api.contract import Shown, access_router
from tocsin.web.auth import Admin
from tocsin.web.state import control_of

router = access_router("audit")


class EntryAnswer(Shown):
    """One change."""

    id: int
    at: datetime
    actor_id: str
    actor: str
    action: str = Field(examples=["user.create"])
    object: str
    detail: dict[str, Any]
    tenant: str | None


class AuditPage(BaseModel):
    """Entries, the newest first; `next_before_id` asks for the page after, None when this was the last."""

    entries: list[EntryAnswer]
    next_before_id: int | None


@router.get("", summary="Read the audit log")
def read_audit(
    request: Request,
    _: Admin,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before_id: int | None = None,
    action: str | None = None,
    object: str | None = None,
) -> AuditPage:
    found = control_of(request).audit.entries(limit=limit, before_id=before_id, action=action, object=object)
    entries = [EntryAnswer.model_validate(entry) for entry in found]
    return AuditPage(entries=entries, next_before_id=entries[-1].id if len(entries) == limit else None)
