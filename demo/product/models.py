"""Tallyroom's tables. Every row a customer owns carries `org_id`, the tenant."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What all tables share: one metadata."""


class Organisation(Base):
    """A customer. The id is its slug, such as `acme`."""

    __tablename__ = "organisations"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str]
    plan: Mapped[str]
    currency: Mapped[str]


class User(Base):
    """A person who signs in; `is_staff` works at Tallyroom and may open the admin panel."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    is_staff: Mapped[bool] = mapped_column(default=False)


class Membership(Base):
    """Which organisations a user belongs to, and as what."""

    __tablename__ = "memberships"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(default="member")


class Project(Base):
    """Work done for one client of the organisation; ledger entries and reports hang on it."""

    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    client: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    budget_cents: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    owner: Mapped[User] = relationship()
    reports: Mapped[list[Report]] = relationship(back_populates="project", order_by="Report.id")


class LedgerEntry(Base):
    """One booked amount, in the entry's own currency."""

    __tablename__ = "ledger_entries"
    # `account` has no index on purpose: no healthy statement filters by it alone.
    __table_args__ = (Index("ix_ledger_entries_project_booked", "project_id", "booked_on"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    account: Mapped[str]
    memo: Mapped[str]
    currency: Mapped[str]
    amount_cents: Mapped[int]
    booked_on: Mapped[date]


class Report(Base):
    """A saved view of a project's ledger over a period."""

    __tablename__ = "reports"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    title: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    created_at: Mapped[datetime]
    project: Mapped[Project] = relationship(back_populates="reports")


class ExportJob(Base):
    """A report being written to a file in the background: queued, running, done or failed."""

    __tablename__ = "export_jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    state: Mapped[str] = mapped_column(default="queued")
    detail: Mapped[str] = mapped_column(default="")
    requested_at: Mapped[datetime]


class Invoice(Base):
    """A bill to a project's client; `document` is what the rendering service returned, empty until rendered."""

    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    number: Mapped[str]
    customer: Mapped[str]
    total_cents: Mapped[int]
    document: Mapped[str] = mapped_column(default="")


class Attachment(Base):
    """An uploaded file's name and size; the bytes are not kept."""

    __tablename__ = "attachments"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    filename: Mapped[str]
    body_bytes: Mapped[int]
    sha256: Mapped[str]


class FlagVariant(Base):
    """Which variant of a feature flag an organisation gets; `*` is everybody else."""

    __tablename__ = "flag_variants"
    flag: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str]
