"""Marking deploys over REST and by command, and reading them back as Grafana would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from served import ADMIN_TOKEN, Served, served
from typer.testing import CliRunner

import waiting
from tocsin.cli.commands import app
from waiting import eventually

pytestmark = pytest.mark.xdist_group("pages")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("deployments")) as running:
        yield running


def until_there(client: httpx2.Client, release: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        listed = client.get("/api/v1/deployments").json()["deployments"]
        return [one for one in listed if one["release"] == release]

    return eventually(found, f"release {release} is visible")[0]


def test_marked_deploy_is_on_every_chart_and_in_the_list(site: Served) -> None:
    mark = {"service": "reports", "environment": "production", "release": "2.2", "author": "ada", "commit": "4f0a1b2c"}
    answer = site.administrator.post("/api/v1/deployments", json=mark)
    assert answer.status_code == 201, answer.text
    assert until_there(site.administrator, "2.2")["author"] == "ada"
    for path in ("/", "/services/reports"):
        html = site.administrator.get(path).text
        charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html)]
        marked = [one["markers"] for one in charts if "markers" in one]
        assert marked
        assert all(one[0]["text"] == "reports 2.2 (4f0a1b2c) deployed by ada" for one in marked)
    assert site.tom.get("/api/v1/deployments").json() == site.administrator.get("/api/v1/deployments").json()


def test_annotations_are_in_grafanas_form(site: Served) -> None:
    at = datetime.now(UTC)
    mark = {"service": "mail", "release": "7", "at": at.isoformat()}
    assert site.administrator.post("/api/v1/deployments", json=mark).status_code == 201
    until_there(site.administrator, "7")
    now_ms = int(at.timestamp() * 1000)
    asked = f"/api/v1/annotations?from={now_ms - 60_000}&to={now_ms + 60_000}"
    (one,) = site.administrator.get(f"{asked}&tags=mail").json()
    assert (one["time"], one["timeEnd"], one["tags"]) == (now_ms, now_ms, ["deploy", "mail", "7"])
    assert site.administrator.get(f"{asked}&tags=flag").json() == []
    assert site.administrator.get("/api/v1/annotations?from=5&to=1").status_code == 400


def test_an_ingest_key_may_mark_and_a_viewer_may_not(site: Served) -> None:
    made = site.administrator.post("/api/v1/keys", json={"name": "ci"})
    assert made.status_code in (200, 201), made.text
    key = re.findall(r"tcs_key_[\w-]+", made.text)[-1]
    mark = {"service": "reports", "release": "2.3"}
    said = waiting.post(f"{site.url}/api/v1/deployments", json=mark, headers={"authorization": f"Bearer {key}"})
    assert said.status_code == 201, said.text
    wrong = waiting.post(f"{site.url}/api/v1/deployments", json=mark, headers={"authorization": "Bearer tcs_key_no"})
    assert wrong.status_code == 401
    assert site.tom.post("/api/v1/deployments", json=mark).status_code == 403
    assert waiting.post(f"{site.url}/api/v1/deployments", json=mark).status_code in (401, 303)


def test_command_marks_what_the_platform_says(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMIT", "5e6f7081")
    options = ["--service", "mail", "--url", site.url, "--data", "/nowhere"]
    done = CliRunner().invoke(app, ["deploy", "mark", *options, "--token", ADMIN_TOKEN])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("marked mail 5e6f7081 at ")
    assert until_there(site.administrator, "5e6f7081")["commit"] == "5e6f7081"
    nameless = CliRunner().invoke(app, ["deploy", "mark", "--url", site.url])
    assert "without --service" in nameless.output
