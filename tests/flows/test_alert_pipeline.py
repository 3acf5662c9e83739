"""Alerts over a running server: Prometheus sends them, amtool and commands work with them, a kill loses none."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from server_process import ADMIN_TOKEN, ServerProcess

from waiting import await_exit, eventually

ALERTMANAGER = """
route: {receiver: team, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}
receivers: [{name: team, log_configs: [{}]}]
"""
SLOW = ALERTMANAGER.replace("group_wait: 1s", "group_wait: 4s")
V2 = "/alertmanager/api/v2"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER)
    running = ServerProcess(tmp_path, {"TOCSIN_ALERTING_CONFIG_FILE": str(tmp_path / "alertmanager.yml")})
    running.start()
    yield running
    running.stop()


def post(server: ServerProcess, *alerts: dict[str, str], token: str = ADMIN_TOKEN) -> int:
    with server.client(token) as client:
        return int(client.post(f"{V2}/alerts", json=[{"labels": labels} for labels in alerts]).status_code)


def told(server: ServerProcess) -> list[str]:
    """The names of the groups that the receiver `team` was told of while they fired."""
    lines = [json.loads(line) for line in server.log().splitlines() if '"alert.firing"' in line]
    return [line["labels"]["alertname"] for line in lines if line["receiver"] == "team"]


def states(server: ServerProcess, name: str) -> list[str]:
    """What became of the notifications of an alert."""
    (alert,) = server.ask("/api/v1/alerts", name=name)["alerts"]
    (way,) = server.ask(f"/api/v1/alerts/{alert['fingerprint']}")["explanation"]["routes"]
    return [one["state"] for one in way["notifications"]]


def amtool(server: ServerProcess, folder: Path, *arguments: str) -> str:
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed; Alertmanager's API was not used by its own tool")
    (folder / "http.yml").write_text(f"authorization: {{credentials: {ADMIN_TOKEN}}}\n")
    command = ["amtool", f"--alertmanager.url={server.url}/alertmanager", f"--http.config.file={folder}/http.yml"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_amtool_lists_silences_and_expires(server: ServerProcess, tmp_path: Path) -> None:
    amtool(server, tmp_path, "alert", "add", "alertname=Down", "tenant=acme", "severity=critical")
    listed = json.loads(amtool(server, tmp_path, "alert", "query", "tenant=acme", "-o", "json"))
    assert [alert["labels"]["alertname"] for alert in listed] == ["Down"]

    id = amtool(server, tmp_path, "silence", "add", "alertname=Down", "-c", "known", "-a", "ada", "-d", "1h").strip()
    assert json.loads(amtool(server, tmp_path, "alert", "query", "-o", "json")) == []
    (hidden,) = json.loads(amtool(server, tmp_path, "alert", "query", "--silenced", "-o", "json"))
    assert hidden["status"]["silencedBy"] == [id]
    assert id in amtool(server, tmp_path, "silence", "query")
    amtool(server, tmp_path, "silence", "expire", id)
    assert amtool(server, tmp_path, "silence", "query", "-q").strip() == ""
    assert "receiver: team" in amtool(server, tmp_path, "config", "show")
    assert "Cluster Status:  ready" in amtool(server, tmp_path, "cluster", "show")


def test_prometheus_sends_its_alerts_here(server: ServerProcess, tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("Prometheus is not installed; no real one sent its alerts")
    address = server.url.removeprefix("http://")
    (tmp_path / "rules.yml").write_text(
        "groups: [{name: g, interval: 1s, rules: [{alert: AlwaysOn, expr: vector(1), labels: {severity: page}}]}]"
    )
    (tmp_path / "prometheus.yml").write_text(
        "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\nalerting:\n  alertmanagers:\n"
        f"  - path_prefix: /alertmanager\n    authorization: {{credentials: {ADMIN_TOKEN}}}\n"
        f"    static_configs: [{{targets: ['{address}']}}]\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/prometheus"]
    command += ["--rules.alert.resend-delay=1s"]  # its first look finds no Alertmanager yet
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            eventually(lambda: server.ask(f"{V2}/alerts"), "Prometheus' alert arrives")
            eventually(lambda: told(server), "it is told")
        finally:
            process.terminate()
            await_exit(process)
    (alert,) = server.ask(f"{V2}/alerts")
    assert alert["labels"] == {"alertname": "AlwaysOn", "severity": "page"}
    assert alert["generatorURL"].startswith("http")


def test_kill_between_firing_and_notifying_tells_exactly_once(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(SLOW)
    server = ServerProcess(tmp_path, {"TOCSIN_ALERTING_CONFIG_FILE": str(tmp_path / "alertmanager.yml")})
    server.start()
    assert post(server, {"alertname": "Down"}) == 200
    server.kill()
    assert told(server) == []
    server.start()
    eventually(lambda: told(server), "the alert is told after the restart")
    # Killed before the receipt is written down, it would be told again under the same key.
    eventually(lambda: states(server, "Down") == ["sent"], "the receipt is kept")
    server.kill()
    server.start()
    try:
        post(server, {"alertname": "Later"})
        eventually(lambda: len(told(server)) > 1, "another alert is told")
        assert told(server) == ["Down", "Later"]
        changes = server.ask("/api/v1/monitoring/alerts/history", name="Down")["changes"]
        assert [change["change"] for change in changes] == ["notified", "firing"]
    finally:
        server.stop()


def test_commands_hold_back_and_look_back(server: ServerProcess) -> None:
    options = ["--url", server.url, "--data", str(server.data)]
    post(
        server,
        {"alertname": "Down", "tenant": "acme", "severity": "critical"},
        {"alertname": "Slow", "tenant": "globex"},
    )
    listed = server.command("alerts", "list", "--json", *options)
    assert listed.returncode == 1, listed.stderr
    key = next(one["fingerprint"] for one in json.loads(listed.stdout)["alerts"] if one["name"] == "Down")

    taken = server.command("alerts", "ack", key[:6], "--note", "on it", *options).stdout
    assert re.search(
        r"^Down: acknowledged by \S+, acknowledged at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, note on it", taken
    )
    assert "Down: nobody has it" in server.command("alerts", "release", "down", *options).stdout
    assert "acknowledged by" in server.command("alerts", "ack", "Down", "--note", "on it", *options).stdout
    table = server.command("alerts", "list", "--severity", "critical", *options).stdout
    assert re.search(rf"P1  Down +active +\d\d-\d\d \d\d:\d\d +acme .* {key}", table)
    assert "Slow" not in table
    post(server, {"alertname": "Twin", "tenant": "acme"}, {"alertname": "Twin", "tenant": "globex"})
    both = server.command("alerts", "ack", "Twin", *options).stderr
    assert re.search(r"2 alerts fit; write the id of one:\n  [0-9a-f]{16}  Twin  tenant=", both)
    begun = server.command("alerts", "suppress", "--maintenance-mode", "--duration", "2h", *options)
    assert "nobody is told of every alert until" in begun.stdout
    post(server, {"alertname": "During", "severity": "p0"})
    held_back = {"name": "During", "change": "suppressed"}
    eventually(lambda: server.ask("/api/v1/monitoring/alerts/history", **held_back)["changes"], "it is held back")
    ended = server.command("alerts", "enable", *options)
    assert "P0 During" in ended.stdout
    eventually(lambda: "During" in told(server), "what still fires is told")

    silence = server.command("alerts", "silence", "add", "tenant=globex", "-c", "test", *options).stdout.strip()
    assert silence in server.command("alerts", "silence", "list", *options).stdout
    assert server.command("alerts", "silence", "expire", silence, *options).returncode == 0
    assert "no storm" in server.command("alerts", "storm", *options).stdout
    assert "Down" in server.command("alerts", "review", "--last-24h", *options).stdout
    assert (
        "acknowledged by TOCSIN_ADMIN_TOKEN  on it"
        in server.command("alerts", "history", "--last-hour", *options).stdout
    )
    one = server.command("alerts", "history", "--limit", "1", "--change", "firing", *options)
    assert (len(one.stdout.splitlines()), "there are more than these 1" in one.stderr) == (1, True)
    lines = server.command("alerts", "history", "--csv", "--tenant", "acme", *options).stdout.splitlines()
    assert lines[0] == "id,at,fingerprint,name,tenant,severity,change,actor,detail"
    assert {line.split(",")[4] for line in lines[1:]} == {"acme"}
    assert "without --maintenance-mode" in server.command("alerts", "suppress", "--duration", "1h", *options).stderr
    actions = [entry["action"] for entry in server.ask("/api/v1/audit")["entries"]]
    assert {"maintenance.begin", "maintenance.end", "alert.acknowledged", "silence.set", "silence.expire"} <= set(
        actions
    )


def test_ingest_key_may_send_alerts_and_nothing_else(server: ServerProcess) -> None:
    with server.client() as client:
        key = client.post("/api/v1/keys", json={"name": "prometheus"}).json()["secret"]
    assert post(server, {"alertname": "Down"}, token=key) == 200
    assert post(server, {"alertname": "Down"}, token="tcs_key_wrong") == 401
    with server.client(key) as client:
        assert client.get(f"{V2}/alerts").status_code == 401


def test_acme_sees_its_own_alerts_only(server: ServerProcess) -> None:
    post(server, {"alertname": "A", "tenant": "acme"}, {"alertname": "G", "tenant": "globex"}, {"alertname": "P"})
    with server.client() as client:
        asked = {"name": "tom", "role": "tenant_viewer", "tenants": ["acme"]}
        token = client.post("/api/v1/tokens", json=asked).json()["secret"]
        globex = next(one for one in client.get("/api/v1/alerts").json()["alerts"] if one["name"] == "G")
    with server.client(token) as tom:
        assert [one["name"] for one in tom.get("/api/v1/alerts").json()["alerts"]] == ["A"]
        assert [one["labels"]["alertname"] for one in tom.get(f"{V2}/alerts").json()] == ["A"]
        groups = tom.get(f"{V2}/alerts/groups").json()
        assert [alert["labels"]["alertname"] for group in groups for alert in group["alerts"]] == ["A"]
        changes = tom.get("/api/v1/monitoring/alerts/history").json()["changes"]
        assert {change["name"] for change in changes} == {"A"}
        assert tom.get(f"/api/v1/alerts/{globex['fingerprint']}").status_code == 404
        assert tom.post(f"/api/v1/alerts/{globex['fingerprint']}/ack").status_code == 403
        assert tom.get(f"{V2}/silences").status_code == 403
        assert tom.get("/alerts").text.count("globex") == 0
        assert tom.get("/api/v1/monitoring/dashboard").json()["alerts"]["active"] == 1


def test_bad_requests_are_explained(server: ServerProcess) -> None:
    now = datetime.now(UTC)
    silence = {
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "x",
        "comment": "",
    }
    with server.client() as client:
        for body, said in (
            ({**silence, "matchers": []}, "matchers"),
            ({**silence, "matchers": [{"name": "a", "value": ".*", "isRegex": True}]}, "it would hide every alert"),
            ({**silence, "matchers": [{"name": "a", "value": "(", "isRegex": True}]}, "correct the pattern"),
            (
                {**silence, "endsAt": now.isoformat(), "matchers": [{"name": "a", "value": "b", "isRegex": False}]},
                "ends",
            ),
        ):
            answer = client.post(f"{V2}/silences", json=body)
            assert answer.status_code == 400, answer.text
            assert said in answer.json()
        assert client.get(f"{V2}/silence/none").status_code == 404
        assert client.get(f"{V2}/alerts", params={"filter": 'a="'}).status_code == 400
        assert client.post(f"{V2}/alerts", json=[{"labels": {}}]).status_code == 400
        assert client.post(f"{V2}/alerts", json={"labels": "x"}).status_code == 400
        assert client.post("/api/v1/alerts/maintenance", json={"duration": "soon"}).status_code == 422


def test_broken_configuration_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: team}]")
    server = ServerProcess(tmp_path, {"TOCSIN_ALERTING_CONFIG_FILE": str(tmp_path / "alertmanager.yml")})
    server.launch()
    eventually(lambda: server.exit_code() is not None, "the server gives up")

    assert server.exit_code() == 2
    assert "line 1, route.receiver: there is no receiver 'nobody'" in server.log()
