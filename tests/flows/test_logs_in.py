"""Logs of every origin end up as rows, once, through kills and rotations of a whole server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from server_process import ServerProcess, read_store

from waiting import eventually

pytestmark = pytest.mark.xdist_group("logs")
MESSAGES = "SELECT message FROM logs WHERE service = '{}' ORDER BY time, message"


def write(file: Path, first: int, last: int) -> None:
    with file.open("a") as lines:
        for number in range(first, last):
            fields = {"time": time.time(), "level": "info", "message": f"line {number:04}", "tenant": "acme"}
            lines.write(json.dumps(fields) + "\n")


def test_files_are_stored_once_though_the_server_is_killed_while_they_rotate(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    promtail = tmp_path / "promtail-config.yml"
    promtail.write_text(
        f"scrape_configs: [{{job_name: app, static_configs: [{{labels: {{app: shop, __path__: {logs}/app.log}}}}]}}]"
    )
    file = logs / "app.log"
    write(file, 0, 1000)
    server = start_server({"TOCSIN_LOGS_PROMTAIL_FILE": str(promtail)})
    for part in (1, 2, 3):
        write(file, part * 1000, part * 1000 + 500)
        if part != 2:
            eventually(lambda: "tocsin_tail_files 0.0" not in read_metrics(server), "it reads")
        server.kill()
        file.rename(logs / f"app.log.{part}")
        write(file, part * 1000 + 500, part * 1000 + 1000)
        server.start()
    eventually(lambda: metric(server, 'tocsin_store_rows{table="logs"}') >= 4000, "all are stored")
    checks = {check["name"]: check for check in server.ask("/api/v1/doctor")["checks"]}
    assert checks["log files"]["state"] == "ok", checks["log files"]
    server.drained()
    server.stop()
    counted = "SELECT message, count(), any(tenant) FROM logs WHERE service = 'shop' GROUP BY message"
    [rows] = read_store(server.data, counted)
    assert {message: count for message, count, _ in rows} == {f"line {number:04}": 1 for number in range(4000)}
    assert {tenant for *_, tenant in rows} == {"acme"}


def test_pushes_syslog_and_imports_are_stored(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start_server({"TOCSIN_SYSLOG_TCP": f"127.0.0.1:{port}", "XDG_STATE_HOME": str(tmp_path)})
    with server.client(token="") as client:
        stream = {"stream": {"app": "pushed", "tenant": "globex"}, "values": [[str(time.time_ns()), "by loki"]]}
        assert client.post("/loki/api/v1/push", json={"streams": [stream]}).status_code == 204
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"<11>sent: by syslog\n")
        eventually(lambda: metric(server, "tocsin_syslog_messages_total") == 1, "syslog is taken")
    file = tmp_path / "old.jsonl"
    write(file, 0, 3)
    imported = server.command("logs", "import", str(file), "--service", "old", "--url", server.url)
    assert imported.returncode == 0, imported.stderr
    server.drained()
    server.stop()
    pushed, sent, old = read_store(server.data, *(MESSAGES.format(name) for name in ("pushed", "sent", "old")))
    assert (pushed, sent) == ([["by loki"]], [["by syslog"]])
    assert [message for (message,) in old] == ["line 0000", "line 0001", "line 0002"]


def test_json_is_found_and_shown_alike_whoever_brought_it(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    line = '{"level":"error","took":{"ms":7},"msg":"no stock left"}'
    file = tmp_path / "shop.log"
    file.write_text(line + "\n")
    server = start_server({"TOCSIN_LOGS_FILES": str(file), "TOCSIN_LOGS_FILES_SERVICE": "read"})
    stream = {"stream": {"app": "pushed"}, "values": [[str(time.time_ns()), line]]}
    with server.client(token="") as client:
        assert client.post("/loki/api/v1/push", json={"streams": [stream]}).status_code == 204

    def services(path: str, **query: str) -> dict[str, str]:
        if path == "logs":
            return {one["service"]: one["message"] for one in server.ask("/api/v1/logs", **query)["lines"]}
        found = server.ask("/loki/api/v1/query_range", **query)["data"]["result"]
        return {one["stream"]["service_name"]: one["values"][0][1] for one in found}

    raw = {"read": line, "pushed": line}
    eventually(lambda: services("loki", query='{service_name=~"read|pushed"} |= "error"') == raw, "both are found")
    assert services("loki", query='{service_name=~"read|pushed"} | json | took_ms = 7') == raw
    assert services("loki", query='{service_name=~"read|pushed"} | json | level_extracted = "error"') == raw
    assert services("logs", view="errors", q='"no stock"') == dict.fromkeys(raw, "no stock left")
    eventually(
        lambda: (
            {one["service"]: one["template"] for one in server.ask("/api/v1/logs/patterns")["patterns"]}
            == dict.fromkeys(raw, "no stock left")
        ),
        "both have the pattern of their message",
    )


def read_metrics(server: ServerProcess) -> str:
    with server.client() as client:
        return client.get("/metrics").text


def metric(server: ServerProcess, name: str) -> float:
    lines = (line for line in read_metrics(server).splitlines() if line.startswith(f"{name} "))
    return float(next(lines).split()[1])
