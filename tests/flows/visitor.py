"""A browser without a screen: keeps cookies, fills in forms, follows links."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from server_process import ServerProcess

PASSWORD = "correct horse battery"


def links(page: httpx2.Response) -> list[str]:
    """Where the links of a page lead, in its order."""
    return [html.unescape(href) for href in re.findall(r'<a\b[^>]*?href="([^"]+)"', page.text)]


def csrf_in(page: httpx2.Response) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
    assert found, page.text[:2000]
    return found[1]


def submit(browser: httpx2.Client, path: str, fields: dict[str, Any], at: str = "") -> httpx2.Response:
    """Open the page (at `at` if the form goes elsewhere) and send its form with these fields."""
    return browser.post(path, data=fields | {"csrf": csrf_in(browser.get(at or path))})


@contextmanager
def first_administrator(server: ServerProcess, email: str) -> Iterator[httpx2.Client]:
    """The browser of the first administrator, who followed the first start's link."""
    with server.client(token="") as browser:
        path = server.setup_link.removeprefix(server.url)
        answer = submit(browser, path, {"email": email, "name": "Ada", "password": PASSWORD})
        assert (answer.status_code, answer.headers.get("location")) == (303, "/"), answer.text[:2000]
        yield browser


@contextmanager
def person(server: ServerProcess, email: str, role: str, *tenants: str) -> Iterator[httpx2.Client]:
    """The browser of a new user, who set a password and is signed in."""
    with server.client() as admin:
        made = admin.post("/api/v1/users", json={"email": email, "role": role, "tenants": list(tenants)})
    assert made.status_code == 201, made.text
    with server.client(token="") as browser:
        path = made.json()["setup_url"].removeprefix(server.url)
        assert submit(browser, path, {"password": PASSWORD}).status_code == 303
        yield browser
