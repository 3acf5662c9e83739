"""The control store as one object: people and their access, dashboards, rules, alerts, decisions and audit."""

from __future__ import annotations

from sqlalchemy import delete, text

from tocsin.model.clock import Clock, utc_now
from tocsin.storage.control.alerts import Alerts
from tocsin.storage.control.attempts import Attempts
from tocsin.storage.control.audit import Audit
from tocsin.storage.control.dashboards import Dashboards
from tocsin.storage.control.database import Database, connect
from tocsin.storage.control.deliveries import Deliveries
from tocsin.storage.control.error_decisions import ErrorDecisions
from tocsin.storage.control.errors import StoreUnusable
from tocsin.storage.control.holds import Holds
from tocsin.storage.control.keys import Keys
from tocsin.storage.control.leases import Leases
from tocsin.storage.control.migrate import migrate
from tocsin.storage.control.notifications import Notifications
from tocsin.storage.control.passwords import Passwords
from tocsin.storage.control.push import Push
from tocsin.storage.control.rules import Rules
from tocsin.storage.control.schema import SignInAttemptRow
from tocsin.storage.control.sessions import Sessions
from tocsin.storage.control.settings import AuthSettings, ControlSettings
from tocsin.storage.control.setup import Setup
from tocsin.storage.control.silences import Maintenances, Silences
from tocsin.storage.control.tokens import Tokens
from tocsin.storage.control.users import Users


class ControlStore:
    """Users, sessions, tokens, keys, links and audit over one database. Call it from threads."""

    def __init__(self, database: Database, auth: AuthSettings, passwords: Passwords) -> None:
        self._database = database
        self.audit = Audit(database)
        self.dashboards = Dashboards(database)
        self.errors = ErrorDecisions(database)
        self.holds = Holds(database)
        self.rules = Rules(database)
        self.deliveries = Deliveries(database)
        self.push = Push(database)
        self.users = Users(database)
        self.tokens = Tokens(database)
        self.keys = Keys(database)
        self.sessions = Sessions(database, auth, passwords)
        self.setup = Setup(database, auth, passwords, self.sessions)
        self.alerts = Alerts(database)
        self.silences = Silences(database)
        self.maintenances = Maintenances(database)
        self.notifications = Notifications(database)
        self.leases = Leases(database)
        self.attempts = Attempts(auth.attempts_per_minute, database.now)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        control: ControlSettings | None = None,
        auth: AuthSettings | None = None,
        passwords: Passwords | None = None,
        clock: Clock = utc_now,
    ) -> ControlStore:
        """The store behind `url` (sqlite:///path or postgresql://…), brought to this version's tables.

        Raises StoreUnusable when it cannot be reached or was written by a newer version.
        """
        database = connect(url, control or ControlSettings(), clock)
        try:
            migrate(database)
        except StoreUnusable:
            database.close()
            raise
        return cls(database, auth or AuthSettings(), passwords or Passwords())

    @property
    def is_shared(self) -> bool:
        """Whether other servers may be on it, too."""
        return not self._database.is_sqlite

    def check(self) -> None:
        """Asks the database for an answer. Raises sqlalchemy.exc.SQLAlchemyError when there is none."""
        with self._database.read() as session:
            session.execute(text("SELECT 1"))

    def prune(self) -> None:
        """Deletes what is over: sessions, links, sign-in attempts, old deliveries. Safe to run at any time."""
        self.sessions.prune()
        self.setup.prune()
        self.deliveries.prune()
        self.push.prune()
        with self._database.write() as session:
            session.execute(delete(SignInAttemptRow).where(SignInAttemptRow.forget_at <= self._database.now()))

    def close(self) -> None:
        self._database.close()
