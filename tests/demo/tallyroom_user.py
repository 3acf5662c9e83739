"""A signed-in user of Tallyroom, for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi.testclient import TestClient


@dataclass(frozen=True)
class User:
    """Somebody signed in; requests carry their token."""

    client: TestClient
    token: str

    def request(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        return self.client.request(method, path, headers={"authorization": f"Bearer {self.token}"}, **arguments)

    def get(self, path: str) -> httpx2.Response:
        return self.request("GET", path)

    def post(self, path: str, **arguments: Any) -> httpx2.Response:
        return self.request("POST", path, **arguments)

    def report_path(self) -> str:
        """The path of a report with entries: the latest of the organisation's first project."""
        project_id = self.get("/api/v1/projects").json()[0]["id"]
        report_id = self.get(f"/api/v1/projects/{project_id}").json()["reports"][0]["id"]
        return f"/api/v1/projects/{project_id}/reports/{report_id}"


SignIn = Callable[..., User]
