"""Tallyroom under the isolation monitor: no false alarm in all of its traffic, and the planted bug named."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from demo.product.app import create_app
from demo.product.routes import reports
from demo.product.settings import ProductSettings
from demo.renderer import create_renderer
from demo.tenants import PASSWORD, user_email
from demo.traffic import Traffic, TrafficSettings
from demo.visitors import ACTIONS
from fastapi.testclient import TestClient
from tallyroom_user import User

from demo import faults
from tocsin.sdk import agents, catalogue, instrument
from tocsin.sdk.agent import close_agent
from tocsin.sdk.isolation import declared
from tocsin.sdk.isolation_findings import CROSSINGS, STATEMENTS, SUSPICIONS, findings
from tocsin.testing import capture_spans

# The socket needs a network.
ALL = tuple(action for action in ACTIONS if action.name != "notification socket")


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOCSIN_ENABLED", "true")
    monkeypatch.setenv("TOCSIN_ENDPOINT", "http://127.0.0.1:9")
    catalogue.want()
    findings.forget()
    yield
    faults.switch_all_off()
    for agent in agents.all_agents():
        close_agent(agent, 0.0)
    instrument.switch_all_off()
    declared.forget()


def families() -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    return {
        family.name: {labels: value for (_, labels), value in family.samples.items()}
        for agent in agents.all_agents()
        for family in agent.increase_families()
    }


def test_all_of_the_traffic_raises_no_alarm(tmp_path: Path) -> None:
    # The first data are nobody's work.
    before = asyncio.run(_send(1500, tmp_path))
    found = families()
    assert CROSSINGS not in found
    assert SUSPICIONS not in found
    by_result: Counter[str] = Counter()
    for labels, value in found[STATEMENTS].items():
        by_result[dict(labels)["result"]] += int(value - before.get(labels, 0))
    assert by_result["not_checked"] == 0, found[STATEMENTS]
    assert by_result["scoped"] + by_result["rows"] > 0.85 * (sum(by_result.values()) - by_result["exempt"])


async def _send(requests: int, data: Path) -> dict[tuple[tuple[str, str], ...], float]:
    """Gives the statements that were counted before."""
    renderer = httpx2.ASGITransport(app=create_renderer(latency_scale=0))
    client = httpx2.AsyncClient(mounts={"http://renderer": renderer}, trust_env=False)
    app = create_app(ProductSettings(data, renderer_url="http://renderer", latency_scale=0), renderer_client=client)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://t") as users:
        before = families().get(STATEMENTS, {})
        traffic = Traffic(users, TrafficSettings(seed=3), ALL)
        await traffic.send(requests)
        assert not traffic.unexpected
        return before


def test_the_forgotten_filter_is_named_with_its_line_and_both_tenants(tmp_path: Path) -> None:
    settings = ProductSettings(tmp_path, latency_scale=0, seed_size=0.3)
    with TestClient(create_app(settings)) as client, capture_spans() as captured:
        signed_in = client.post("/api/v1/auth/login", json={"email": user_email("acme", 1), "password": PASSWORD})
        user = User(client, signed_in.json()["token"])
        user.get("/api/v1/reports/recent")
        assert not [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
        faults.CROSS_TENANT_READ.switch(True)
        owners = {row["org_id"] for row in user.get("/api/v1/reports/recent").json()}
        found = [record for record in captured.records if record.event == "tocsin.isolation.crossing"]
    rows, first = inspect.getsourcelines(reports.recent_reports)
    line = next(number for number, row in enumerate(rows, first) if "session.execute" in row)
    assert {record.attributes["tocsin.isolation.row_tenant"] for record in found} == owners - {"acme"}
    assert owners - {"acme"}
    for record in found:
        said = record.attributes
        assert (said["tocsin.isolation.tenant"], said["http.route"]) == ("acme", "/api/v1/reports/recent")
        assert (said["code.file.path"].rpartition("/")[2], said["code.line.number"]) == ("reports.py", line)
        assert said["tocsin.isolation.cause"] == "no condition on reports.org_id in the statement"
