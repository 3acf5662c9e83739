"""Builds a report: the ledger of one project over one period, as figures and as a document."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

import tocsin
from demo.faults import LEAK
from demo.product.latency import Latency
from demo.product.ledger import account_ranks, entries_between, load_rates, totals_by_account
from demo.product.models import Report


@dataclass(frozen=True)
class ReportFigures:
    """A report's numbers: cents in the organisation's currency, and entries, both per account."""

    report_id: int
    title: str
    entries: int
    totals_cents: dict[str, int]
    entries_by_account: dict[str, int]


def build_report(session: Session, report: Report) -> ReportFigures:
    """The report's figures, read now. Raises MissingRateError when an entry cannot be converted."""
    with tocsin.span("build report"):
        entries = entries_between(session, report.org_id, report.project_id, report.starts_on, report.ends_on)
        rates = load_rates(session, report.org_id)
        return ReportFigures(
            report_id=report.id,
            title=report.title,
            entries=len(entries),
            totals_cents=totals_by_account(entries, rates),
            entries_by_account=account_ranks(session, report.org_id, report.project_id),
        )


def open_report(session: Session, report: Report, latency: Latency) -> dict[str, object]:
    """The report as its page shows it."""
    figures = build_report(session, report)
    with tocsin.span("render report"):
        latency.wait(18)
        if LEAK.bites(report.org_id):
            LEAK.keep(_undo_snapshot(figures))
    return asdict(figures)


def _undo_snapshot(figures: ReportFigures) -> bytes:
    # A page as the browser drew it: about 256 kB whatever the report.
    return repr(figures).encode().ljust(256_000, b" ")
