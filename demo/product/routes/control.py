"""The demo's own switchboard under `/_demo`: lists and switches faults. It uses neither database nor threadpool."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, status

from demo.faults import FAULTS, FaultError, FaultState, find_fault
from demo.tenants import TENANTS

router = APIRouter(prefix="/_demo/faults", tags=["demo"])


@router.get("")
async def list_faults() -> list[FaultState]:
    return [fault.state() for fault in FAULTS.values()]


@router.post("/{name}")
async def switch_fault(name: str, on: bool, tenant: str | None = None) -> FaultState:
    try:
        fault = find_fault(name)
    except FaultError as error:
        raise HTTPException(status.HTTP_404_NOT_FOUND, str(error)) from error
    if tenant is not None and tenant not in {known.slug for known in TENANTS}:
        slugs = ", ".join(known.slug for known in TENANTS)
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"cannot find tenant {tenant!r}; choose one of {slugs}")
    return fault.switch(on, tenant)
