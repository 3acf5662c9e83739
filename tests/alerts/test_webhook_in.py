"""What a webhook's JSON says of alerts: of Alertmanager, of Grafana, and in plain words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.notify.providers import alert, ended, notification

from tocsin.alerts.webhook_in import WebhookError, alerts_in
from tocsin.notify.channels.webhook import payload

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_what_our_own_webhook_says_is_taken_as_it_was() -> None:
    over = ended(alert("Over"))
    firing, resolved = alerts_in(payload(notification(alert(), resolved=(over,))), NOW, DAY)

    assert (firing.labels, firing.annotations) == (alert().labels, alert().annotations)
    assert (firing.starts_at, firing.ends_at) == (alert().starts_at, NOW + DAY)
    assert firing.generator_url == alert().generator_url
    assert (resolved.fingerprint, resolved.ends_at) == (over.fingerprint, over.ends_at)


def test_go_prints_nine_digits_and_year_one() -> None:
    said = {
        "labels": {"alertname": "A", "n": 1},
        "startsAt": "2026-03-01T11:59:00.123456789+01:00",
        "endsAt": "0001-01-01T00:00:00Z",
    }
    [one] = alerts_in({"alerts": [{**said, "status": "firing"}]}, NOW, DAY)
    assert one.starts_at == datetime(2026, 3, 1, 10, 59, 0, 123456, tzinfo=UTC)
    assert one.labels["n"] == "1"
    [over] = alerts_in({"alerts": [{**said, "status": "resolved"}]}, NOW, DAY)
    assert over.ends_at == NOW


def test_one_plain_alert() -> None:
    said = {
        "title": "Backup failed", "severity": "critical", "tenant": "acme", "summary": "No space", "url": "http://b/7",
        "labels": {"disk": "/var"}, "startsAt": "2030-01-01T00:00:00",
    }  # fmt: skip
    [one] = alerts_in(said, NOW, DAY)
    assert one.labels == {"alertname": "Backup failed", "severity": "critical", "tenant": "acme", "disk": "/var"}
    assert (one.annotations, one.generator_url) == ({"summary": "No space"}, "http://b/7")
    assert (one.starts_at, one.ends_at) == (NOW, NOW + DAY)  # a clock that runs ahead
    assert alerts_in({**said, "status": "OK"}, NOW, DAY)[0].ends_at == NOW


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "it is no JSON object"),
        ({}, "it has neither alerts nor a title"),
        ({"alerts": 1}, "its alerts are no list of objects"),
        ({"alerts": ["x"]}, "its alerts are no list of objects"),
        ({"alerts": [{"labels": [1]}]}, "its labels are no names with texts"),
        ({"title": "A", "labels": {"a": {"b": 1}}}, "its labels are no names with texts"),
        ({"title": "A", "startsAt": "soon"}, "its startsAt 'soon' is no time"),
    ],
)
def test_what_is_no_webhook_about_alerts_is_refused(said: Any, why: str) -> None:
    with pytest.raises(WebhookError, match=why):
        alerts_in(said, NOW, DAY)
