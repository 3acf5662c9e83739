"""An event raises its alert as soon as it is stored, not when its group is due."""

from __future__ import annotations

import hmac
import json
import time
from datetime import timedelta
from pathlib import Path

from starlette.testclient import TestClient
from tests.notify.providers import Told, provider

from engine_slot import EngineSlot
from otlp import log_record, log_request
from tocsin.alerts.handling import Handler
from tocsin.app.server import Server
from tocsin.app.settings import SECTIONS
from tocsin.config import load
from tocsin.ingest.validate import parse
from tocsin.model.alert import Alert
from tocsin.model.alert_state import Change, Handling
from tocsin.model.clock import utc_now
from tocsin.model.control import SYSTEM
from tocsin.model.notification import Outcome
from tocsin.model.path_check import CHECK
from tocsin.storage.telemetry.decode import Signal
from waiting import eventually


def test_isolation_crossing_is_told_within_seconds(tmp_path: Path, no_engine: EngineSlot) -> None:
    server = Server(load(SECTIONS, None, {}, {"server.data": str(tmp_path)}))
    told: list[Alert] = []
    server.rules.sink = told.extend
    server.start()
    try:
        time_ns = time.time_ns()
        place = {"http.route": "/reports", "code.file.path": "reports.py", "code.line.number": 53}
        attributes = {**place, "db.collection.name": "orders", "tocsin.isolation.is_declared": True}
        request = log_request(
            [log_record("x", time_ns=time_ns, event_name="tocsin.isolation.crossing", attrs=attributes)]
        )
        body = request.SerializeToString()
        started = time.monotonic()
        server.gate.admit(Signal.LOGS, body, parse(Signal.LOGS, body), None).stored.result()
        [alert] = eventually(
            lambda: [one for one in told if one.name == "Isolation Crossing"], "the alert is told", pause_seconds=0.02
        )
        assert alert.annotations["summary"].endswith("reached data of other tenants in /reports at reports.py:53")
        assert alert.severity.name == "P0"
        print(f"event to alert: {time.monotonic() - started:.2f} s")  # noqa: T201 - seen with pytest -s
    finally:
        server.close()


def test_synthetic_alert_takes_the_way_of_an_applications_event(tmp_path: Path, no_engine: EngineSlot) -> None:
    """From the SDK's bytes through ingest, store and rule to the receipt; with the rule off to the pipeline."""
    server = Server(load(SECTIONS, None, {}, {"server.data": str(tmp_path)}))
    server.start()
    try:
        proved = server.path.check()
        assert proved.is_well, proved
        hops = [hop.name for hop in proved.hops]
        assert [hops[0], hops[-1]] == ["raised", "receipt of log"]
        assert hops.index("taken by ingest") < hops.index("rule fired") < hops.index("notification made")

        ends_at = utc_now() + timedelta(hours=1)
        server.control.maintenances.begin(SYSTEM, ends_at=ends_at, reason="upgrade", matchers=[])
        assert server.path.check().is_well  # maintenance does not make a false alarm of it

        keys = {state.rule.name: state.key for run in server.rules.groups for state in run.states}
        url = "https://tocsin.acme.example/rules/{}".format  # as in alerts; a mail draws what that rule measures
        assert server._measured_at(url(keys["TocsinIngestLate"])) == ("tocsin_spool_age_seconds", 60.0)
        assert server._measured_at(url(keys["Isolation Crossing"])) == ("", None)
        assert server._measured_at(url("none")) is None

        server.rules.switch(SYSTEM, keys[CHECK], False)
        bare = server.path.check()
        assert bare.is_well, bare
        assert any("so ingest is not tried" in hop.name for hop in bare.hops)
    finally:
        server.close()


def handling(server: Server, alert: Alert) -> Handling:
    return server.alerts.known()[alert.fingerprint].handling


def test_opsgenie_and_jsm_say_who_acknowledged_and_who_let_go(tmp_path: Path, no_engine: EngineSlot) -> None:
    taken = Told(202, {"result": "Request will be processed", "requestId": "r-1"}, {"content-type": "application/json"})
    with provider(taken) as there:
        genie = {"api_key": "k", "api_url": there.url, "webhook_secret": "hush"}
        settings = {"server.data": str(tmp_path), "rules.is_packs_on": False}
        settings["alerting.external_url"] = "https://tocsin.acme.example"  # this section's does for messages, too
        settings |= {
            f"notify_{channel}.{name}": value for channel in ("opsgenie", "jsm") for name, value in genie.items()
        }
        server = Server(load(SECTIONS, None, {}, settings))
        server.start()
        try:
            alert = Alert({"alertname": "Down", "severity": "critical"}, {}, starts_at=utc_now())
            server.alerts.accept([alert])
            asked = there.wait(2)[0].json
            alias = asked["alias"]
            assert asked["details"]["Open"].startswith("https://tocsin.acme.example/alerts?")

            def told() -> int:
                made = server.control.deliveries.newest()
                return sum(1 for one in made if one.channel != "log" and one.outcome is Outcome.SENT)

            eventually(told, "both are told", is_it=lambda count: count == 2)
            client = TestClient(server.asgi)
            for channel in ("opsgenie", "jsm"):

                def say(action: str, by: str, secret: str = "hush", channel: str = channel) -> int:
                    said = {"action": action, "alert": {"alias": alias, "username": by}, "integrationType": "Webhook"}
                    headers = {"authorization": f"Bearer {secret}"}
                    return client.post(f"/api/v1/notify/{channel}/events", json=said, headers=headers).status_code

                assert (say("Acknowledge", "eve", "guess"), say("Acknowledge", "eve", "")) == (401, 401)
                assert handling(server, alert).acknowledged_by == ""
                assert say("Acknowledge", "ada@acme.example") == 200
                assert handling(server, alert).acknowledged_by == "ada@acme.example"
                assert say("AddNote", "bob@acme.example") == 200
                assert handling(server, alert).acknowledged_by == "ada@acme.example"
                assert say("UnAcknowledge", "ada@acme.example") == 200
                assert handling(server, alert).acknowledged_by == ""
                assert say("Acknowledge", "bob@acme.example") == 200  # after that it is news again
                assert handling(server, alert).acknowledged_by == "bob@acme.example"
                assert say("Close", "bob@acme.example") == 200
                assert handling(server, alert).acknowledged_by == ""
                assert server.alerts.known()[alert.fingerprint].is_firing(utc_now())
            path = "/api/v1/notify/jsm/events"
            hushed = {"authorization": "Bearer hush"}
            assert client.post(path, content=b"no json", headers=hushed).status_code == 400
            for odd in ([], {"action": "Close"}, {"action": ["Close"], "alert": {"alias": alias}}, {"alert": 1}):
                assert client.post(path, json=odd, headers=hushed).status_code == 200
        finally:
            server.close()


def test_acknowledgement_goes_to_pagerduty_and_comes_from_there(tmp_path: Path, no_engine: EngineSlot) -> None:
    taken = Told(202, {"status": "success", "message": "Event processed"}, {"content-type": "application/json"})
    with provider(taken) as there:
        pager = {"routing_key": "k", "url": there.url, "signing_secret": "hush"}
        settings = {"server.data": str(tmp_path), "rules.is_packs_on": False} | {
            f"notify_pagerduty.{name}": value for name, value in pager.items()
        }
        server = Server(load(SECTIONS, None, {}, settings))
        server.start()
        try:
            now = utc_now()
            names = ("Here", "There")
            alerts = [Alert({"alertname": name, "severity": "critical"}, {}, starts_at=now) for name in names]
            server.alerts.accept(alerts)
            keys = {asked.json["payload"]["class"]: asked.json["dedup_key"] for asked in there.wait(2)}

            def told() -> int:
                made = server.control.deliveries.newest()
                return sum(1 for one in made if one.channel == "pagerduty" and one.outcome is Outcome.SENT)

            eventually(told, "both are told", is_it=lambda count: count == 2)

            Handler(server.alerts).acknowledge(SYSTEM, server.alerts.known()[alerts[0].fingerprint])
            third = there.wait(3)[2].json
            assert (third["event_action"], third["dedup_key"]) == ("acknowledge", keys["Here"])

            body = json.dumps(
                {
                    "event": {
                        "event_type": "incident.acknowledged",
                        "agent": {"type": "user_reference", "summary": "Ada"},
                        "data": {"type": "incident", "incident_key": keys["There"]},
                    }
                }
            ).encode()
            client = TestClient(server.asgi)
            path, header = "/api/v1/notify/pagerduty/events", "x-pagerduty-signature"
            assert client.post(path, content=body, headers={header: "v1=00"}).status_code == 401
            signature = "v1=00,v1=" + hmac.new(b"hush", body, "sha256").hexdigest()
            assert client.post(path, content=body, headers={header: signature}).status_code == 200
            assert handling(server, alerts[1]).acknowledged_by == "Ada"

            closed = body.replace(b"incident.acknowledged", b"incident.resolved")
            signature = "v1=" + hmac.new(b"hush", closed, "sha256").hexdigest()
            assert client.post(path, content=closed, headers={header: signature}).status_code == 200
            # It is closed there, not over here: nobody has it, and it is told again in time.
            assert handling(server, alerts[1]) == Handling(note="closed at pagerduty while it fires")
            assert server.alerts.known()[alerts[1].fingerprint].is_firing(utc_now())
            [newest] = server.control.alerts.history(fingerprint=alerts[1].fingerprint, limit=1)
            assert (newest.change, newest.actor) == (Change.RELEASED, "Ada")
            assert newest.detail["note"] == "closed at pagerduty while it fires"
        finally:
            server.close()
