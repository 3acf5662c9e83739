"""/api/v1/data: what is stored, and whether it is still as it was written."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException

from tocsin.query import verify as checks
from tocsin.web.api.asked import Store
from tocsin.web.api.contract import BEARER, MISSING, REFUSALS, Shown
from tocsin.web.auth import Viewer

router = APIRouter(prefix="/api/v1/data", tags=["monitoring"], dependencies=[Depends(BEARER)], responses=REFUSALS)


class Table(Shown):
    """A telemetry table on disk."""

    name: str
    parts: int
    rows: int
    disk_bytes: int
    first: str
    last: str


class Tables(Shown):
    tables: list[Table]


class Part(Shown):
    """A part that is not as it was written."""

    name: str
    reason: str


class Verification(Shown):
    """How many parts were read against their checksums, and those that differ."""

    parts: int
    broken: list[Part]


@router.get("", summary="What is stored")
def list_tables(store: Store, _: Viewer) -> Tables:
    return Tables(tables=[Table.model_validate(table) for table in checks.stored_tables(store)])


@router.get("/{table}/verify", summary="Read a table against its checksums", responses=MISSING)
def verify_table(store: Store, _: Viewer, table: str) -> Verification:
    try:
        return Verification.model_validate(checks.verify(store, table))
    except ValueError as error:
        raise HTTPException(404, str(error)) from error
