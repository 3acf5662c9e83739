"""Alerts that come in by webhook: signed, once, and told like others."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
from starlette.testclient import TestClient
from tests.notify.providers import alert, ended, notification

from engine_slot import EngineSlot
from tocsin.app.server import Server
from tocsin.app.settings import SECTIONS
from tocsin.config import load
from tocsin.model.clock import utc_now
from tocsin.model.control import SYSTEM
from tocsin.notify.channels.webhook import payload, signature
from waiting import eventually

PATH = "/api/v1/webhooks/alerts"
SECRET = "whsec_c2VjcmV0LW9mLWFjbWU="


def signed(id: str, body: bytes, age_seconds: int = 0, secret: str = SECRET) -> dict[str, str]:
    at = int(time.time()) - age_seconds
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signature(secret, id, at, body)}


def test_webhook_is_believed_when_signed_and_taken_once(tmp_path: Path, no_engine: EngineSlot) -> None:
    settings = {"server.data": str(tmp_path), "rules.is_packs_on": False, "ingest.require_key": True}
    config = load(SECTIONS, None, {}, settings | {"alerting.webhook_secret": SECRET})
    server = Server(config)
    server.start()
    try:
        client = TestClient(server.asgi)
        firing = orjson.dumps(payload(notification(alert())))
        over = orjson.dumps(payload(notification(resolved=(ended(alert()),))))
        for headers in ({}, signed("a", firing, secret="x"), signed("a", firing, age_seconds=301), signed("a", over)):
            assert client.post(PATH, content=firing, headers=headers).status_code == 401
        assert server.alerts.known() == {}

        taken = [client.post(PATH, content=firing, headers=signed("a", firing)).json() for _ in range(2)]
        assert taken == [{"alerts": 1, "is_repeated": False}, {"alerts": 0, "is_repeated": True}]
        [known] = server.alerts.known().values()
        assert known.is_firing(utc_now())
        eventually(server.control.deliveries.newest, "somebody is told")

        assert client.post(PATH, content=over, headers=signed("b", over)).json()["alerts"] == 1
        assert not [one for one in server.alerts.known().values() if one.is_firing(utc_now())]
        # The first, tried once more after the second, does not fire anew.
        assert client.post(PATH, content=firing, headers=signed("a", firing)).json()["is_repeated"] is True
        assert not [one for one in server.alerts.known().values() if one.is_firing(utc_now())]

        bearer = {"authorization": f"Bearer {server.control.keys.create(SYSTEM, name='hooks').secret}"}
        plain = {"title": "Backup failed", "severity": "critical"}
        eventually(lambda: client.post(PATH, json=plain, headers=bearer).status_code == 200, "the new key is known")
        assert "Backup failed" in {known.alert.name for known in server.alerts.known().values()}
        answer = client.post(PATH, json={"severity": "x"}, headers=bearer)
        assert (answer.status_code, "name the alert by title" in answer.text) == (422, True)
        assert client.post(PATH, content=b"{", headers=bearer).status_code == 400
    finally:
        server.close()
    again = Server(config)
    again.start()
    try:
        client = TestClient(again.asgi)
        assert client.post(PATH, content=firing, headers=signed("a", firing)).json()["is_repeated"] is True
    finally:
        again.close()
