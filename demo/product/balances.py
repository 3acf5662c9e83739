"""The balance after each of an organisation's latest entries, as its own accounting asks for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

import tocsin
from demo.product.database import POOL_CONNECTIONS, Database
from demo.product.models import LedgerEntry

PAGES = POOL_CONNECTIONS - 1
PAGE_ENTRIES = 80

_at_work = threading.Lock()


def balances_of_latest(database: Database, org_id: str) -> dict[int, int]:
    """Cents, summed as booked, after each entry, by entry; {} while somebody is asking for them already.

    All pages at once, each with a connection of its own, and every balance adds the ledger up from its beginning.
    """
    if not _at_work.acquire(blocking=False):
        return {}
    try:
        with ThreadPoolExecutor(PAGES) as pool:
            pages = pool.map(tocsin.wrap(lambda page: _page(database, org_id, page)), range(PAGES))
            return {entry: cents for page in pages for entry, cents in page}
    finally:
        _at_work.release()


def _page(database: Database, org_id: str, page: int) -> list[tuple[int, int]]:
    latest = select(LedgerEntry.id).where(LedgerEntry.org_id == org_id).order_by(LedgerEntry.id.desc())
    earlier = aliased(LedgerEntry)
    balance = (
        select(func.sum(earlier.amount_cents))
        .where(earlier.org_id == LedgerEntry.org_id, earlier.booked_on <= LedgerEntry.booked_on)
        .scalar_subquery()
    )
    statement = (
        select(LedgerEntry.id, balance.label("balance"))
        .where(LedgerEntry.org_id == org_id)
        .where(LedgerEntry.id.in_(latest.limit(PAGE_ENTRIES).offset(page * PAGE_ENTRIES)))
        # Sorted: else SQLite would begin to answer before it has done its work, and most of it be nobody's time.
        .order_by("balance")
    )
    with database.session() as session:
        return [(entry, cents) for entry, cents in session.execute(statement)]
