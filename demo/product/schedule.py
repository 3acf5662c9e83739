"""What Tallyroom does by the clock: statements for every organisation, new exchange rates, old exports swept away.

A night's work comes round every minute here, so that a demo has something to show.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select

import tocsin
from demo.faults import JOB_FAILING
from demo.product.models import Organisation, Report
from demo.product.services import Services

log = logging.getLogger("tallyroom.jobs")


@dataclass(frozen=True)
class ScheduledJob:
    """Work that is due every so many seconds, as `tocsin.job` is told, too."""

    name: str
    every_seconds: float
    run: Callable[[Services], None]


def write_statements(services: Services) -> None:
    """A statement of each organisation's reports, one run each: one that fails does not stop the others."""
    with services.database.session() as session:
        organisations = list(session.scalars(select(Organisation.id).order_by(Organisation.id)))
    for org_id in organisations:
        try:
            with tocsin.job("monthly-statements", schedule="every 1m", tenant=org_id):
                _write_and_tell(services, org_id)
        except OSError:
            continue  # recorded with its job; tried again when it is due


def _write_and_tell(services: Services, org_id: str) -> None:
    try:
        reports = write_statement(services, org_id)
    except OSError:
        log.exception("the statement of %s could not be written", org_id, extra={"event": "statement.failed"})
        raise
    log.info("statement of %s: %d reports", org_id, reports, extra={"event": "statement.written", "reports": reports})


def write_statement(services: Services, org_id: str) -> int:
    """Counts the organisation's reports into its statement, and gives the count. Raises OSError when it cannot be
    written."""
    with services.database.session() as session:
        reports = session.scalar(select(func.count()).select_from(Report).where(Report.org_id == org_id))
    services.latency.wait(35)
    statement_path(services.export_folder, org_id).write_text(f"organisation,reports\n{org_id},{reports}\n")
    return reports or 0


def statement_path(folder: Path, org_id: str) -> Path:
    if JOB_FAILING.bites(org_id):
        folder = folder / "mnt" / "archive"
    return folder / f"statement-{org_id}.csv"


def refresh_rates(services: Services) -> None:
    """Asks for new exchange rates; they hold for everybody."""
    with tocsin.job("refresh-rates", schedule="every 30s"):
        services.latency.wait(120)
        log.info("exchange rates refreshed", extra={"event": "rates.refreshed"})


def sweep_exports(services: Services) -> None:
    """Removes exports of last month from the disk."""
    with tocsin.job("sweep-exports", schedule="every 2m"):
        oldest = time.time() - 30 * 86_400
        for path in services.export_folder.glob("*.csv"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                log.info("removed the export %s", path.name, extra={"event": "export.removed"})


JOBS = (
    ScheduledJob("monthly-statements", 60, write_statements),
    ScheduledJob("refresh-rates", 30, refresh_rates),
    ScheduledJob("sweep-exports", 120, sweep_exports),
)


@asynccontextmanager
async def keep_schedule(services: Services) -> AsyncIterator[None]:
    """Runs every job when it is due until the block is left; the first time soon after the start."""
    tasks = [asyncio.create_task(_repeat(job, services)) for job in JOBS]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: ScheduledJob, services: Services) -> None:
    await asyncio.sleep(min(2.0, job.every_seconds))
    while True:
        began = time.monotonic()
        await run_in_threadpool(partial(job.run, services))
        await asyncio.sleep(max(0.0, job.every_seconds - (time.monotonic() - began)))
