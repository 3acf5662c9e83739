"""/api/v1/keys: what applications send their telemetry with."""

from __future__ import annotations

from datetime import datetime

from fastapi import Request
from pydantic import BaseModel, Field

from tocsin.web.api.contract import MISSING, Shown, access_router
from tocsin.web.auth import Admin
from tocsin.web.state import control_of

router = access_router("keys")


class KeyAnswer(Shown):
    """An ingest key without its secret."""

    id: str
    name: str
    prefix: str = Field(description="The visible beginning of the secret")
    environment: str = Field(description="A note for people")
    spans_per_second: int | None = Field(description="Its own limit, if any")
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyList(BaseModel):
    """Every ingest key, the newest first."""

    keys: list[KeyAnswer]


class CreatedKey(BaseModel):
    """A new key with its secret, shown only now."""

    key: KeyAnswer
    secret: str


class NewKey(BaseModel):
    """The key to make."""

    name: str
    environment: str = ""
    spans_per_second: int | None = None


@router.get("", summary="List ingest keys")
def list_keys(request: Request, _: Admin) -> KeyList:
    return KeyList(keys=[KeyAnswer.model_validate(key) for key in control_of(request).keys.all()])


@router.post("", status_code=201, summary="Make an ingest key")
def create_key(request: Request, admin: Admin, new: NewKey) -> CreatedKey:
    issued = control_of(request).keys.create(
        admin, name=new.name, environment=new.environment, spans_per_second=new.spans_per_second
    )
    return CreatedKey(key=KeyAnswer.model_validate(issued.item), secret=issued.secret)


@router.delete("/{key_id}", summary="Revoke an ingest key", responses=MISSING)
def revoke_key(request: Request, admin: Admin, key_id: str) -> KeyAnswer:
    return KeyAnswer.model_validate(control_of(request).keys.revoke(admin, key_id))
