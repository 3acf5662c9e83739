"""Projects and the entries booked on them."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, HTTPException, status
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from demo.faults import N_PLUS_ONE
from demo.product.flags import COMPACT, flag_variant
from demo.product.identity import Member
from demo.product.models import LedgerEntry, Project
from demo.product.services import InServices, InSession

router = APIRouter(prefix="/projects", tags=["projects"])
log = logging.getLogger("tallyroom.business")

# What drawing the list in its new form takes: the whole answer is then slower by about four tenths.
COMPACT_MS = 22

Currency = Literal["USD", "EUR", "GBP", "JPY"]


class Split(BaseModel):
    """One part of an entry, booked on its own account."""

    account: str = Field(pattern=r"^[a-z][a-z-]{1,30}$")
    amount_cents: int = Field(ge=-100_000_000, le=100_000_000)


class NewEntry(BaseModel):
    """An entry to book; its splits add up to its amount."""

    memo: str = Field(min_length=3, max_length=200)
    currency: Currency
    amount_cents: int = Field(ge=-100_000_000, le=100_000_000)
    booked_on: date
    splits: list[Split] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def splits_add_up(self) -> Self:
        if sum(split.amount_cents for split in self.splits) != self.amount_cents:
            raise ValueError("the splits do not add up to amount_cents")
        return self


class NewProject(BaseModel):
    """A project to open."""

    name: str = Field(min_length=3, max_length=80)
    client: str = Field(min_length=2, max_length=80)
    budget_cents: int = Field(default=0, ge=0)


def find_project(project_id: int, member: Member, session: InSession) -> Project:
    """The caller's project; 404 for a missing one and for another organisation's alike."""
    project = session.scalars(
        select(Project).where(Project.id == project_id, Project.org_id == member.org_id)
    ).one_or_none()
    if project is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no project {project_id}")
    return project


InProject = Annotated[Project, Depends(find_project)]


@router.get("")
def list_projects(member: Member, session: InSession, services: InServices) -> list[dict[str, object]]:
    is_compact = flag_variant(session, COMPACT, member.org_id) == "on"
    services.latency.wait(COMPACT_MS if is_compact else 8)
    statement = select(Project).where(Project.org_id == member.org_id).order_by(Project.id)
    if not N_PLUS_ONE.bites(member.org_id):
        statement = statement.options(joinedload(Project.owner), selectinload(Project.reports))
    return [_summary(project) for project in session.scalars(statement)]


@router.post("", status_code=status.HTTP_201_CREATED)
def open_project(new: NewProject, member: Member, session: InSession) -> dict[str, object]:
    project = Project(
        org_id=member.org_id, owner_id=member.user_id, created_at=datetime.now(UTC), status="active", **new.model_dump()
    )
    session.add(project)
    session.commit()
    facts = {"event": "project.opened", "project": project.id, "budget_cents": project.budget_cents}
    log.info("project %d opened", project.id, extra=facts)
    return _summary(project)


@router.get("/{project_id}")
def show_project(project: InProject, services: InServices) -> dict[str, object]:
    services.latency.wait(6)
    return _summary(project) | {"reports": [{"id": report.id, "title": report.title} for report in project.reports]}


@router.post("/{project_id}/entries", status_code=status.HTTP_201_CREATED)
def book_entry(entry: NewEntry, project: InProject, session: InSession, services: InServices) -> dict[str, int]:
    services.latency.wait(9)
    return {"booked": _book(entry, project, session)}


def _book(entry: NewEntry, project: Project, session: Session) -> int:
    session.add_all(
        LedgerEntry(
            org_id=project.org_id,
            project_id=project.id,
            account=split.account,
            memo=entry.memo,
            currency=entry.currency,
            amount_cents=split.amount_cents,
            booked_on=entry.booked_on,
        )
        for split in entry.splits
    )
    session.commit()
    facts = {"event": "entry.booked", "project": project.id, "amount_cents": entry.amount_cents}
    log.info("booked %s %.2f on project %d", entry.currency, entry.amount_cents / 100, project.id, extra=facts)
    return len(entry.splits)


def _summary(project: Project) -> dict[str, object]:
    return {
        "id": project.id,
        "name": project.name,
        "client": project.client,
        "status": project.status,
        "owner": project.owner.name,
        "report_count": len(project.reports),
    }
