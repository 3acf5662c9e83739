"""The real Alertmanager and our pipeline on one configuration, with what each told whom."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from argon2.profiles import CHEAPEST

from tocsin.alerts.config import read_alert_config
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.settings import AlertSettings
from tocsin.model.alert import Alert
from tocsin.model.clock import utc_now
from tocsin.model.control import SYSTEM
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.model.silence import LabelMatcher
from tocsin.storage.control import ControlStore
from tocsin.storage.control.passwords import Passwords
from waiting import await_exit, eventually

PROGRAM = "prometheus-alertmanager"
ALERT_FIELDS = ("firing", "resolved")


@dataclass(frozen=True)
class Message:
    """What one receiver was told about one group. at: seconds since the start."""

    at: float
    receiver: str
    group_key: str
    status: str
    firing: frozenset[str]  # the label `id` of each alert
    resolved: frozenset[str]
    common: tuple[tuple[str, str], ...]

    @property
    def said(self) -> tuple[Any, ...]:
        return self.status, self.firing, self.resolved, self.common


@dataclass
class Heard:
    """Messages by receiver and group, in their order."""

    started: float = field(default_factory=time.monotonic)
    messages: list[Message] = field(default_factory=list)

    def by_group(self) -> dict[tuple[str, str], list[Message]]:
        found: dict[tuple[str, str], list[Message]] = {}
        for one in list(self.messages):
            found.setdefault((one.receiver, one.group_key), []).append(one)
        return found


@dataclass
class Both:
    """Sends the same to both."""

    url: str
    pipeline: Pipeline
    theirs: Heard
    ours: Heard

    def send(self, *alerts: Alert) -> None:
        body = [
            {
                "labels": dict(alert.labels),
                "startsAt": alert.starts_at.isoformat(),
                **({"endsAt": alert.ends_at.isoformat()} if alert.ends_at else {}),
            }
            for alert in alerts
        ]
        httpx2.post(f"{self.url}/api/v2/alerts", json=body).raise_for_status()
        self.pipeline.accept(alerts)

    def silence(self, name: str, value: str, ends_at: datetime) -> None:
        now = utc_now()
        body = {
            "matchers": [{"name": name, "value": value, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": ends_at.isoformat(),
            "createdBy": "test",
            "comment": "test",
        }
        httpx2.post(f"{self.url}/api/v2/silences", json=body).raise_for_status()
        matchers = [LabelMatcher(name, value)]
        self.pipeline.control.silences.set(SYSTEM, matchers=matchers, starts_at=now, ends_at=ends_at, comment="test")


@contextmanager
def both(folder: Path, text: str) -> Iterator[Both]:
    """text has RECEIVER_URL where webhooks go."""
    if shutil.which(PROGRAM) is None:
        pytest.skip("Alertmanager is not installed; our decisions were not compared with its own")
    theirs, ours = Heard(), Heard()
    ours.started = theirs.started
    listener = _listener(theirs)
    config = text.replace("RECEIVER_URL", f"http://127.0.0.1:{listener.server_address[1]}")
    (folder / "alertmanager.yml").write_text(config)
    port = free_port()
    command = [PROGRAM, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/theirs"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    log = (folder / "alertmanager.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    pipeline = _pipeline(folder, config, ours)
    try:
        _await(f"http://127.0.0.1:{port}/-/ready", process, folder)
        pipeline.start()
        yield Both(f"http://127.0.0.1:{port}", pipeline, theirs, ours)
    finally:
        pipeline.close()
        pipeline.control.close()
        process.terminate()
        await_exit(process)
        log.close()
        listener.shutdown()
        listener.server_close()


def _pipeline(folder: Path, config: str, ours: Heard) -> Pipeline:
    quick = Passwords(CHEAPEST)
    control = ControlStore.open(f"sqlite:///{folder}/control.db", passwords=quick)

    def deliver(notification: Notification) -> Receipt:
        ours.messages.append(
            Message(
                time.monotonic() - ours.started,
                notification.receiver,
                notification.group_key,
                notification.status,
                frozenset(alert.labels["id"] for alert in notification.firing),
                frozenset(alert.labels["id"] for alert in notification.resolved),
                tuple(sorted(notification.common_labels.items())),
            )
        )
        return Receipt(Outcome.SENT, utc_now())

    calm = AlertSettings(storm_same_count=0, storm_total_count=0)
    return Pipeline(control, read_alert_config(config), calm, deliver)


def _listener(theirs: Heard) -> ThreadingHTTPServer:
    class Listening(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            theirs.messages.append(_message(body, time.monotonic() - theirs.started))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _message(body: dict[str, Any], at: float) -> Message:
    ids = {status: [a["labels"]["id"] for a in body["alerts"] if a["status"] == status] for status in ALERT_FIELDS}
    return Message(
        at,
        body["receiver"],
        body["groupKey"],
        body["status"],
        frozenset(ids["firing"]),
        frozenset(ids["resolved"]),
        tuple(sorted(body["commonLabels"].items())),
    )


def _await(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, (folder / "alertmanager.log").read_text()
        try:
            return httpx2.get(url).status_code == 200
        except httpx2.HTTPError:
            return False

    eventually(is_ready, "Alertmanager is ready")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fired(id: str, at: datetime | None = None, **labels: str) -> Alert:
    return Alert({"id": id, **labels}, starts_at=at or utc_now().replace(microsecond=0))


def ended(alerts: Sequence[Alert]) -> list[Alert]:
    now = datetime.now(UTC)
    return [Alert(alert.labels, starts_at=alert.starts_at, ends_at=now) for alert in alerts]
