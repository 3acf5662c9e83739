"""What happens in the history of `bench.history`: incidents with their labels, and harmless things that tempt rules.

A happening changes the state of the product (`State`) over some steps; the numbers are drawn from the state afterwards.
`SUBJECTS` says of each incident what it shows in: a rule about something else that rings at that time is wrong.
Lengths and strengths are drawn from ranges that were written down before the first replay, with no look at the rules'
thresholds but those of duration that a requirement names (a hiccup is shorter than a minute).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

STEP_MS = 15_000
MINUTE, HOUR, DAY = 4, 240, 5760  # in steps
JOBS = {"shop": 4, "billing": 2, "exports": 1}
"""Services and their instances; `exports` gets three requests a minute."""
NODES = ("node-1", "node-2")
TENANTS = (
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "stark",
    "wayne",
    "tyrell",
    "wonka",
    "dunder",
    "pied",
    "tiny",
)
SHARES = np.array([0.31, 0.2, 0.14, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02, 0.015, 0.003, 0.002])

SUBJECTS = {
    "error spike": {"errors"}, "slow burn": {"errors"}, "tenant errors": {"errors"}, "slow": {"latency"},
    "outage": {"up"}, "instance down": {"up"}, "database down": {"database", "errors"},
    "pool exhausted": {"pool", "latency"}, "disk filling": {"disk"}, "brute force": {"sign-ins"},
    "stuffing": {"sign-ins"}, "restart loop": {"restarts", "up"}, "job stuck": {"schedule"},
    "night failed": {"jobs"}, "mail failing": {"jobs"}, "crossing": {"isolation"}, "monitoring stuck": {"monitoring"},
    "monitoring down": {"monitoring"}, "paging lost": {"monitoring"},
    "tiny tenant errors": {"errors"}, "a bit slow": {"latency"},
}  # fmt: skip
"""Incidents; what is not here is harmless."""
MINOR = {"tiny tenant errors", "a bit slow"}
"""Incidents for which nobody has to be woken: a critical rule may be silent."""


@dataclass(frozen=True, slots=True)
class Happening:
    """start, end: steps of the history. strength: 0-1 within what its kind does. where: an instance's number, or -1."""

    kind: str
    start: int
    end: int
    job: str = ""
    tenant: str = ""
    strength: float = 0.5
    where: int = -1

    @property
    def is_incident(self) -> bool:
        return self.kind in SUBJECTS

    @property
    def is_critical(self) -> bool:
        return self.is_incident and self.kind not in MINOR


@dataclass(slots=True)
class Service:
    """One service over the steps. error: (tenants, steps); up, seen: (instances, steps); the others (steps,)."""

    steps: int
    instances: int
    traffic: Floats = field(init=False)
    error: Floats = field(init=False)
    client_error: Floats = field(init=False)
    slow_factor: Floats = field(init=False)
    slow_share: Floats = field(init=False)
    up: Flags = field(init=False)
    seen: Flags = field(init=False)
    reached: Flags = field(init=False)
    unconnected: Floats = field(init=False)
    pool: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.traffic, self.slow_factor = np.ones(self.steps), np.ones(self.steps)
        self.slow_share, self.unconnected, self.pool = (np.zeros(self.steps) for _ in range(3))
        self.client_error = np.full(self.steps, 0.02)
        self.error = np.zeros((len(TENANTS), self.steps))
        self.up = np.ones((self.instances, self.steps), dtype=bool)
        self.seen, self.reached = self.up.copy(), np.ones(self.steps, dtype=bool)


@dataclass(slots=True)
class State:
    """The product over the steps.

    sign_ins: failed ones a step beside the usual; failing: the share of the usual that fail.
    """

    steps: int
    services: dict[str, Service] = field(init=False)
    database_up: Flags = field(init=False)
    monitoring_up: Flags = field(init=False)
    disk: Floats = field(init=False)
    sign_ins: Floats = field(init=False)
    failing: Floats = field(init=False)
    spool_seconds: Floats = field(init=False)
    writer_fails: Flags = field(init=False)
    mail_error: Floats = field(init=False)
    sync_stuck: Flags = field(init=False)
    paging_lost: Flags = field(init=False)
    night_fails: Flags = field(init=False)
    crossings: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services = {job: Service(self.steps, count) for job, count in JOBS.items()}
        self.database_up, self.monitoring_up = (np.ones(self.steps, dtype=bool) for _ in range(2))
        self.writer_fails, self.sync_stuck = (np.zeros(self.steps, dtype=bool) for _ in range(2))
        self.night_fails, self.paging_lost = (np.zeros(self.steps, dtype=bool) for _ in range(2))
        self.disk = np.zeros((len(NODES), self.steps))
        self.sign_ins, self.spool_seconds = np.zeros(self.steps), np.zeros(self.steps)
        self.failing = np.full(self.steps, 0.04)
        self.mail_error = np.full((len(TENANTS), self.steps), 0.01)


def apply(state: State, one: Happening, random: np.random.Generator) -> None:
    """Changes the state as the happening does."""
    span, strength = slice(one.start, one.end), one.strength
    if one.job:
        _in_service(state, state.services[one.job], one, random)
    if one.kind == "database down":
        state.database_up[span] = False
        for job in ("shop", "billing"):
            state.services[job].error[:, span] += 0.7 + 0.25 * strength
            state.services[job].unconnected[span] = 0.8
    elif one.kind == "database hiccup":
        state.database_up[span] = False
        for job in ("shop", "billing"):
            state.services[job].unconnected[span] = 0.5
            state.services[job].error[:, span] += 0.4
    elif one.kind == "network hiccup":  # who asks does not get through; the processes live
        for service in state.services.values():
            service.reached[span] = False
        state.database_up[span] = False
    elif one.kind == "disk filling":
        state.disk[one.where, span] += np.linspace(0, 0.4, one.end - one.start)
    elif one.kind == "compaction":
        state.disk[one.where, span] += 0.24 + 0.1 * strength
    elif one.kind == "brute force":
        state.sign_ins[span] += 8 + 40 * strength
    elif one.kind == "stuffing":
        state.sign_ins[span] += 0.6 + 0.4 * strength
    elif one.kind == "passwords expire":
        state.failing[span] = 0.12 + 0.08 * strength
    elif one.kind == "old password":
        state.sign_ins[span] += 0.1 + 0.08 * strength
    elif one.kind == "job stuck":
        state.sync_stuck[span] = True
    elif one.kind == "night failed":
        state.night_fails[span] = True
    elif one.kind == "mail failing":
        state.mail_error[TENANTS.index(one.tenant), span] = 1.0
    elif one.kind == "crossing":
        state.crossings += [(int(at), one.tenant) for at in random.integers(one.start, one.end, 12)]
    elif one.kind == "monitoring stuck":
        state.spool_seconds[span] += np.arange(one.end - one.start) * 15.0
        state.writer_fails[span] = True
    elif one.kind == "monitoring late":
        state.spool_seconds[span] += 10 + 35 * strength
    elif one.kind in ("monitoring restart", "monitoring down"):
        state.monitoring_up[span] = False
    elif one.kind in ("paging lost", "paging lost once"):
        state.paging_lost[span] = True


def _in_service(state: State, service: Service, one: Happening, random: np.random.Generator) -> None:
    """What happens in one service."""
    span, strength = slice(one.start, one.end), one.strength
    tenants = slice(None) if not one.tenant else TENANTS.index(one.tenant)
    if one.kind == "error spike":
        service.error[tenants, span] += 0.15 + 0.6 * strength
    elif one.kind == "slow burn":
        service.error[tenants, span] += 0.025 + 0.04 * strength
    elif one.kind in ("tenant errors", "tiny tenant errors", "one in three fails"):
        service.error[tenants, span] += 0.33 if one.kind == "one in three fails" else 0.6 + 0.35 * strength
    elif one.kind == "blip":
        service.error[tenants, span] += 0.3 + 0.7 * strength
    elif one.kind == "a client retries":
        service.error[tenants, span] += 0.5
    elif one.kind == "slow":
        service.slow_factor[span], service.slow_share[span] = 20 + 60 * strength, 0.4 + 0.5 * strength
    elif one.kind == "a bit slow":
        service.slow_factor[span], service.slow_share[span] = 2.5, 0.8
    elif one.kind == "night":
        service.slow_factor[span], service.slow_share[span] = 3 + 4 * strength, 0.35
        service.pool[span] += 0.25 + 0.2 * strength
    elif one.kind == "campaign":
        service.traffic[span] *= 1.5 + strength
        service.slow_factor[span], service.slow_share[span] = 1.5, 1.0
    elif one.kind == "scan":
        service.client_error[span] = 0.6
        service.traffic[span] *= 2
    elif one.kind == "pool exhausted":
        service.pool[span] = 1.0
        service.slow_factor[span], service.slow_share[span] = 15 + 40 * strength, 0.6
        service.error[tenants, span] += 0.01
    elif one.kind == "pool spike":
        service.pool[span] += 0.6
    elif one.kind == "outage":
        service.up[:, span] = False
    elif one.kind in ("instance down", "restart"):
        service.up[one.where, span] = False
    elif one.kind == "scrape gap":
        service.seen[one.where, span] = False
    elif one.kind == "restart loop":
        for at in range(one.start, one.end, 6 + int(4 * strength)):
            service.up[one.where, at : min(at + 2, one.end)] = False
    elif one.kind == "deploy":
        _deploy(service, one, random)


def _deploy(service: Service, one: Happening, random: np.random.Generator) -> None:
    """One instance after the other is away for up to 45 seconds; a few requests fail, and caches are cold."""
    at = one.start
    for instance in range(service.instances):
        away = int(random.integers(1, 4))
        service.up[instance, at : at + away] = False
        service.error[:, at : at + away] += 0.005 + 0.03 * one.strength
        at += away + int(random.integers(1, 5))
    service.slow_factor[one.start : at + 8], service.slow_share[one.start : at + 8] = 2.0, 0.5


# kind: how many a week, shortest and longest in minutes, the services it may be in.
A_WEEK = {
    "error spike": (1.7, 6, 40, ("shop", "billing")), "slow": (1.4, 10, 60, ("shop", "billing")),
    "slow burn": (1.0, 60, 180, ("shop", "billing")), "tenant errors": (1.0, 20, 60, ("shop", "billing")),
    "outage": (0.7, 4, 20, ("shop", "billing")), "instance down": (1.0, 5, 30, ("shop", "billing")),
    "database down": (0.7, 3, 12, ("",)), "pool exhausted": (1.0, 8, 40, ("shop", "billing")),
    "disk filling": (0.7, 120, 300, ("",)), "brute force": (1.0, 10, 40, ("",)), "stuffing": (0.7, 120, 240, ("",)),
    "restart loop": (0.7, 15, 40, ("shop", "billing")), "job stuck": (0.35, 180, 360, ("",)),
    "mail failing": (1.0, 40, 120, ("",)), "crossing": (0.7, 5, 30, ("",)), "monitoring stuck": (0.7, 5, 20, ("",)),
    "monitoring down": (0.7, 3, 15, ("",)), "paging lost": (0.35, 25, 60, ("",)),
    "tiny tenant errors": (1.0, 20, 90, ("shop", "billing")), "a bit slow": (1.0, 20, 60, ("shop", "billing")),
}  # fmt: skip
HARMLESS_A_WEEK = {
    "blip": (3.5, 0.25, 0.75, ("shop", "billing")), "database hiccup": (1.0, 0.25, 0.5, ("",)),
    "network hiccup": (2.3, 0.25, 0.75, ("",)), "scrape gap": (2.3, 2, 8, ("shop", "billing")),
    "restart": (3.5, 0.25, 0.75, ("shop", "billing")), "campaign": (1.0, 20, 60, ("shop",)),
    "scan": (1.5, 5, 30, ("shop", "billing")), "pool spike": (3.5, 0.25, 1.0, ("shop", "billing")),
    "a client retries": (3.5, 1, 2, ("exports",)), "compaction": (1.0, 2, 4, ("",)),
    "passwords expire": (0.5, 60, 180, ("",)), "old password": (0.5, 300, 900, ("",)),
    "monitoring late": (7.0, 0.5, 4, ("",)), "monitoring restart": (1.0, 0.25, 0.75, ("",)),
    "paging lost once": (0.5, 5, 5, ("",)),
}  # fmt: skip


def planned(days: int, random: np.random.Generator, first_day: int = 1) -> list[Happening]:
    """What happens on the days from `first_day` on: incidents never together, harmless things whenever they do."""
    found: list[Happening] = [Happening("one in three fails", 0, (first_day + days) * DAY, "shop", "tiny")]
    taken = np.zeros((first_day + days) * DAY, dtype=bool)
    for kind, (a_week, shortest, longest, jobs) in (A_WEEK | HARMLESS_A_WEEK).items():
        for _ in range(max(1, round(a_week * days / 7)) if kind in A_WEEK else random.poisson(a_week * days / 7)):
            steps = max(1, round(float(random.uniform(shortest, longest)) * MINUTE))
            # Harmless things stay out of incidents and their shadow, so that what rings for them is theirs.
            start = _free_start(taken, steps, first_day * DAY, random)
            found.append(_one(kind, start, start + steps, str(random.choice(jobs)), random))
            if kind in A_WEEK:
                taken[max(0, start - HOUR) : start + steps + 2 * HOUR] = True
    if days >= 7:
        night = int(random.integers(first_day, first_day + days - 1)) * DAY + 3 * HOUR
        found.append(Happening("night failed", night, night + DAY))
    return sorted([*found, *_every_day(first_day, days, random)], key=lambda one: one.start)


def _one(kind: str, start: int, end: int, job: str, random: np.random.Generator) -> Happening:
    tenant = ""
    if kind in ("tenant errors", "crossing"):
        tenant = str(random.choice(TENANTS[:5]))
    elif kind == "tiny tenant errors":
        tenant = str(random.choice(TENANTS[-4:-1]))
    elif kind == "mail failing":
        tenant = str(random.choice(TENANTS))
    where = int(random.integers(0, JOBS.get(job, len(NODES))))
    return Happening(kind, start, end, job, tenant, float(random.random()), where)


def _free_start(taken: Flags, steps: int, first: int, random: np.random.Generator) -> int:
    """A start with an hour without another incident before it, and two behind the other's end."""
    for _ in range(2000):
        start = int(random.integers(first, len(taken) - steps))
        if not taken[start : start + steps].any():
            return start
    raise SystemExit("cannot place all incidents: there are too many for the days; give more --days")


def _every_day(first_day: int, days: int, random: np.random.Generator) -> Iterator[Happening]:
    for day in range(first_day + days):
        night = day * DAY + 2 * HOUR
        for job in ("shop", "billing"):
            yield Happening("night", night, night + 90 * MINUTE, job, "", float(random.random()))
        for job in JOBS if day % 7 < 5 else ():
            for _ in range(int(random.integers(0, 3))):
                start = day * DAY + 9 * HOUR + int(random.integers(0, 8 * HOUR))
                yield Happening("deploy", start, start + 4 * MINUTE, job, "", float(random.random()))
