"""Beside the real Alertmanager: the same alerts and silences posted to both are read alike from both APIs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx2
import pytest
from served import ADMIN_TOKEN, Served, served
from tests.alerts.beside import PROGRAM, free_port

from waiting import await_exit, eventually

pytestmark = pytest.mark.xdist_group("alert_pages")
CONFIG = """
route:
  receiver: base
  group_by: [alertname]
  group_wait: 30s
  routes:
    - {matchers: [team=db], receiver: db, group_by: [alertname, cluster], continue: true}
    - {matchers: [team=db], receiver: audit}
    - {matchers: [kind=muted], receiver: night, mute_time_intervals: [always]}
receivers:
  - {name: base, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}
  - {name: db, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}
  - {name: audit, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}
  - {name: night, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}
inhibit_rules:
  - {source_matchers: [severity=page], target_matchers: [severity=warning], equal: [cluster]}
time_intervals:
  - {name: always, time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]}
"""
ALERTS = [
    {"alertname": "Down", "team": "db", "cluster": "a", "severity": "page"},
    {"alertname": "Down", "team": "db", "cluster": "b", "severity": "warning"},
    {"alertname": "Slow", "cluster": "a", "severity": "warning"},
    {"alertname": "Known", "severity": "info"},
    {"alertname": "Quiet", "kind": "muted"},
]
ASKED = [
    {},
    {"active": "false"},
    {"silenced": "false"},
    {"inhibited": "false"},
    {"unprocessed": "false"},
    {"silenced": "false", "inhibited": "false", "unprocessed": "false"},
    {"active": "false", "silenced": "false"},
    {"filter": "team=db"},
    {"filter": ['cluster=~"a|b"', 'severity!="page"']},
    {"receiver": "db"},
    {"receiver": "d.*|audit"},
    {"receiver": "b"},
]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, httpx2.Client, Served]]:
    """(theirs, ours) with their base at the API, and our server."""
    if shutil.which(PROGRAM) is None:
        pytest.skip("Alertmanager is not installed; our API was not compared with its own")
    folder = tmp_path_factory.mktemp("both-apis")
    file = folder / "alertmanager.yml"
    file.write_text(CONFIG)
    (folder / "tocsin.toml").write_text(f"[alerting]\nconfig_file = '{file}'\n")
    port = free_port()
    command = [PROGRAM, f"--config.file={file}", f"--storage.path={folder}/theirs", "--cluster.listen-address="]
    with (folder / "log").open("w") as log, served(folder, with_telemetry=False) as site:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        try:
            with (
                httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v2") as theirs,
                httpx2.Client(base_url=f"{site.url}/alertmanager/api/v2", headers=headers) as ours,
            ):
                _until_ready(theirs)
                for side in (theirs, ours):
                    _fill(side)
                yield theirs, ours, site
        finally:
            process.terminate()
            await_exit(process)


def _until_ready(client: httpx2.Client) -> None:
    def is_ready() -> bool:
        try:
            return client.get("/status").is_success
        except httpx2.HTTPError:
            return False

    eventually(is_ready, "Alertmanager is ready", pause_seconds=0.1)


def _fill(client: httpx2.Client) -> None:
    began = "2026-03-02T12:00:00.000Z"
    body = [
        {"labels": labels, "annotations": {"a": "b"}, "startsAt": began, "generatorURL": "http://g/"}
        for labels in ALERTS
    ]
    client.post("/alerts", json=body).raise_for_status()
    matcher = {"name": "alertname", "value": "Known", "isRegex": False, "isEqual": True}
    now = datetime.now(UTC)
    silence = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(), "createdBy": "ada"}
    client.post("/silences", json={**silence, "comment": "known", "matchers": [matcher]}).raise_for_status()
    eventually(lambda: len(client.get("/alerts/groups").json()) >= len(ALERTS), "the alerts are grouped")


def said(alert: dict[str, Any]) -> dict[str, Any]:
    """What does not differ by time, by our hash of labels, or by the id of a silence."""
    status = alert["status"]
    return {
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "startsAt": alert["startsAt"],
        "generatorURL": alert["generatorURL"],
        "receivers": sorted(one["name"] for one in alert["receivers"]),
        "state": status["state"],
        "silences": len(status["silencedBy"]),
        "inhibitions": len(status["inhibitedBy"]),
    }


def by_labels(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((said(alert) for alert in alerts), key=lambda one: sorted(one["labels"].items()))


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_alerts_are_read_alike(sides: tuple[httpx2.Client, httpx2.Client, Served], asked: dict[str, Any]) -> None:
    theirs, ours = (client.get("/alerts", params=asked).json() for client in sides[:2])

    assert by_labels(ours) == by_labels(theirs)


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_groups_are_read_alike(sides: tuple[httpx2.Client, httpx2.Client, Served], asked: dict[str, Any]) -> None:
    theirs, ours = (_groups(client, asked) for client in sides[:2])
    # Debian's does not know yet that a group can be muted; to it the alert is active.
    for group in ours:
        if group[1] == "night":
            assert [one["state"] for one in group[2]] == ["suppressed"]
            group[2][0]["state"] = "active"

    apart = [(mine, other) for mine, other in zip_longest(ours, theirs) if mine != other]
    assert not apart, "\n".join(map(str, apart[0]))


def _groups(client: httpx2.Client, asked: dict[str, Any]) -> list[tuple[Any, str, list[dict[str, Any]]]]:
    found = client.get("/alerts/groups", params=asked).json()
    return [(group["labels"], group["receiver"]["name"], by_labels(group["alerts"])) for group in found]


def test_muted_group_names_its_interval_and_can_be_left_out(
    sides: tuple[httpx2.Client, httpx2.Client, Served],
) -> None:
    ours = sides[1]
    (group,) = ours.get("/alerts/groups", params={"receiver": "night"}).json()
    assert group["alerts"][0]["status"]["mutedBy"] == ["always"]
    assert ours.get("/alerts/groups", params={"receiver": "night", "muted": "false"}).json() == []
    (alert,) = ours.get("/alerts", params={"filter": "kind=muted"}).json()
    assert alert["status"] == {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"}


def test_every_field_of_theirs_is_there(sides: tuple[httpx2.Client, httpx2.Client, Served]) -> None:
    theirs, ours = sides[:2]
    for path in ("/alerts", "/alerts/groups", "/silences", "/receivers"):
        assert _shape(theirs.get(path).json()) <= _shape(ours.get(path).json()), path
    assert _shape(theirs.get("/status").json()) - {"cluster.name"} <= _shape(ours.get("/status").json())
    silence = theirs.get("/silences").json()[0]["id"], ours.get("/silences").json()[0]["id"]
    shapes = [_shape(client.get(f"/silence/{id}").json()) for client, id in zip(sides, silence, strict=False)]
    assert shapes[0] <= shapes[1]


def _shape(value: Any, at: str = "") -> set[str]:
    """Paths of the fields in an answer, those of labels aside."""
    if isinstance(value, list):
        return set().union(*(_shape(one, at) for one in value))
    if not isinstance(value, dict) or at.endswith(("labels", "annotations")):
        return {at}
    return {at}.union(*(_shape(one, f"{at}.{name}".strip(".")) for name, one in value.items()))


@pytest.mark.parametrize(
    "command",
    [
        ["alert", "query"], ["alert", "query", "--inhibited"], ["alert", "query", "--silenced"],
        ["alert", "query", "--unprocessed"], ["alert", "query", "--receiver=db"], ["alert", "query", "team=db"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_amtool_prints_the_same(
    sides: tuple[httpx2.Client, httpx2.Client, Served], tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "http.yml").write_text(f"authorization: {{credentials: {ADMIN_TOKEN}}}\n")
    printed = []
    for client in sides[:2]:
        url = str(client.base_url).rstrip("/").removesuffix("/api/v2")
        asked = [
            "amtool",
            f"--alertmanager.url={url}",
            f"--http.config.file={tmp_path}/http.yml",
            *command,
            "-o",
            "json",
        ]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
        printed.append(by_labels(json.loads(done.stdout)))
    assert printed[1] == printed[0]
