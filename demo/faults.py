"""Faults to switch on while Tallyroom runs, each a bug that real products ship.

A fault lives in the product's own code: `if SLOW_QUERY.bites(org_id): <the buggy path>`. Here is only its switch, its
name, what it does and what a monitor should make of it. Like a bug in a release, a fault belongs to the process.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

EVERYBODY: Final = "*"


class FaultError(LookupError):
    """No fault has this name."""


@dataclass(frozen=True)
class FaultState:
    """What `GET /_demo/faults` says of one fault; `tenants` is empty when it is off and `["*"]` when it hits all."""

    name: str
    description: str
    watch_for: str
    on: bool
    tenants: list[str]


class Fault:
    """One bug that can be switched on for everybody or for one tenant."""

    name: ClassVar[str]
    description: ClassVar[str]
    watch_for: ClassVar[str]
    default_tenant: ClassVar[str] = EVERYBODY

    def __init__(self) -> None:
        self._tenants: set[str] = set()

    def switch(self, on: bool, tenant: str | None = None) -> FaultState:
        """Switch for one tenant, or, without one, for the default; off without a tenant is off altogether."""
        if on:
            self._tenants.add(tenant or self.default_tenant)
        elif tenant:
            self._tenants.discard(tenant)
        else:
            self._tenants.clear()
        if not self._tenants:
            self.heal()
        return self.state()

    def bites(self, tenant: str) -> bool:
        """Whether the bug is there for this tenant."""
        return bool(self._tenants) and (EVERYBODY in self._tenants or tenant in self._tenants)

    def state(self) -> FaultState:
        """The switch as it stands."""
        return FaultState(self.name, self.description, self.watch_for, bool(self._tenants), sorted(self._tenants))

    def heal(self) -> None:
        """Undo what the bug left behind; called when it is off for everybody."""


class SlowQuery(Fault):
    name = "slow-query"
    description = (
        "Reports count entries with functions around the columns, so no index serves and the whole ledger is read."
    )
    watch_for = "GET …/reports/{report_id} from about 40 to 170 ms, nearly all of it in one statement; exports as well."


class NPlusOne(Fault):
    name = "n+1"
    description = "The project list loads each project's owner and reports one by one instead of together."
    watch_for = "GET /api/v1/projects slower the larger the tenant: dozens of equal statements in one trace."


class ErrorsForOneTenant(Fault):
    name = "errors-for-one-tenant"
    description = "One tenant's exchange rates were imported without its own currency, so its reports raise."
    watch_for = "MissingRateError (500) on reports, exports, dashboard and ledger of that tenant; nobody else is hurt."
    default_tenant = "acme"


class Leak(Fault):
    """Keeps what it is given until it is healed or `LIMIT_BYTES` are kept, so that a laptop survives it."""

    name = "leak"
    description = "Every report that is opened stays in an undo history that nobody empties."
    watch_for = "Resident memory of the product grows steadily with its traffic, latency unchanged; stops at 400 MB."
    LIMIT_BYTES: ClassVar[int] = 400_000_000

    def __init__(self) -> None:
        super().__init__()
        self._history: list[bytes] = []
        self.kept_bytes = 0

    def keep(self, document: bytes) -> None:
        if self.kept_bytes < self.LIMIT_BYTES:
            self._history.append(document)
            self.kept_bytes += len(document)

    def heal(self) -> None:
        self._history.clear()
        self.kept_bytes = 0


class DependencyDown(Fault):
    name = "dependency-down"
    description = "The invoice rendering service's address points to a port where nobody listens."
    watch_for = "502 on POST …/invoices/{invoice_id}/render with ConnectError; other endpoints are fine."


class BlockingCall(Fault):
    name = "blocking-call"
    description = "The notification list sleeps in the event loop for 300 ms."
    watch_for = "Every endpoint's p95 rises together, event loop lag up to 300 ms, CPU idle."


class Closable(Protocol):
    """What can be kept open for too long, such as a database session."""

    def close(self) -> None: ...


class PoolExhaustion(Fault):
    """Holds sessions until `HOLD_SECONDS` have passed, as a database that ends idle transactions would."""

    name = "pool-exhaustion"
    description = "A search forgets to give its database connection back for 15 s."
    watch_for = "Endpoints that use the database wait 1.5 s for the pool, then 500 with sqlalchemy TimeoutError."
    HOLD_SECONDS: ClassVar[float] = 15.0

    def __init__(self) -> None:
        super().__init__()
        self._held: list[tuple[float, Closable]] = []
        self._lock = threading.Lock()

    def hold(self, session: Closable) -> None:
        """Keep the session open; a timer closes it."""
        with self._lock:
            self._held.append((time.monotonic() + self.HOLD_SECONDS, session))
        timer = threading.Timer(self.HOLD_SECONDS, self._close_expired)
        timer.daemon = True
        timer.start()

    def heal(self) -> None:
        self._close_until(float("inf"))

    def _close_expired(self) -> None:
        self._close_until(time.monotonic())

    def _close_until(self, deadline: float) -> None:
        with self._lock:
            expired = [session for until, session in self._held if until <= deadline]
            self._held = [(until, session) for until, session in self._held if until > deadline]
        for session in expired:
            session.close()


class CacheCold(Fault):
    name = "cache-cold"
    description = "The dashboard's cache key carries the current time, so nothing is ever found in the cache."
    watch_for = "GET /api/v1/dashboard from a few ms to about 100 ms and one aggregate statement in every request."


class CrossTenantRead(Fault):
    name = "cross-tenant-read"
    description = "The list of recent reports forgets its tenant filter."
    watch_for = (
        "GET /api/v1/reports/recent answers 200 with rows of other tenants: Isolation names the statement, its line "
        "and both tenants."
    )


class JobFailing(Fault):
    name = "job-failing"
    description = "The folder that exports and the monthly statements are written to is gone."
    watch_for = (
        "POST …/exports still answers 202; the jobs exports.run_export and monthly-statements fail with "
        "FileNotFoundError, run after run."
    )


class SlowFlag(Fault):
    name = "flag-slows"
    description = "The flag compact-projects is switched on, and the project list in its new form is slower."
    watch_for = "GET /api/v1/projects: p95 about 40 % up for that tenant from the moment its flag was switched on."
    default_tenant = "acme"


class NoisyNeighbour(Fault):
    name = "noisy-neighbour"
    description = (
        "One tenant's dashboard asks for the balance after each of its latest entries, each summed from the first one "
        "on, with nine of the ten connections at once."
    )
    watch_for = (
        "Everybody's requests wait for the database, up to a second: Database names the tenant, with nearly all of its "
        "time at a few % of the requests, and so do the pages of the tenants that wait."
    )
    default_tenant = "initech"


SLOW_QUERY = SlowQuery()
N_PLUS_ONE = NPlusOne()
ERRORS_FOR_ONE_TENANT = ErrorsForOneTenant()
LEAK = Leak()
DEPENDENCY_DOWN = DependencyDown()
BLOCKING_CALL = BlockingCall()
POOL_EXHAUSTION = PoolExhaustion()
CACHE_COLD = CacheCold()
CROSS_TENANT_READ = CrossTenantRead()
JOB_FAILING = JobFailing()
SLOW_FLAG = SlowFlag()
NOISY_NEIGHBOUR = NoisyNeighbour()

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault
    for fault in (
        SLOW_QUERY,
        N_PLUS_ONE,
        ERRORS_FOR_ONE_TENANT,
        LEAK,
        DEPENDENCY_DOWN,
        BLOCKING_CALL,
        POOL_EXHAUSTION,
        CACHE_COLD,
        CROSS_TENANT_READ,
        JOB_FAILING,
        SLOW_FLAG,
        NOISY_NEIGHBOUR,
    )
}


def find_fault(name: str) -> Fault:
    """The fault of that name. Raises FaultError naming those there are."""
    try:
        return FAULTS[name]
    except KeyError:
        raise FaultError(f"cannot find fault {name!r}: there is none; choose one of {', '.join(FAULTS)}") from None


def switch_all_off() -> None:
    """The product as it was released, without any fault."""
    for fault in FAULTS.values():
        fault.switch(on=False)
