"""Sums over the ledger: entries of a period, converted into the organisation's currency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date

from sqlalchemy import Function, Row, String, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from demo.faults import ERRORS_FOR_ONE_TENANT, SLOW_QUERY
from demo.product.models import LedgerEntry, Organisation

# What one unit is worth in US dollars.
_WORTH_USD = {"USD": 1.0, "EUR": 1.09, "GBP": 1.27, "JPY": 0.0067}


class MissingRateError(LookupError):
    """An entry's currency has no exchange rate."""


def entries_between(
    session: Session, org_id: str, project_id: int, starts_on: date, ends_on: date
) -> list[LedgerEntry]:
    """A project's entries of the period, both days included, oldest first."""
    statement = (
        select(LedgerEntry)
        .where(LedgerEntry.org_id == org_id, LedgerEntry.project_id == project_id)
        .where(LedgerEntry.booked_on.between(starts_on, ends_on))
        .order_by(LedgerEntry.booked_on)
    )
    return list(session.scalars(statement))


def load_rates(session: Session, org_id: str) -> dict[str, float]:
    """What one unit of each currency is worth in the organisation's own."""
    own = session.scalars(select(Organisation.currency).where(Organisation.id == org_id)).one()
    rates = {currency: worth / _WORTH_USD[own] for currency, worth in _WORTH_USD.items()}
    if ERRORS_FOR_ONE_TENANT.bites(org_id):
        # The importer took "the same currency" for "nothing to convert" and left the row out.
        del rates[own]
    return rates


def convert(amount_cents: int, currency: str, rates: Mapping[str, float]) -> int:
    """The amount in the organisation's currency. Raises MissingRateError for a currency without a rate."""
    try:
        rate = rates[currency]
    except KeyError as error:
        known = ", ".join(sorted(rates))
        raise MissingRateError(f"cannot convert {currency}: rates are loaded for {known}; import its rate") from error
    return round(amount_cents * rate)


def totals_by_account(entries: Iterable[LedgerEntry], rates: Mapping[str, float]) -> dict[str, int]:
    """Cents per account in the organisation's currency, largest account first."""
    totals: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        totals[entry.account] += convert(entry.amount_cents, entry.currency, rates)
    return dict(sorted(totals.items(), key=lambda total: -total[1]))


def account_ranks(session: Session, org_id: str, project_id: int) -> dict[str, int]:
    """How many entries each account of a project has, for the report's ranking."""
    if SLOW_QUERY.bites(org_id):
        return _unindexed_account_ranks(session, project_id)
    statement = (
        select(LedgerEntry.account, func.count())
        .where(LedgerEntry.project_id == project_id)
        .group_by(LedgerEntry.account)
    )
    return _counts(session.execute(statement).all())


def _unindexed_account_ranks(session: Session, project_id: int) -> dict[str, int]:
    # Functions around the columns hide them from every index: the whole table is read.
    account = func.lower(LedgerEntry.account)
    statement = (
        select(account, func.count()).where(_as_text(LedgerEntry.project_id) == str(project_id)).group_by(account)
    )
    return _counts(session.execute(statement).all())


def _as_text(column: InstrumentedAttribute[int]) -> Function[str]:
    return func.trim(cast(column, String), type_=String)


def _counts(rows: Iterable[Row[str, int]]) -> dict[str, int]:
    return dict(rows)
