"""Tallyroom's users at work: requests at the rate of the time of day, each tenant on its own clock.

An open loop: requests come when they come, however slow the product answers, as real users do. Every draw comes from
one seeded generator, so that two runs ask for the same things.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
from httpx2.websockets import HTTPXWSException

from demo.tenants import TENANTS, Tenant
from demo.visitors import ACTIONS, Action, Call, Crowd, Visitor, learn, possible_action

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class TrafficSettings:
    """How much traffic, and how varied."""

    requests_per_second: float = 25.0
    """Average over a day, all tenants together; raise it for load."""
    daily_swing_ratio: float = 0.5
    """How far the afternoon is above the average and the night below it; 0 is a steady rate."""
    noise_ratio: float = 0.15
    """Spread of the random drift of the rate; 0 has none."""
    in_flight_limit: int = 150
    """Requests waiting for an answer at once; later arrivals are dropped and counted, should the product stall."""
    seed: int = 1
    """Another seed gives other users doing other things."""


def tenant_weight(tenant: Tenant, unix_seconds: float, daily_swing_ratio: float) -> float:
    """A tenant's share of the traffic now: its size, more in its own afternoon, less in its night.

    Relative to the other tenants' weights; large tenants weigh somewhat less than their seats say.
    """
    return math.pow(tenant.seats, 0.75) * day_factor(unix_seconds, tenant.utc_offset_hours, daily_swing_ratio)


def day_factor(unix_seconds: float, utc_offset_hours: float, swing_ratio: float) -> float:
    """The rate now over its average: a sine that peaks at 15:00 local time; its mean over a day is 1."""
    local_days = (unix_seconds + utc_offset_hours * 3600) / _DAY_SECONDS
    return 1 + swing_ratio * math.sin(2 * math.pi * (local_days - 9 / 24))


class Traffic:
    """Sends users' requests through `client`, whose base URL is the product; `answers` counts (action, status)."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        settings: TrafficSettings,
        actions: tuple[Action, ...] = ACTIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.unexpected: Counter[tuple[str, int]] = Counter()
        self.dropped = 0
        self.is_unreachable = False
        self._client = client
        self._settings = settings
        self._clock = clock
        self._actions = actions
        self._action_weights = [action.weight for action in actions]
        self._rng = random.Random(settings.seed)
        self._crowd = Crowd(self._rng)
        self._drift = 0.0
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, say: Callable[[str], None] = print) -> None:
        """Send requests until cancelled, at the settings' rate; says when the product goes away and comes back."""
        due = time.monotonic()
        reachable_before = True
        while True:
            due = max(due, time.monotonic() - 1.0) + self._gap_seconds(self._clock())
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._start_step()
            if self.is_unreachable == reachable_before:
                reachable_before = not self.is_unreachable
                say("traffic   the product answers again" if reachable_before else "traffic   the product is away")

    async def send(self, requests: int) -> None:
        """Send so many requests, one after the other, without pausing."""
        for _ in range(requests):
            await self.step(self._choose_tenant(self._clock()))

    async def step(self, tenant: Tenant) -> None:
        """One request by somebody of this tenant."""
        [wanted] = self._rng.choices(self._actions, self._action_weights)
        visitor = self._crowd.visitor(tenant, wanted.kind)
        action = possible_action(visitor, wanted)
        try:
            await self._do(visitor, action)
            self.is_unreachable = False
        except httpx2.ConnectError:
            self.is_unreachable = True
            self._count(action, 0)
        except (httpx2.TransportError, HTTPXWSException):
            self._count(action, 0)

    async def _do(self, visitor: Visitor, action: Action) -> None:
        call = action.call(visitor, self._rng)
        if call.method == "WEBSOCKET":
            await self._visit_socket(call)
            self._count(action, action.expected)
            return
        answer = await self._request(visitor, call)
        self._count(action, answer.status_code)
        if answer.status_code in (401, 403, 404) and answer.status_code != action.expected:
            # A new secret or new data: the product was started afresh, so start afresh as well.
            visitor.forget()
        elif answer.is_success and "json" in answer.headers.get("content-type", ""):
            learn(visitor, action, answer.json())

    async def _request(self, visitor: Visitor, call: Call) -> httpx2.Response:
        headers = {"authorization": f"Bearer {visitor.token}"} if visitor.token else {}
        return await self._client.request(call.method, call.path, json=call.json, files=call.files, headers=headers)

    async def _visit_socket(self, call: Call) -> None:
        url = str(self._client.base_url.join(call.path)).replace("http", "ws", 1)
        async with self._client.websocket(url) as socket:
            await socket.receive_text()
            await socket.send_text("seen")
            await socket.receive_text()

    def _count(self, action: Action, status: int) -> None:
        self.answers[action.name, status] += 1
        if status != action.expected:
            self.unexpected[action.name, status] += 1

    def _start_step(self) -> None:
        if len(self._in_flight) >= self._settings.in_flight_limit:
            self.dropped += 1
            return
        task = asyncio.create_task(self.step(self._choose_tenant(self._clock())))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    def _choose_tenant(self, unix_seconds: float) -> Tenant:
        swing = self._settings.daily_swing_ratio
        weights = [tenant_weight(tenant, unix_seconds, swing) for tenant in TENANTS]
        return self._rng.choices(TENANTS, weights)[0]

    def _gap_seconds(self, unix_seconds: float) -> float:
        # While nobody answers, users try again only now and then.
        if self.is_unreachable:
            return 0.5
        self._drift = 0.98 * self._drift + self._rng.gauss(0, self._settings.noise_ratio * 0.2)
        rate = self._settings.requests_per_second * self._day_factor(unix_seconds) * math.exp(self._drift)
        return self._rng.expovariate(rate)

    def _day_factor(self, unix_seconds: float) -> float:
        swing = self._settings.daily_swing_ratio
        now = sum(tenant_weight(tenant, unix_seconds, swing) for tenant in TENANTS)
        return now / sum(tenant_weight(tenant, 0, 0) for tenant in TENANTS)


async def send_traffic(product_url: str, settings: TrafficSettings) -> None:
    """Traffic on the product at this URL, until cancelled; it may stop and start again meanwhile."""
    limits = httpx2.Limits(max_connections=settings.in_flight_limit, max_keepalive_connections=20)
    async with httpx2.AsyncClient(base_url=product_url, timeout=10.0, limits=limits, trust_env=False) as client:
        await Traffic(client, settings).run()
