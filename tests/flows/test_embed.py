"""`tocsin.embed`: the whole server inside the product's own process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import waiting
from waiting import await_exit, eventually

APP = """
from fastapi import FastAPI
import tocsin

app = FastAPI()

@app.get("/orders/{number}")
def order(number: int):
    return {"number": 10 / number}

tocsin.embed(app, data=DATA, service="shop", tenant="header:X-Tenant-ID")
"""
ADMIN = {"authorization": "Bearer embedded"}


@pytest.fixture
def product(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "shop.py").write_text(APP.replace("DATA", repr(str(tmp_path / "data"))))
    command = [sys.executable, "-c", "import uvicorn; uvicorn.run('shop:app', port=0)"]
    environment = {
        **os.environ,
        "TOCSIN_ADMIN_TOKEN": "embedded",
        "PYTHONPATH": f"{tmp_path}:{os.pathsep.join(sys.path)}",
    }
    log = tmp_path / "product.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, env=environment)
    try:
        found = eventually(lambda: re.search(r"running on (http://\S+)", log.read_text()), "the product runs")
        yield found[1]
    finally:
        process.terminate()
        await_exit(process)
    assert process.returncode in (0, -15)


def test_embedded_server_shows_the_product_and_not_itself(product: str) -> None:
    for number, tenant in ((1, "acme"), (0, "globex")):
        waiting.get(f"{product}/orders/{number}", headers={"X-Tenant-ID": tenant})

    def seen() -> set[tuple[str, str]]:
        found = waiting.get(f"{product}/monitoring/api/v1/traces", headers=ADMIN).json()["traces"]
        return {(trace["tenant"], trace["name"]) for trace in found}

    eventually(lambda: len(seen()) >= 2, "both requests are stored")
    assert seen() == {("acme", "GET /orders/{number}"), ("globex", "GET /orders/{number}")}


def test_embedded_server_takes_no_telemetry_from_outside_without_a_key(product: str) -> None:
    answer = waiting.post(f"{product}/monitoring/v1/traces", json={"resourceSpans": []})

    assert answer.status_code == 401


def test_embedded_pages_lead_to_sign_in_below_their_path(product: str) -> None:
    answer = waiting.get(f"{product}/monitoring/", headers={"accept": "text/html"})

    assert answer.headers["location"].startswith("/monitoring/sign-in")
