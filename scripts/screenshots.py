"""Draws the README's pictures: the demo with a fault switched on, through a real browser.

python -m scripts.screenshots
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"
TOKEN = "screenshots"
CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
QUIET_SECONDS, FAILING_SECONDS = 180, 60
FAULTS = (("errors-for-one-tenant", "acme"), ("n+1", "hooli"), ("cross-tenant-read", "acme"))
INSIDE = {
    "database-dark": "/database", "errors-light": "/errors", "isolation-light": "/isolation", "jobs-light": "/jobs",
    "dependencies-light": "/dependencies", "runtime-dark": "/runtime", "operations-light": "/operations",
    "releases-light": "/releases",
}  # fmt: skip
"""Pictures of the pages about the inside, by name and look."""


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "demo", "up", "--port", "0", "--product-port", "0", "--data", folder]
        environment = {**os.environ, "TOCSIN_ADMIN_TOKEN": TOKEN}
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            _draw(*_addresses(demo))
        finally:
            demo.terminate()
            demo.wait(30)


def _addresses(demo: subprocess.Popen[str]) -> tuple[str, str]:
    """The URLs of the server and of the product, once both run."""
    found: dict[str, str] = {}
    assert demo.stdout is not None
    for line in demo.stdout:
        if match := re.match(r"(tocsin|product)\s+(http://\S+)", line):
            found[match[1]] = match[2]
        if line.startswith("stop"):
            return found["tocsin"], found["product"]
    raise SystemExit("cannot draw the pictures: the demo did not start; its words are above")


def _draw(server: str, product: str) -> None:
    print(f"watching the demo for {QUIET_SECONDS + FAILING_SECONDS} s")
    time.sleep(QUIET_SECONDS)
    for fault, tenant in FAULTS:
        httpx2.post(f"{product}/_demo/faults/{fault}", params={"on": "true", "tenant": tenant})
    time.sleep(FAILING_SECONDS)
    headers = {"authorization": f"Bearer {TOKEN}"}
    query = {
        "status": "error",
        "tenant": "acme",
        "operation": "POST /api/v1/projects/{project_id}/reports/{report_id}/exports",
    }
    found = httpx2.get(f"{server}/api/v1/traces", params=query, headers=headers).json()["traces"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(CHROMIUM))
        _picture(browser, headers, f"{server}/?range=15m", "overview-light", color_scheme="light")
        _picture(browser, headers, f"{server}/traces/{found[0]['trace_id']}", "trace-dark", color_scheme="dark")
        _picture(browser, headers, f"{server}/tenants?range=15m", "tenants-light", color_scheme="light")
        for name, path in INSIDE.items():
            look = name.rpartition("-")[2]
            _picture(browser, headers, f"{server}{path}?range=15m", name, color_scheme=look)
        browser.close()


def _picture(browser: Browser, headers: dict[str, str], url: str, name: str, **look: Any) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, extra_http_headers=headers, **look)
    page = context.new_page()
    page.goto(url, wait_until="load")
    page.wait_for_function("document.fonts.ready.then(() => true)")
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


if __name__ == "__main__":
    main()
