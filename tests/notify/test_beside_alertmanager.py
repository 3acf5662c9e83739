"""Beside the real Alertmanager: what it posts to a webhook and what we do is the same document; ours it takes."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.notify.providers import notification, provider
from tests.notify.wired import message_of

from tocsin.model.alert import Alert
from tocsin.model.clock import utc_now
from tocsin.model.notification import Notification
from tocsin.notify.channels import alertmanager, webhook
from waiting import await_exit, eventually

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Alertmanager is not installed")
OURS = {"fingerprint", "externalURL"}  # named by another hash, and by who sends


@contextmanager
def running(folder: Path, hook: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "route": {"receiver": "exports", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "1s"},
        "receivers": [{"name": "exports", "webhook_configs": [{"url": hook}]}],
    }
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    command = [str(PROGRAM), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _is_ready(url), "Alertmanager is ready")
        yield url
    finally:
        process.terminate()
        await_exit(process)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready").status_code == 200
    except httpx2.HTTPError:
        return False


def test_our_webhook_document_is_alertmanagers(tmp_path: Path) -> None:
    began = utc_now().replace(microsecond=250_000)
    labels = {"alertname": "HighErrorRate", "tenant": "acme", "odd": 'a"b\\c\nü<>&'}
    alerts = tuple(
        Alert(
            {**labels, "instance": place},
            {"summary": "exports <fail> & more"},
            starts_at=began,
            generator_url="http://g",
        )
        for place in ("a", "b")
    )
    with provider() as there, running(tmp_path, there.url) as url:
        told = notification(*alerts, receiver="exports")
        receipt = alertmanager.send(alertmanager.Settings(urls=(url,)), message_of(told, now=utc_now()))
        assert receipt.reason == "1 of 1 took 2 alerts"
        theirs = there.wait(1)[0]
    ours = webhook.payload(
        Notification(
            key="k",
            receiver="exports",
            group_key='{}:{alertname="HighErrorRate"}',
            group_labels={"alertname": "HighErrorRate"},
            firing=alerts,
            resolved=(),
            made_at=began,
        )
    )
    document = theirs.json
    assert list(document) == list(ours)
    assert [list(one) for one in document["alerts"]] == [list(one) for one in ours["alerts"]]
    for one in (document, ours, *document["alerts"], *ours["alerts"]):
        for name in OURS & set(one):
            del one[name]
    assert document == ours
    assert theirs.headers["content-type"] == "application/json"
