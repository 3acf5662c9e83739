"""An event raises its alert as soon as it is stored, not when its group is due."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from engine_slot import EngineSlot
from otlp import log_record, log_request
from tocsin.app import SECTIONS, Server
from tocsin.config import load
from tocsin.ingest.validate import parse
from tocsin.model.alert import Alert
from tocsin.model.clock import utc_now
from tocsin.model.control import SYSTEM
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
