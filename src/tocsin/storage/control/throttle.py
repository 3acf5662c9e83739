"""Slows down guessing: failed sign-ins of one account from one address wait ever longer, on every server alike."""

from __future__ import annotations

import ipaddress
import math
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tocsin.model.control import SYSTEM
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import Throttled
from tocsin.storage.control.schema import SignInAttemptRow
from tocsin.storage.control.secrets import digest
from tocsin.storage.control.settings import AuthSettings


class Throttle:
    """Counts an attempt as failed before the password is looked at, so that parallel guesses gain nothing."""

    def __init__(self, database: Database, settings: AuthSettings) -> None:
        self._database = database
        self._settings = settings

    def admit(self, email: str, ip: str) -> None:
        """Lets one attempt through and counts it. Raises Throttled while the pair has to wait."""
        now = self._database.now()
        with self._database.write() as session:
            row = _locked_row(session, email, network_of(ip), self._database)
            if row.forget_at <= now:
                row.failures = 0
            if row.failures and row.blocked_until > now:
                raise Throttled(math.ceil((row.blocked_until - now).total_seconds()))
            row.failures += 1
            wait = wait_seconds(row.failures, self._settings)
            row.blocked_until = now + timedelta(seconds=wait)
            row.forget_at = now + timedelta(seconds=2 * self._settings.longest_wait_seconds)
            if row.failures == self._settings.free_attempts:
                audit.record(session, now, SYSTEM, "sign_in.throttle", email, {"ip": ip})

    def clear(self, session: Session, email: str, ip: str) -> None:
        """Forgets the failures after a sign-in that succeeded."""
        mine = (SignInAttemptRow.account == digest(email), SignInAttemptRow.ip == network_of(ip))
        session.execute(delete(SignInAttemptRow).where(*mine))


def wait_seconds(failures: int, settings: AuthSettings) -> float:
    """How long the next attempt waits after `failures` in a row: nothing at first, then 1 s, 2 s, 4 s …"""
    beyond = failures - settings.free_attempts
    if beyond < 0:
        return 0.0
    return min(2.0 ** min(beyond, 30), settings.longest_wait_seconds)


def network_of(ip: str) -> str:
    """The address, or the /64 an IPv6 address is in: one household or server holds all of it."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip[:64]  # what a proxy or test client puts there instead
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _locked_row(session: Session, email: str, network: str, database: Database) -> SignInAttemptRow:
    now = database.now()
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    fresh = {"account": digest(email), "ip": network, "failures": 0, "blocked_until": now, "forget_at": now}
    session.execute(insert(SignInAttemptRow).values(fresh).on_conflict_do_nothing())
    mine = (SignInAttemptRow.account == fresh["account"], SignInAttemptRow.ip == network)
    return session.scalars(select(SignInAttemptRow).where(*mine).with_for_update()).one()
