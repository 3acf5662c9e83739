"""/api/v1/doctor: the checks of `tocsin doctor`, one per part of the server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from tocsin.model.tenant import PLATFORM
from tocsin.model.units import size_text
from tocsin.query.instruments import ServiceInstruments, instruments
from tocsin.query.senders import Sender, senders
from tocsin.storage.telemetry.engine import EngineError
from tocsin.web.api.contract import BEARER, REFUSALS
from tocsin.web.auth import Viewer

router = APIRouter(prefix="/api/v1/doctor", tags=["monitoring"], dependencies=[Depends(BEARER)], responses=REFUSALS)

LOW_DISK_RATIO = 0.1
CLOCK_SKEW_SECONDS = 5.0
SLOW_STORE_SECONDS = 2.0
LATE_SPOOL_SECONDS = 10.0


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Check(BaseModel):
    """One part of the server, in a sentence."""

    name: str
    state: State
    detail: str


class Diagnosis(BaseModel):
    """All checks."""

    checks: list[Check]


@router.get("", summary="Check every part of the server")
def diagnose(request: Request, _: Viewer) -> Diagnosis:
    return Diagnosis(checks=list(_checks(request.app.state.tocsin)))


def _checks(server: Any) -> Iterator[Check]:
    yield _store(server)
    yield _control(server)
    yield _spool(server)
    yield _rejected(server)
    yield _disk(server)
    yield _keys(server)
    if server.tailer.settings.is_on:
        yield _files(server)
    try:
        found = senders(server.store, PLATFORM)
    except EngineError as error:
        yield Check(name="exporters", state=State.FAILURE, detail=f"cannot be read: {error}")
        return
    yield _clock(found)
    yield _exporters(found)
    yield _instruments(instruments(server.store, PLATFORM))


def _store(server: Any) -> Check:
    try:
        seconds = server.store.is_answering()
    except EngineError as error:
        return Check(name="store", state=State.FAILURE, detail=f"does not answer: {error}; see the server's log")
    state = State.OK if seconds < SLOW_STORE_SECONDS else State.WARNING
    return Check(name="store", state=state, detail=f"answers in {seconds * 1000:.0f} ms")


def _control(server: Any) -> Check:
    problem = server.control_problem()
    if problem:
        return Check(name="control", state=State.FAILURE, detail=f"does not answer: {problem}")
    return Check(name="control", state=State.OK, detail="answers")


def _spool(server: Any) -> Check:
    vitals = server.vitals
    detail = f"{vitals.spool_bytes / 1e6:.1f} MB wait, the oldest for {vitals.spool_age_seconds:.0f} s"
    if vitals.writer_problem:
        return Check(
            name="spool", state=State.FAILURE, detail=f"{detail}; the last insert failed: {vitals.writer_problem}"
        )
    if not vitals.is_well:
        return Check(name="spool", state=State.FAILURE, detail=f"{detail}; telemetry is late or refused")
    return Check(
        name="spool", state=State.OK if vitals.spool_age_seconds < LATE_SPOOL_SECONDS else State.WARNING, detail=detail
    )


def _rejected(server: Any) -> Check:
    count = sum(1 for _ in (server.data / "rejected").glob("*/*.bin"))
    if count:
        where = server.data / "rejected"
        return Check(
            name="rejected", state=State.WARNING, detail=f"{count} messages were refused by the store; see {where}"
        )
    return Check(name="rejected", state=State.OK, detail="no message was refused by the store")


def _disk(server: Any) -> Check:
    usage = shutil.disk_usage(server.data)
    ratio = usage.free / usage.total
    state = State.OK if ratio > LOW_DISK_RATIO else State.WARNING
    detail = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB ({ratio:.0%}) at {server.data}"
    least = server.spool.settings.min_free_bytes
    if usage.free <= least:
        cause = f"below {size_text(least)} nothing more is accepted; free some, or keep less (retention.*)"
        return Check(name="disk", state=State.FAILURE, detail=f"{detail}; {cause}")
    return Check(name="disk", state=state, detail=detail)


def _keys(server: Any) -> Check:
    count, is_required = len(server.keyring), server.gate.settings.require_key
    if is_required and not count:
        detail = "an ingest key is required and there is none; make one under Settings, Ingest keys"
        return Check(name="keys", state=State.WARNING, detail=detail)
    if server.keyring.is_stale:
        return Check(name="keys", state=State.WARNING, detail=f"{count} known, but the list cannot be refreshed")
    need = "required" if is_required else "not required on this machine"
    return Check(name="keys", state=State.OK, detail=f"{count} ingest keys, {need}")


def _files(server: Any) -> Check:
    tailer = server.tailer
    states = tailer.states()
    behind = sum(state.lag_bytes for state in states)
    detail = f"{len(states)} log files, {behind / 1e6:.1f} MB of them not read yet"
    wrong = [f"{state.path}: {state.error}" for state in states if state.error]
    if not tailer.is_running:
        return Check(name="log files", state=State.FAILURE, detail="they are no longer read; see the server's log")
    if tailer.problem:
        return Check(name="log files", state=State.WARNING, detail=f"{detail}; they wait: {tailer.problem}")
    wrong += [f"not carried out: {sentence}" for sentence in tailer.config.ignored]
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    told = f"; {'; '.join(wrong[:5])}{more}" if wrong else ""
    is_well = bool(states) and not any(state.error for state in states)
    return Check(name="log files", state=State.OK if is_well else State.WARNING, detail=detail + told)


def _clock(found: list[Sender]) -> Check:
    now_ns = time.time_ns()
    ahead = [(sender.service, (sender.newest_ns - now_ns) / 1e9) for sender in found]
    wrong = [f"{service} is {seconds:.0f} s ahead" for service, seconds in ahead if seconds > CLOCK_SKEW_SECONDS]
    if wrong:
        return Check(name="clock", state=State.WARNING, detail=f"{', '.join(wrong)} of this machine; run NTP on both")
    return Check(name="clock", state=State.OK, detail=f"no sender is ahead of this machine ({len(found)} looked at)")


def _exporters(found: list[Sender]) -> Check:
    if not found:
        detail = "nothing was sent in the last 15 minutes; point an application's OTLP exporter here"
        return Check(name="exporters", state=State.WARNING, detail=detail)
    dropping = [f"{sender.service} dropped {sender.dropped:.0f} items" for sender in found if sender.dropped]
    if dropping:
        return Check(name="exporters", state=State.WARNING, detail="; ".join(dropping))
    names = ", ".join(sorted({sender.service for sender in found}))
    return Check(name="exporters", state=State.OK, detail=f"{len(found)} processes send and drop nothing: {names}")


def _instruments(found: list[ServiceInstruments]) -> Check:
    """What the SDK watches inside each service; a library it cannot watch is named with the reason."""
    if not found:
        return Check(name="instruments", state=State.OK, detail="no service with the Tocsin SDK sent lately")
    broken = [f"{each.service} cannot watch {name}: {why}" for each in found for name, why in each.broken.items()]
    parts = [f"{each.service} watches {', '.join(each.on) or 'nothing'}{_others(each)}" for each in found]
    state = State.WARNING if broken else State.OK
    return Check(name="instruments", state=state, detail="; ".join([*broken, *parts]))


def _others(each: ServiceInstruments) -> str:
    others = [f"{name}: {why}" for name, why in each.off.items() if name not in each.broken]
    return f" (off: {', '.join(others)})" if others else ""
