"""Reports over log lines as plain data, for REST and for `tocsin logs analyze`, which needs nothing else of the web."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from tocsin.detect.patterns.log_report import MOST_TENANTS, Finding, LogReport, ViewReport


class FindingAnswer(BaseModel):
    """Lines of a report that are the same kind of thing."""

    what: str = Field(description="The error's type, the event's name or the endpoint; '' where the pattern says it")
    pattern: str
    lines: int
    tenants: dict[str, int] = Field(description="Those with most lines")
    first: datetime | None
    last: datetime | None
    most_seconds: float
    mean_seconds: float
    example: str


class ViewAnswer(BaseModel):
    """One report."""

    id: str
    title: str
    threshold_seconds: float | None = Field(
        description="From when on something is slow; null where it is not about time"
    )
    lines: int
    findings: list[FindingAnswer] = Field(description="Most lines first; the longest first where it is about time")


class ReportAnswer(BaseModel):
    """What the lines say, and which could not be read."""

    lines: int
    first: datetime | None
    last: datetime | None
    outside: int = Field(description="Lines of files of another time or tenant")
    undated: int = Field(description="Lines of files without a time that can be read")
    unreadable: int = Field(description="Lines of files that are no JSON objects")
    unreadable_examples: list[str]
    levels: dict[str, int]
    tenants: dict[str, int]
    views: list[ViewAnswer]


def plain_report(report: LogReport) -> ReportAnswer:
    return ReportAnswer(
        lines=report.lines, first=_moment(report.first_us), last=_moment(report.last_us), outside=report.outside,
        undated=report.undated, unreadable=report.unreadable, unreadable_examples=report.unreadable_examples,
        levels=report.levels, tenants=report.tenants, views=[_view(one) for one in report.views],
    )  # fmt: skip


def _view(one: ViewReport) -> ViewAnswer:
    took = one.view.took
    return ViewAnswer(
        id=one.view.id,
        title=one.view.title,
        threshold_seconds=took.threshold_seconds if took else None,
        lines=one.lines,
        findings=[_finding(finding) for finding in one.findings],
    )


def _finding(one: Finding) -> FindingAnswer:
    return FindingAnswer(
        what=one.what, pattern=one.pattern, lines=one.lines, tenants=dict(one.tenants.most_common(MOST_TENANTS)),
        first=_moment(one.first_us), last=_moment(one.last_us), most_seconds=one.most_seconds,
        mean_seconds=one.mean_seconds, example=one.example,
    )  # fmt: skip


def _moment(at_us: int) -> datetime | None:
    return datetime.fromtimestamp(at_us / 1e6, UTC) if at_us else None
