"""The traffic does what is declared, at the rate of the hour, and outlives the product."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from demo.product.app import create_app
from demo.product.settings import ProductSettings
from demo.tenants import TENANTS
from demo.traffic import Traffic, TrafficSettings, day_factor, tenant_weight
from demo.visitors import ACTIONS, LOGIN, STAFF_EMAIL, Crowd, Visitor, learn, possible_action

from waiting import PATIENCE_SECONDS

HOUR_SECONDS = 3600.0
BY_NAME = {action.name: action for action in ACTIONS}
# The socket needs a network, and without it a renderer is missing.
IN_PROCESS = tuple(action for action in ACTIONS if action.name not in ("notification socket", "render invoice"))


def test_day_averages_to_one_and_peaks_in_the_afternoon() -> None:
    factors = [day_factor(hour * HOUR_SECONDS, 0, 0.5) for hour in range(24)]
    assert sum(factors) / 24 == pytest.approx(1)
    assert factors.index(max(factors)) == 15
    assert max(factors) == pytest.approx(1.5)


def test_tenants_weigh_by_size_and_by_their_own_clock() -> None:
    weights = [tenant_weight(tenant, 0, daily_swing_ratio=0) for tenant in TENANTS]
    assert weights == sorted(weights, reverse=True)
    tyrell = next(tenant for tenant in TENANTS if tenant.slug == "tyrell")
    afternoon_in_tokyo = 6 * HOUR_SECONDS
    assert tenant_weight(tyrell, afternoon_in_tokyo, 0.5) == pytest.approx(1.5 * tenant_weight(tyrell, 0, 0))


def test_visitor_does_first_things_first() -> None:
    visitor = Visitor("user001@acme.example", "acme")
    done = []
    while (action := possible_action(visitor, BY_NAME["check export"])).name != "check export":
        done.append(action.name)
        learn(visitor, action, _ANSWERS[action.name])
    assert done == ["login", "list projects", "show project", "export report"]


_ANSWERS = {
    "login": {"token": "t"},
    "list projects": [{"id": 4}],
    "show project": {"id": 4, "reports": [{"id": 9}]},
    "export report": {"job_id": 1},
}


def test_traffic_asks_for_the_declared_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_ENABLED", "false")
    traffic = asyncio.run(_send(700, tmp_path))
    assert traffic.unexpected == Counter()
    done = Counter(dict.fromkeys(BY_NAME, 0))
    for (name, _), count in traffic.answers.items():
        done[name] += count
    assert done.total() == 700
    total_weight = sum(action.weight for action in IN_PROCESS)
    for action in IN_PROCESS:
        # Actions that need nothing but a token are done as declared; the others give way to first things.
        if action.need in ("nothing", "token") and action.weight >= 5:
            assert done[action.name] / 700 == pytest.approx(action.weight / total_weight, rel=0.6), action.name
    assert {401, 404, 422, 200, 201, 202} <= {status for _, status in traffic.answers}
    assert 0.02 < done[LOGIN.name] / 700 < 0.15


async def _send(requests: int, folder: Path) -> Traffic:
    app = create_app(ProductSettings(folder, latency_scale=0))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://product") as client,
    ):
        traffic = Traffic(client, TrafficSettings(), IN_PROCESS, clock=lambda: 0.0)
        await traffic.send(requests)
    return traffic


def test_same_seed_gives_the_same_crowd() -> None:
    import random

    crowds = [Crowd(random.Random(3)) for _ in range(2)]
    emails = [[crowd.visitor(tenant, "anybody").email for tenant in TENANTS] for crowd in crowds]
    assert emails[0] == emails[1]
    assert crowds[0].visitor(TENANTS[0], "staff").email == STAFF_EMAIL


def test_traffic_waits_for_an_absent_product_and_goes_on_when_it_is_back() -> None:
    asked = itertools.count()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if next(asked) < 1:
            raise httpx2.ConnectError("refused", request=request)
        return httpx2.Response(404)

    said = _run_until(answer, lambda said: len(said) == 2)
    assert said == ["traffic   the product is away", "traffic   the product answers again"]


def test_arrivals_beyond_the_limit_are_dropped_and_counted() -> None:
    async def stall(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(30)
        return httpx2.Response(200)

    async def drop() -> int:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(stall), base_url="http://product") as client:
            traffic = Traffic(client, TrafficSettings(requests_per_second=2000, in_flight_limit=3))
            running = asyncio.create_task(traffic.run())
            while traffic.dropped < 5:  # noqa: ASYNC110  the traffic offers no event to wait for
                await asyncio.sleep(0.01)
            running.cancel()
            return traffic.dropped

    assert asyncio.run(asyncio.wait_for(drop(), PATIENCE_SECONDS)) >= 5


def _run_until(
    answer: Callable[[httpx2.Request], httpx2.Response], is_enough: Callable[[list[str]], bool]
) -> list[str]:
    async def run() -> list[str]:
        said: list[str] = []
        enough = asyncio.Event()

        def say(line: str) -> None:
            said.append(line)
            if is_enough(said):
                enough.set()

        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://product") as client:
            running = asyncio.create_task(Traffic(client, TrafficSettings(requests_per_second=500)).run(say))
            await asyncio.wait_for(enough.wait(), PATIENCE_SECONDS)
            running.cancel()
        return said

    return _finish(run())


def _finish(running: Awaitable[list[str]]) -> list[str]:
    async def wait() -> list[str]:
        return await running

    return asyncio.run(wait())
