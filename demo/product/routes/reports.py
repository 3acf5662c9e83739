"""Reports of a project, and the jobs that export them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, status
from fastapi.responses import FileResponse
from sqlalchemy import select

from demo.faults import CROSS_TENANT_READ
from demo.product.exports import queue_export, run_export
from demo.product.identity import Member
from demo.product.models import ExportJob, Report
from demo.product.reporting import open_report
from demo.product.routes.projects import InProject
from demo.product.services import InServices, InSession

router = APIRouter(tags=["reports"])
of_project = APIRouter(prefix="/projects/{project_id}/reports")
exports = APIRouter(prefix="/exports")


def find_report(report_id: int, project: InProject, session: InSession) -> Report:
    """The project's report; 404 when it has none of that id."""
    report = session.scalars(
        select(Report).where(Report.id == report_id, Report.project_id == project.id)
    ).one_or_none()
    if report is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no report {report_id} in project {project.id}")
    return report


def find_job(job_id: int, member: Member, session: InSession) -> ExportJob:
    """The caller's export job; 404 for a missing one and for another organisation's alike."""
    statement = select(ExportJob).where(ExportJob.id == job_id, ExportJob.org_id == member.org_id)
    job = session.scalars(statement).one_or_none()
    if job is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no export {job_id}")
    return job


InReport = Annotated[Report, Depends(find_report)]
InJob = Annotated[ExportJob, Depends(find_job)]


@router.get("/reports/recent")
def recent_reports(member: Member, session: InSession, services: InServices) -> list[dict[str, object]]:
    services.latency.wait(7)
    statement = select(Report.id, Report.org_id, Report.project_id, Report.title).order_by(Report.id.desc()).limit(20)
    if not CROSS_TENANT_READ.bites(member.org_id):
        statement = statement.where(Report.org_id == member.org_id)
    return [dict(row) for row in session.execute(statement).mappings()]


@of_project.get("/{report_id}")
def show_report(report: InReport, session: InSession, services: InServices) -> dict[str, object]:
    return open_report(session, report, services.latency)


@of_project.post("/{report_id}/exports", status_code=status.HTTP_202_ACCEPTED)
def export_report(
    report: InReport, session: InSession, services: InServices, tasks: BackgroundTasks
) -> dict[str, object]:
    job = queue_export(session, report)
    tasks.add_task(
        run_export,
        services.database,
        services.export_folder,
        services.latency,
        job.id,
        services.settings.export_files_kept,
    )
    return {"job_id": job.id, "state": job.state}


@exports.get("/{job_id}")
def show_export(job: InJob) -> dict[str, object]:
    return {"job_id": job.id, "state": job.state, "detail": job.detail}


@exports.get("/{job_id}/download")
def download_export(job: InJob, services: InServices) -> FileResponse:
    path = services.export_folder / f"{job.id}.csv"
    if job.state != "done" or not path.exists():
        raise HTTPException(status.HTTP_409_CONFLICT, f"export {job.id} is {job.state}, not ready to download")
    return FileResponse(path, media_type="text/csv", filename=f"report-{job.report_id}.csv")


router.include_router(of_project)
router.include_router(exports)
