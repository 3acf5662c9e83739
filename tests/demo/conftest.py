"""Tallyroom in the test's process: small data, no waiting, its renderer reached without a network."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from demo.faults import switch_all_off
from demo.product.app import create_app
from demo.product.settings import ProductSettings
from demo.renderer import create_renderer
from demo.tenants import PASSWORD, user_email
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tallyroom_user import SignIn, User

from tocsin.sdk import agents, instrument
from tocsin.sdk.agent import close_agent


@pytest.fixture(scope="module", autouse=True)
def _watched_for_the_module_alone() -> Iterator[None]:
    """Whatever a module switched on is off for those that come after it in this process."""
    yield
    for agent in agents.all_agents():
        close_agent(agent, 0.0)
    instrument.switch_all_off()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    # Only while the product is made: the tests that come after, of the SDK say, share this process. For them it also
    # stops with its module: its schedule would go on asking its database.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOCSIN_ENABLED", "false")
        settings = ProductSettings(
            tmp_path_factory.mktemp("tallyroom"), renderer_url="http://renderer", latency_scale=0, seed_size=0.12
        )
        renderer = httpx2.ASGITransport(app=create_renderer(latency_scale=0))
        return create_app(settings, httpx2.AsyncClient(mounts={"http://renderer": renderer}, trust_env=False))


@pytest.fixture(scope="module")
def running(product: FastAPI) -> Iterator[TestClient]:
    with TestClient(product, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(running: TestClient) -> Iterator[TestClient]:
    yield running
    switch_all_off()


@pytest.fixture
def sign_in(client: TestClient) -> SignIn:
    def sign_in(tenant: str, number: int = 1, email: str | None = None) -> User:
        credentials = {"email": email or user_email(tenant, number), "password": PASSWORD}
        answer = client.post("/api/v1/auth/login", json=credentials)
        assert answer.status_code == 200, answer.text
        return User(client, answer.json()["token"])

    return sign_in


@pytest.fixture
def acme(sign_in: SignIn) -> User:
    return sign_in("acme")


@pytest.fixture
def globex(sign_in: SignIn) -> User:
    return sign_in("globex")


@pytest.fixture
def staff(sign_in: SignIn) -> User:
    return sign_in("", email="staff@tallyroom.example")
