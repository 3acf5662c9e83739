from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.sdk import agents
from tocsin.sdk.allocations import BLOCKS, KEPT, MEASURED, PEAK
from tocsin.sdk.exchange import Exchange, MeteredExchange
from tocsin.sdk.settings import SettingsError
from tocsin.testing import capture_spans

MEGABYTE = 1024 * 1024
ON_LINUX = sys.platform == "linux"


def product(**settings: Any) -> FastAPI:
    app = FastAPI()
    kept: list[object] = []

    @app.get("/large/{size}")
    async def large(size: int) -> int:
        return len(bytearray(b"x" * size * MEGABYTE))

    @app.get("/keeps")
    async def keeps() -> int:
        kept.extend([object() for _ in range(200_000)])
        return len(kept)

    @app.get("/small")
    async def small() -> str:
        return "ok"

    @app.get("/waits")
    async def waits() -> str:
        await asyncio.sleep(0.01)
        return "ok"

    tocsin.instrument(app, tenant="header:x-tenant-id", **settings)
    return app


def counted() -> dict[tuple[str, str, str], float]:
    """What was counted by (name, route, tenant)."""
    [agent] = agents.all_agents()
    numbers = agent.increases.waiting().numbers
    return {(key.name, dict(key.labels)["route"], key.tenant): value for key, value in numbers.items()}


@pytest.mark.skipif(not ON_LINUX, reason="only Linux tells the peak")
def test_a_request_that_needs_much_memory_for_a_moment_is_told_from_one_that_keeps_it() -> None:
    app = product(allocation_ratio=1.0)
    client = TestClient(app, headers={"x-tenant-id": "acme"})
    with capture_spans() as captured:
        client.get("/small")
        client.get("/large/64")
        client.get("/keeps")
    found = counted()
    assert found[MEASURED, "/large/{size}", "acme"] == 1
    assert 100 * MEGABYTE < found[PEAK, "/large/{size}", "acme"] < 160 * MEGABYTE
    assert found[KEPT, "/large/{size}", "acme"] < 10 * MEGABYTE
    assert found[PEAK, "/small", "acme"] < 10 * MEGABYTE
    assert 190_000 < found[BLOCKS, "/keeps", "acme"] < 220_000
    assert found[BLOCKS, "/large/{size}", "acme"] < 20_000
    attributes = captured.find("GET /large/{size}").attributes
    assert attributes["tocsin.memory.peak_bytes"] == found[PEAK, "/large/{size}", "acme"]
    assert attributes["tocsin.memory.kept_blocks"] == found[BLOCKS, "/large/{size}", "acme"]


async def ask(app: Any, path: str) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "http_version": "1.1", "headers": [], "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)


def test_requests_under_way_together_are_not_measured() -> None:
    app = product(allocation_ratio=1.0)

    async def eight() -> None:
        await asyncio.gather(*[ask(app, "/waits") for _ in range(8)])

    with capture_spans():
        asyncio.run(eight())
        assert not counted()
        asyncio.run(ask(app, "/waits"))
        assert counted()[MEASURED, "/waits", ""] == 1


def test_without_being_asked_for_nothing_is_measured_and_requests_are_of_the_usual_kind() -> None:
    app = product()
    with capture_spans() as captured:
        TestClient(app).get("/small")
        assert not counted()
    assert not [name for name in captured.find("GET /small").attributes if name.startswith("tocsin.memory")]
    [agent] = agents.all_agents()
    assert Counter(agent.next_kind() for _ in range(64)) == {Exchange: 63, MeteredExchange: 1}


def test_the_share_is_spread_over_the_requests() -> None:
    product(allocation_ratio=0.25)
    [agent] = agents.all_agents()
    kinds = [agent.next_kind().__name__ for _ in range(64)]
    places = [place for place, kind in enumerate(kinds) if kind == "AllocationExchange"]
    assert len(places) == 16
    assert {after - before for before, after in itertools.pairwise(places)} <= {3, 4, 5}


def test_a_share_beyond_all_requests_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"write 0\.01 for one in a hundred"):
        product(allocation_ratio=2.0)
