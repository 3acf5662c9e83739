"""Alertmanagers that are away, refuse or hang: they hear what is once they are there, and nobody waits for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.notify.providers import Told, provider

from https_server import https_server
from tocsin.detect.rules import alertmanagers
from tocsin.detect.rules.alertmanagers import Alertmanagers, access_of
from tocsin.detect.settings import RuleSettings
from tocsin.model.alert import Alert
from waiting import eventually

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def alert(name: str, ends: float = 240.0, **annotations: str) -> Alert:
    ends_at = NOW + timedelta(seconds=ends)
    return Alert({"alertname": name}, annotations, starts_at=NOW, ends_at=ends_at, generator_url="http://t/rules/1")


@contextmanager
def telling(*urls: str, **settings: str) -> Iterator[Alertmanagers]:
    made = Alertmanagers(urls, access_of(RuleSettings(**settings)))  # type: ignore[arg-type]  # texts all
    yield made
    made.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanagers, "FIRST_WAIT_SECONDS", 0.05)


def names(asked: Any) -> list[list[str]]:
    return [[one["labels"]["alertname"] for one in each.json] for each in asked]


def test_alert_arrives_as_prometheus_sends_it() -> None:
    with (
        provider() as one,
        provider() as other,
        telling(f"{one.url}/", f"{other.url}/am", alertmanager_token="s3cret") as made,
    ):
        made.tell([alert("Slow", summary="It is slow")])

        [asked] = one.wait(1)
        assert (asked.method, asked.path, other.wait(1)[0].path) == ("POST", "/api/v2/alerts", "/am/api/v2/alerts")
        assert asked.headers["content-type"] == "application/json"
        assert asked.headers["authorization"] == "Bearer s3cret"
        assert asked.json == [
            {
                "labels": {"alertname": "Slow"},
                "annotations": {"summary": "It is slow"},
                "startsAt": "2026-03-01T12:00:00Z",
                "endsAt": "2026-03-01T12:04:00Z",
                "generatorURL": "http://t/rules/1",
            }
        ]
        assert made.problems == []


def test_one_that_is_away_hears_the_newest_word_of_each_alert() -> None:
    with provider(Told(503, b"starting"), Told(503, b"starting"), Told()) as there, telling(there.url) as made:
        made.tell([alert("Slow", said="first"), alert("Down")])
        there.wait(1)
        assert eventually(lambda: made.problems, "the fault is said")[0].startswith(
            f"cannot tell Alertmanager {there.url} of 2 alerts: it answered 503: starting; it is tried again"
        )
        made.tell([alert("Slow", said="second")])

        last = there.wait(3)[2].json
        assert {one["labels"]["alertname"]: one["annotations"] for one in last} == {
            "Slow": {"said": "second"},
            "Down": {},
        }
        eventually(lambda: not made.problems, "all is well")
    assert len(there.asked) == 3


def test_what_one_refuses_is_not_repeated() -> None:
    with provider(Told(400, b"bad label"), Told()) as there, telling(there.url) as made:
        made.tell([alert("Bad")])
        eventually(lambda: made.problems, "the fault is said")
        made.tell([alert("Good")])

        assert names(there.wait(2)) == [["Bad"], ["Good"]]


def test_one_that_hangs_keeps_nobody_waiting() -> None:
    with provider(Told(hang_seconds=30)) as hangs, provider() as well:
        made = Alertmanagers((hangs.url, well.url))
        began = time.monotonic()
        made.tell([alert("Slow")])
        assert time.monotonic() - began < 5
        assert names(well.wait(1)) == [["Slow"]]
        hangs.wait(1)
        hangs.answers[:] = [Told()]
    made.close()


def test_oldest_go_when_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanagers, "MOST_WAITING", 3)
    with provider(Told(503), Told()) as there, telling(there.url) as made:
        made.tell([alert("A")])
        there.wait(1)
        made.tell([alert(name) for name in "BCDE"])

        heard = [name for each in names(there.wait(2)[1:]) for name in each]
        assert heard == ["C", "D", "E"]


def test_what_waits_is_told_before_the_end() -> None:
    with provider() as there:
        made = Alertmanagers((there.url,))
        made.tell([alert(f"A{number}") for number in range(600)])
        made.close()
        assert [len(each) for each in names(there.asked)] == [256, 256, 88]


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="write http://alertmanager:9093 or https://alertmanager:9093"):
        RuleSettings(alertmanagers=("alertmanager:9093",))


def test_a_name_with_its_password_and_a_certificate_of_ones_own_are_used(tmp_path: Path) -> None:
    with provider() as there, telling(there.url, alertmanager_username="me", alertmanager_password="pw") as made:
        made.tell([alert("Slow")])
        assert there.wait(1)[0].headers["authorization"] == "Basic bWU6cHc="
    with https_server(tmp_path, "localhost") as (port, certificate):
        url = f"https://localhost:{port}"
        with telling(url) as made:
            made.tell([alert("Slow")])
            eventually(lambda: made.problems, "it is not trusted")
            assert "CERTIFICATE_VERIFY_FAILED" in made.problems[0]
        with telling(url, alertmanager_ca_file=certificate) as made:
            made.tell([alert("Slow")])
            eventually(
                lambda: REGISTRY.get_sample_value("tocsin_rule_alertmanager_alerts_sent_total", {"alertmanager": url}),
                "it is told",
            )
            assert made.problems == []
    with pytest.raises(ValueError, match="both set"):
        RuleSettings(alertmanager_token="t", alertmanager_username="me")
