"""The export job: a report written to a CSV file after the request has been answered."""

from __future__ import annotations

import csv
import io
import logging
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

import tocsin
from demo.faults import JOB_FAILING
from demo.product.database import Database
from demo.product.flags import flag_variant
from demo.product.latency import Latency
from demo.product.models import ExportJob, Report
from demo.product.reporting import ReportFigures, build_report

log = logging.getLogger("tallyroom.exports")


def queue_export(session: Session, report: Report) -> ExportJob:
    """A new job for the report, saved; the report is built once to refuse early what cannot be exported."""
    build_report(session, report)
    job = ExportJob(org_id=report.org_id, report_id=report.id, requested_at=datetime.now(UTC))
    session.add(job)
    session.commit()
    log.info("export %d of report %d queued", job.id, report.id, extra={"event": "export.queued", "export": job.id})
    return job


def run_export(database: Database, folder: Path, latency: Latency, job_id: int, files_kept: int) -> None:
    """Write the job's file into `folder` and mark the job done; on OSError mark it failed and raise."""
    with tocsin.span("export report"), database.session() as session:
        job = session.get_one(ExportJob, job_id)
        job.state = "running"
        session.commit()
        report = session.get_one(Report, job.report_id)
        text = export_text(build_report(session, report), flag_variant(session, "export-format", job.org_id))
        latency.wait(80)
        try:
            _export_path(folder, job).write_text(text)
        except OSError as error:
            job.state, job.detail = "failed", str(error)
            session.commit()
            log.exception("export %d failed", job_id, extra={"event": "export.failed", "export": job_id})
            raise
        job.state = "done"
        session.commit()
        log.info("export %d is ready", job_id, extra={"event": "export.ready", "export": job_id, "bytes": len(text)})
    (folder / f"{job_id - files_kept}.csv").unlink(missing_ok=True)


def export_text(figures: ReportFigures, variant: str) -> str:
    """The report as CSV, one account a line; variant `csv-semicolon` is for spreadsheets with decimal commas."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";" if variant == "csv-semicolon" else ",")
    writer.writerow(("account", "entries", "total_cents"))
    for account, cents in figures.totals_cents.items():
        writer.writerow((account, figures.entries_by_account.get(account, 0), cents))
    return buffer.getvalue()


def _export_path(folder: Path, job: ExportJob) -> Path:
    if JOB_FAILING.bites(job.org_id):
        folder = folder / "mnt" / "archive"
    return folder / f"{job.id}.csv"
