"""A product with two tenants whose rows are told apart: its tables, its rows, its app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

import tocsin
from tocsin.testing import Capture

ACME, GLOBEX = {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "globex"}


class Base(DeclarativeBase):
    pass


class Project(Base):
    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    name: Mapped[str]
    reports: Mapped[list[Report]] = relationship(back_populates="project", order_by="Report.id")


class Report(Base):
    __tablename__ = "reports"
    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    title: Mapped[str]
    project: Mapped[Project] = relationship(back_populates="reports")
    lines: Mapped[list[Line]] = relationship()


class Line(Base):
    """Without a tenant of its own: it hangs under a report."""

    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    cents: Mapped[int]


class Plan(Base):
    """Everybody's."""

    __tablename__ = "plans"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def fill(engine: Engine) -> None:
    """Of each tenant two projects with two reports of two lines: acme has the odd numbers, globex the even."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Plan(id=1, name="team"))
        for number in range(1, 5):
            tenant = "acme" if number % 2 else "globex"
            reports = [
                Report(id=number * 10 + n, org_id=tenant, title=f"report {n}", lines=[Line(cents=1), Line(cents=2)])
                for n in range(2)
            ]
            session.add(Project(id=number, org_id=tenant, name=f"project {number}", reports=reports))
        session.commit()


def product(**settings: Any) -> FastAPI:
    app = FastAPI()
    tocsin.instrument(app, tenant="header:X-Tenant-ID", **settings)
    app.include_router(tocsin.metrics_router)
    return app


def serve(handler: Callable[..., Any], path: str = "/work", **settings: Any) -> TestClient:
    app = product(**settings)
    app.get(path)(handler)
    return TestClient(app)


def crossings(captured: Capture) -> list[tuple[str, str, str, str]]:
    """(how, table, the request's tenant, the row's tenant) of every crossing."""
    return sorted(
        (
            record.attributes["tocsin.isolation.how"],
            record.attributes["db.collection.name"],
            record.attributes["tocsin.isolation.tenant"],
            record.attributes["tocsin.isolation.row_tenant"],
        )
        for record in captured.records
        if record.event == "tocsin.isolation.crossing"
    )


def counted(client: TestClient, name: str = "tenant_isolation_statements_total") -> dict[str, float]:
    """The samples of a family at /metrics, by their labels as they are printed."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + "{")]
    return {line[len(name) :].rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
