"""/api/v1/runtime: how the processes fare, which calls keep the event loop, and why processes were started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from tocsin.query import runtime as query
from tocsin.query.begun import begin
from tocsin.query.memory import endpoint_memory
from tocsin.query.runtime import Process
from tocsin.query.runtime_spreads import spreads
from tocsin.web.api.asked import READING, Asked, Store
from tocsin.web.api.contract import BEARER, Shown
from tocsin.web.api.figures import Narrowed
from tocsin.web.auth import Anybody, Viewer

router = APIRouter(prefix="/api/v1/runtime", tags=["telemetry"], dependencies=[Depends(BEARER)], responses=READING)


class GrowingAnswer(Shown):
    """A container or type that grew between two looks at the heap."""

    name: str
    number: int = Field(description="Of objects, or of elements of the container")
    bytes: int


class ProcessAnswer(BaseModel):
    """One process; a figure that its sender does not tell is null."""

    service: str
    instance: str
    pid: str
    host: str
    release: str
    is_running: bool
    restart_reason: str = Field(description="first, clean, deploy, crash, oom, killed, reboot; empty when unknown")
    restart_detail: str
    uptime_seconds: float | None
    memory_bytes: float | None
    floor_bytes: float | None = Field(description="What remains when garbage was collected")
    memory_limit_bytes: float | None
    is_leaking: bool
    leak_bytes_per_hour: float | None
    growing: list[GrowingAnswer]
    leak_note: str = Field(description="Why nothing is known of what grows")
    lag_p99_seconds: float | None
    gc_p99_seconds: float | None = Field(description="How long the garbage collector stops the process")
    threads: float | None
    tasks: float | None
    pool_used: float | None = Field(description="Most threads of anyio's pool in use at once")
    pool_limit: float | None
    pool_waiting: float | None = Field(description="Most calls that waited for one of them")
    cpu_cores: float | None = Field(description="Used over the last five minutes")
    cpu_limit_cores: float | None
    throttled_seconds: float | None


class BlockingAnswer(Shown):
    """A line of code that kept an event loop."""

    service: str
    line: str
    source: str
    times: int
    seconds: float
    worst_seconds: float
    endpoints: list[str]
    tenants: list[str]
    stack: str


class RestartAnswer(BaseModel):
    """A process that took the place of another."""

    time: datetime
    service: str
    reason: str
    detail: str


class MemoryAnswer(Shown):
    """Means of the requests of an endpoint whose memory was measured; bytes are null where the kernel tells none."""

    service: str
    method: str
    route: str
    measured: int = Field(description="Requests that had their process to themselves and were looked at")
    peak_bytes: float | None = Field(description="More than the process had before, at most")
    kept_bytes: float | None = Field(description="More than the process had before, at the end")
    kept_blocks: float = Field(description="Blocks of Python's allocator that were still there at the end")
    tenant: str = Field(description="Whose requests peak highest; empty for requests of nobody")
    tenant_peak_bytes: float | None


class MemoryList(BaseModel):
    endpoints: list[MemoryAnswer]


class RuntimeAnswer(BaseModel):
    processes: list[ProcessAnswer]
    blocking: list[BlockingAnswer]
    restarts: list[RestartAnswer]


@router.get("", summary="How the processes fare from inside")
def read_runtime(store: Store, viewer: Viewer, asked: Asked) -> RuntimeAnswer:
    """Processes serve all tenants: a tenant that is asked for narrows nothing."""
    whole = replace(asked, tenant=None)
    asked_late = begin(spreads, store, viewer.scope, whole, whole.step_seconds(query.CHART_POINTS))
    told = query.happened(store, viewer.scope, whole)
    late = asked_late.result()
    return RuntimeAnswer(
        processes=[_process(one) for one in query.processes(store, viewer.scope, whole, late, told)],
        blocking=[BlockingAnswer.model_validate(line) for line in query.blocking_lines(told)],
        restarts=[
            RestartAnswer(
                time=datetime.fromtimestamp(event.time_ns / 1e9, UTC),
                service=event.service,
                reason=str(event.attributes.get("tocsin.restart.reason", "")),
                detail=event.body,
            )
            for event in query.restarts(told, whole.window)
        ],
    )


@router.get("/memory", summary="Which requests need the memory, by endpoint")
def read_memory(
    store: Store, principal: Anybody, asked: Narrowed, limit: Annotated[int, Query(ge=1, le=1000)] = 20
) -> MemoryList:
    """Of the share of requests that the SDK's `allocation_ratio` measures; the highest peak first."""
    rows = endpoint_memory(store, principal.scope, asked, limit)
    return MemoryList(endpoints=[MemoryAnswer.model_validate(row) for row in rows])


def _process(one: Process) -> ProcessAnswer:
    figures = {name: one.of(name) for name in query.FIGURES}
    return ProcessAnswer.model_validate(
        {
            **figures,
            "service": one.service,
            "instance": one.instance,
            "pid": one.pid,
            "host": one.host,
            "release": one.release,
            "is_running": one.is_running,
            "restart_reason": one.restart_reason,
            "restart_detail": one.started.body if one.started else "",
            "is_leaking": one.is_leaking,
            "growing": [GrowingAnswer.model_validate(each) for each in one.growing] if one.is_leaking else [],
            "leak_note": str(one.leak.attributes.get("tocsin.leak.note", "")) if one.leak else "",
        }
    )
