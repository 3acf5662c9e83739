"""A running server takes a changed alertmanager.yml, and says on the page, in a metric and in its answer when not."""

from __future__ import annotations

from pathlib import Path

import pytest
from served import served

from waiting import eventually

pytestmark = pytest.mark.xdist_group("alert_pages")
GOOD = "route: {receiver: %s}\nreceivers: [{name: %s, log_configs: [{}]}]\n"


def test_reload_of_a_running_server(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(GOOD % ("day", "day"))
    (tmp_path / "tocsin.toml").write_text(f"[alerting]\nconfig_file = '{file}'\n")
    with served(tmp_path, with_telemetry=False) as site:
        client = site.administrator
        assert client.get("/alertmanager/api/v2/receivers").json()[0] == {"name": "day"}

        file.write_text("route: {receiver: x}\nreceivers: []")
        answer = client.post("/alertmanager/-/reload")
        assert answer.status_code == 500
        assert "there is no receiver &#39;x&#39;" in client.get("/alerts").text
        assert "what it said before is in force" in client.get("/alerts").text
        assert "tocsin_alerts_config_last_reload_successful 0.0" in client.get("/metrics").text
        assert client.get("/alertmanager/api/v2/receivers").json()[0] == {"name": "day"}
        assert client.post("/-/reload").status_code == 500
        assert site.tom.post("/alertmanager/-/reload").status_code == 403

        file.write_text(GOOD % ("night", "night"))
        eventually(  # nobody asks for it: it is noticed
            lambda: client.get("/alertmanager/api/v2/receivers").json()[0],
            "the file is read again",
            is_it=lambda first: first == {"name": "night"},
        )
        assert "is in force" not in client.get("/alerts").text
        receivers = {one["receiver"] for one in client.get("/api/v1/notify/channels").json()["channels"]}
        assert "night" in receivers
        assert "day" not in receivers
