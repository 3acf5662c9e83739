"""Browsers that are told by web push, each of one user, and the key that all servers on this store sign with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from tocsin.model.access import Principal
from tocsin.model.push import PushAddress, PushSubscription
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import InvalidInput, NotFound
from tocsin.storage.control.schema import UserRow
from tocsin.storage.control.schema_push import PushKeyRow, PushReceiptRow, PushSubscriptionRow
from tocsin.storage.control.secrets import new_id
from tocsin.storage.control.users import user_of

MOST_OF_A_USER = 20
RECEIPTS_KEPT = timedelta(days=7)
BROWSER_CHARS, FAILURE_CHARS = 300, 500
SIGNING_KEY = "vapid"


class Push:
    """What a user may see depends on the role they have when they are told, not on that when they subscribed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def signing_key(self, make: Callable[[], str]) -> str:
        """The private key, made at the first call; the same for every server on this store."""
        if known := self._signing_key():
            return known
        try:
            with self._database.write() as session:
                made = make()
                session.add(PushKeyRow(name=SIGNING_KEY, private_key=made, made_at=self._database.now()))
                session.flush()
                return made
        except IntegrityError:
            return self._signing_key()  # another server made it at this very moment

    def subscribe(self, user: Principal, address: PushAddress, browser: str) -> PushSubscription:
        """The browser tells this user from now on, also one that another user had subscribed with before.

        Raises InvalidInput for whoever is no user, such as an API token, and beyond MOST_OF_A_USER browsers.
        """
        now, hashed = self._database.now(), hashlib.sha256(address.endpoint.encode()).hexdigest()
        with self._database.write() as session:
            owner = session.get(UserRow, user.id)
            if owner is None:
                raise InvalidInput(f"cannot tell {user.name} in a browser: only users are; sign in as one")
            row = session.scalars(
                select(PushSubscriptionRow).where(PushSubscriptionRow.endpoint_hash == hashed)
            ).first()
            if row is not None and row.user_id != user.id:
                # What it was told belongs to the other one.
                session.execute(delete(PushSubscriptionRow).where(PushSubscriptionRow.id == row.id))
                session.expunge(row)
                row = None
            if row is None:
                of_user = select(func.count()).where(PushSubscriptionRow.user_id == user.id)
                if session.scalars(of_user).one() >= MOST_OF_A_USER:
                    cause = f"you have {MOST_OF_A_USER} already; remove one of them"
                    raise InvalidInput(f"cannot add this browser: {cause}")
                row = PushSubscriptionRow(id=new_id("psh"), endpoint_hash=hashed, endpoint=address.endpoint)
                row.user, row.made_at, row.told_at = owner, now, None
                session.add(row)
                audit.record(session, now, user, "push.subscribe", row.id, {"browser": browser[:BROWSER_CHARS]})
            row.public_key, row.auth_secret = address.public_key, address.auth_secret
            row.browser, row.failures, row.last_failure = browser[:BROWSER_CHARS], 0, ""
            session.flush()
            return _subscription(row)

    def unsubscribe(self, user: Principal, id: str) -> None:
        """Ends one of the user's own. Raises NotFound, also for one of somebody else."""
        with self._database.write() as session:
            row = session.get(PushSubscriptionRow, id)
            if row is None or row.user_id != user.id:
                raise NotFound(f"cannot remove browser '{id[:40]}': none of yours has that id; reload the page")
            session.execute(delete(PushSubscriptionRow).where(PushSubscriptionRow.id == id))
            audit.record(session, self._database.now(), user, "push.unsubscribe", id, {"browser": row.browser})

    def of_user(self, user_id: str) -> list[PushSubscription]:
        """The browsers of one user, the newest first."""
        query = select(PushSubscriptionRow).where(PushSubscriptionRow.user_id == user_id)
        with self._database.read() as session:
            rows = session.scalars(query.order_by(PushSubscriptionRow.made_at.desc(), PushSubscriptionRow.id))
            return [_subscription(row) for row in rows]

    def able(self) -> list[PushSubscription]:
        """The browsers of all users who may sign in."""
        query = select(PushSubscriptionRow).join(UserRow).where(UserRow.disabled_at.is_(None))
        with self._database.read() as session:
            rows = session.scalars(query.order_by(PushSubscriptionRow.made_at, PushSubscriptionRow.id))
            return [_subscription(row) for row in rows]

    def told(self, key: str) -> set[str]:
        """The ids of the browsers that have this notification."""
        query = select(PushReceiptRow.subscription_id).where(PushReceiptRow.key == key)
        with self._database.read() as session:
            return set(session.scalars(query))

    def note_told(self, id: str, key: str) -> None:
        """It took a notification; a subscription that ended meanwhile is left as it is."""
        now = self._database.now()
        with self._database.write() as session:
            row = session.get(PushSubscriptionRow, id, with_for_update={"of": PushSubscriptionRow})
            if row is None:
                return
            row.told_at, row.failures, row.last_failure = now, 0, ""
            session.merge(PushReceiptRow(key=key, subscription_id=id, at=now))

    def note_failed(self, id: str, reason: str) -> None:
        with self._database.write() as session:
            session.execute(
                update(PushSubscriptionRow)
                .where(PushSubscriptionRow.id == id)
                .values(failures=PushSubscriptionRow.failures + 1, last_failure=reason[:FAILURE_CHARS])
            )

    def forget(self, id: str) -> None:
        """Its push service says that it is no more."""
        with self._database.write() as session:
            session.execute(delete(PushSubscriptionRow).where(PushSubscriptionRow.id == id))

    def prune(self) -> None:
        with self._database.write() as session:
            session.execute(delete(PushReceiptRow).where(PushReceiptRow.at < self._database.now() - RECEIPTS_KEPT))

    def _signing_key(self) -> str:
        with self._database.read() as session:
            row = session.get(PushKeyRow, SIGNING_KEY)
            return row.private_key if row is not None else ""


def _subscription(row: PushSubscriptionRow) -> PushSubscription:
    return PushSubscription(
        id=row.id,
        address=PushAddress(row.endpoint, row.public_key, row.auth_secret),
        user=user_of(row.user).principal,
        browser=row.browser,
        made_at=row.made_at,
        told_at=row.told_at,
        failures=row.failures,
        last_failure=row.last_failure,
    )
