"""Paths that are passed on unwatched."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.testclient import TestClient

import tocsin
from tocsin.sdk.settings import from_environment
from tocsin.testing import capture_spans


def test_excluded_path_is_served_and_not_recorded() -> None:
    app = FastAPI()
    app.get("/healthz")(lambda: "ok")
    app.get("/orders")(lambda: [])
    tocsin.instrument(app, exclude=("/healthz",))
    with capture_spans() as spans, TestClient(app) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/orders").status_code == 200
    assert [span.name for span in spans.spans] == ["GET /orders"]


def test_environment_names_excluded_paths_with_commas() -> None:
    assert from_environment({"TOCSIN_EXCLUDE": "/healthz, /ready"})["exclude"] == ("/healthz", "/ready")
