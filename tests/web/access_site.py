"""A server with only the access routes, on a fresh control store, and browsers that sign in to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from argon2.profiles import CHEAPEST
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from tocsin.config import load
from tocsin.model.access import Role
from tocsin.model.control import SYSTEM
from tocsin.storage.control import AuthSettings, ControlStore
from tocsin.storage.control.passwords import Passwords
from tocsin.web.access import add_access
from tocsin.web.auth import Anybody, Operator, Viewer
from tocsin.web.white_label import SiteSettings

PASSWORD = "correct horse battery"
ADMIN_TOKEN = "automation-of-acme"


class TurnedClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Site:
    app: FastAPI
    control: ControlStore
    clock: TurnedClock

    def visitor(self, base_url: str = "http://testserver") -> TestClient:
        return TestClient(self.app, base_url=base_url, follow_redirects=False)

    def person(self, email: str, role: Role, tenants: tuple[str, ...] = ()) -> None:
        user = self.control.users.create(SYSTEM, email=email, name="", role=role, tenants=tenants)
        link = self.control.setup.password_link(SYSTEM, user.id)
        self.control.setup.redeem(link.secret, PASSWORD, ip="", agent="")

    def signed_in(self, email: str, base_url: str = "http://testserver") -> TestClient:
        browser = self.visitor(base_url)
        assert sign_in(browser, email).status_code == 303
        return browser

    def automation(self, token: str = ADMIN_TOKEN) -> TestClient:
        client = self.visitor()
        client.headers["Authorization"] = f"Bearer {token}"
        return client


def open_site(folder: Path, environ: Mapping[str, str] | None = None) -> Site:
    """ada administers, otto operates, vera views, tom views acme only."""
    clock = TurnedClock()
    config = load(
        {"auth": AuthSettings, "site": SiteSettings}, None, environ or {"TOCSIN_ADMIN_TOKEN": ADMIN_TOKEN}, {}
    )
    quick = Passwords(CHEAPEST)
    control = ControlStore.open(
        f"sqlite:///{folder}/control.db", auth=config[AuthSettings], passwords=quick, clock=clock
    )
    app = FastAPI(openapi_url="/api/openapi.json")
    app.state.tocsin = SimpleNamespace(control=control, settings=config, local_token="tests-local")
    add_access(app)
    _add_probes(app)
    site = Site(app, control, clock)
    site.person("ada@acme.example", Role.ADMIN)
    site.person("otto@acme.example", Role.OPERATOR)
    site.person("vera@acme.example", Role.VIEWER)
    site.person("tom@acme.example", Role.TENANT_VIEWER, ("acme",))
    return site


def _add_probes(app: FastAPI) -> None:
    @app.get("/services")
    @app.get("/api/v1/services")
    def anybody(principal: Anybody) -> dict[str, object]:
        return {
            "name": principal.name,
            "acme": principal.scope.allows("acme"),
            "globex": principal.scope.allows("globex"),
        }

    @app.get("/api/v1/platform")
    def viewer(principal: Viewer) -> str:
        return principal.name

    @app.post("/api/v1/silences")
    def operator(principal: Operator) -> str:
        return principal.name


def sign_in(browser: TestClient, email: str, password: str = PASSWORD, next: str = "") -> Response:
    page = browser.get("/sign-in", params={"next": next})
    form = {"email": email, "password": password, "next": next, "csrf": csrf_in(page)}
    return browser.post("/sign-in", data=form)


def csrf_in(page: Response) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


def token_of(browser: TestClient) -> dict[str, str]:
    """The form field that proves a form of this browser's session."""
    import hmac

    session = browser.cookies["tocsin_session"]
    return {"csrf": hmac.digest(session.encode(), b"tocsin csrf v1", "sha256").hex()}
