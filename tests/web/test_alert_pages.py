"""The pages of alerting: what fires, one alert, its history, silences and maintenance; acme sees acme's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2
import pytest
from served import Served, served

from tocsin.model.alert import Alert
from tocsin.model.notification import Notification
from tocsin.notify.render import text_of
from waiting import eventually

pytestmark = pytest.mark.xdist_group("alert_pages")

ALERTS = [
    {"alertname": "DatabaseDown", "severity": "page", "service": "postgres", "instance": "db1"},
    {"alertname": "HighErrors", "severity": "critical", "service": "orders", "tenant": "acme"},
    {"alertname": "HighErrors", "severity": "critical", "service": "orders", "tenant": "globex"},
    {"alertname": "Tidy", "severity": "info", "environment": "staging"},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("alert-pages"), with_telemetry=False) as running:
        empty = running.administrator.get("/alerts").text
        assert "Nothing fires." in empty
        assert "amtool" in empty
        body = [{"labels": labels, "annotations": {"summary": f"about {labels['alertname']}"}} for labels in ALERTS]
        assert running.administrator.post("/alertmanager/api/v2/alerts", json=body).status_code == 200
        yield running


def headline(client: httpx2.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found = re.search(r'<h1 class="headline"[^>]*>(.*?)</h1>', answer.text, re.DOTALL)
    assert found, answer.text
    return re.sub(r"<[^>]+>", "", found[1]).strip()


def key_of(site: Served, name: str, tenant: str = "") -> str:
    found = site.administrator.get("/api/v1/alerts", params={"name": name, "tenant": tenant}).json()["alerts"]
    return str(found[0]["fingerprint"])


def until(site: Served, path: str, words: str) -> None:
    eventually(lambda: site.administrator.get(path).text, f"{path} says {words}", is_it=lambda text: words in text)


def test_list_opens_with_the_worst_and_groups_what_belongs_together(site: Served) -> None:
    html = site.administrator.get("/alerts").text

    assert re.match(r"4 alerts fire, the worst P0: DatabaseDown since", headline(site.administrator, "/alerts"))
    assert "2 alerts that belong together" in html
    assert html.index("DatabaseDown</a>") < html.index("HighErrors</a>") < html.index("Tidy</a>")
    assert 'id="alert-count"' in html


def test_tenant_and_environment_are_obeyed(site: Served) -> None:
    acme = site.administrator.get("/alerts", params={"tenant": "acme"}).text
    production = site.administrator.get("/alerts", params={"env": "production"}).text

    assert "HighErrors" in acme
    assert "DatabaseDown</a>" not in acme
    assert "Tidy" not in production


def test_acme_sees_its_own(site: Served) -> None:
    html = site.tom.get("/alerts").text

    assert "HighErrors" in html
    assert "globex" not in html
    assert "DatabaseDown" not in html
    assert "Acknowledge" not in html
    assert site.tom.get(f"/alerts/{key_of(site, 'HighErrors', 'globex')}").status_code == 404
    assert site.tom.get("/silences").status_code == 403
    assert "globex" not in site.tom.get("/alerts/history").text


def test_alert_says_who_is_told_and_what_happened(site: Served) -> None:
    path = f"/alerts/{key_of(site, 'DatabaseDown')}"
    until(site, path, "default was told at")
    html = site.administrator.get(path).text

    assert re.match(r"DatabaseDown fires since .* P0", headline(site.administrator, path))
    assert "about DatabaseDown" in html
    assert "notified" in html


def test_past_is_told_by_what_was_routed_and_routes_stay_the_platforms(site: Served) -> None:
    key = key_of(site, "HighErrors", "acme")
    until(site, f"/alerts/{key}", "default was told at")
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
    asked = {"params": {"at": later}, "headers": {"accept": "application/json"}}

    then = site.administrator.get(f"/api/v1/alerts/{key}", **asked).json()["then"]  # type: ignore[arg-type]
    assert (then["is_by_routes_of_now"], then["ways"][0]["receiver"]) == (False, "default")
    assert then["ways"][0]["route"].startswith("{}")
    assert then["ways"][0]["receipt"].startswith("receipt")
    assert 'route <b class="mono">{}' in site.administrator.get(f"/alerts/{key}", params={"at": later}).text

    seen = site.tom.get(f"/api/v1/alerts/{key}", **asked)  # type: ignore[arg-type]
    assert seen.json()["then"]["ways"][0]["receipt"].startswith("receipt")
    history = site.tom.get("/api/v1/monitoring/alerts/history", params={"format": "csv"}).text
    for text in (seen.text, history, site.tom.get(f"/alerts/{key}", params={"at": later}).text):
        assert not re.search(r'[">]\{\}', text)  # how routes and groups begin
        assert "HighErrors" in text


def test_buttons_act_and_return(site: Served) -> None:
    key = key_of(site, "HighErrors", "acme")
    answer = site.administrator.post(f"/alerts/{key}/ack", data={"back": "/alerts"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    assert "acknowledged by TOCSIN_ADMIN_TOKEN" in site.administrator.get("/alerts").text
    assert site.tom.post(f"/alerts/{key}/ack").status_code == 403
    assert site.administrator.post(f"/alerts/{key}/explode").status_code == 422
    assert site.administrator.post(f"/alerts/{key}/ack", data={"back": "//evil"}).headers["location"] == "/"

    site.administrator.post(f"/alerts/{key_of(site, 'Tidy')}/silence", data={"duration": "1h"})
    until(site, "/alerts", ">silenced</span>")
    assert "1 silence hides 1 alert now." in headline(site.administrator, "/silences")


def test_silences_and_maintenance_are_made_and_ended_on_their_page(site: Served) -> None:
    client = site.administrator
    client.post("/silences", data={"matchers": 'tenant=~"globex|initech"', "duration": "2h", "comment": "moving"})
    assert "globex|initech" in client.get("/silences").text
    for silence in client.get("/alertmanager/api/v2/silences").json():
        client.post(f"/silences/{silence['id']}/expire")
    assert headline(client, "/silences") == "Nothing is silenced."

    client.post("/maintenance", data={"duration": "2h", "reason": "upgrade"})
    assert headline(client, "/silences").startswith("Maintenance is on: nobody is told until")
    assert "maintenance</span>" in client.get("/alerts").text
    client.post("/maintenance/end")
    assert headline(client, "/silences") == "Nothing is silenced."
    assert client.post("/silences", data={"matchers": "a=~'('", "duration": "1h"}).status_code == 422


def test_history_lists_filters_and_exports(site: Served) -> None:
    html = site.administrator.get("/alerts/history").text
    assert re.match(r"In the last hour \d+ alerts fired and", headline(site.administrator, "/alerts/history"))
    assert "/alerts/review" in html
    assert (
        "Tidy"
        not in site.administrator.get("/alerts/history", params={"name": "DatabaseDown"}).text.partition("Changes")[2]
    )

    path = "/api/v1/monitoring/alerts/history"
    first = site.administrator.get(path, params={"limit": 2}).json()
    second = site.administrator.get(path, params={"limit": 2, "before_id": first["next_before_id"]}).json()
    assert {one["id"] for one in first["changes"]}.isdisjoint({one["id"] for one in second["changes"]})
    csv = site.administrator.get(path, params={"format": "csv", "change": "firing", "severity": "P1"}).text.splitlines()
    assert csv[0] == "id,at,fingerprint,name,tenant,severity,change,actor,detail"
    assert len(csv) == 4
    later = datetime.now(UTC).isoformat()
    assert site.administrator.get(path, params={"start": later}).json()["changes"] == []
    assert site.administrator.get(path, params={"start": "yesterday-ish"}).status_code == 400


def test_history_page_has_its_changes_as_a_table_for_spreadsheets(site: Served) -> None:
    html = site.administrator.get("/alerts/history", params={"change": "firing", "range": "1h"}).text
    (address,) = re.findall(r'href="([^"]+)" download="alert-history.csv"', html)
    lines = site.administrator.get(unescape(address)).text.splitlines()
    assert lines[0].startswith("id,at,fingerprint,name")
    assert len(lines) > 4
    assert {line.split(",")[6] for line in lines[1:]} == {"firing"}


def test_review_says_what_made_people_act_and_what_was_false(site: Served) -> None:
    client = site.administrator
    for tenant, action in (("acme", "ack"), ("globex", "false-positive")):
        assert client.post(f"/api/v1/alerts/{key_of(site, 'HighErrors', tenant)}/{action}").status_code == 200
    found = client.get("/api/v1/alerts/review", params={"last": "1h"}).json()
    row = next(one for one in found["names"] if one["name"] == "HighErrors")

    assert (row["fired"], row["actionable_ratio"], row["false_positive_ratio"], row["proposal"]) == (2, 0.5, 0.5, "")
    assert row["median_acknowledge_seconds"] >= 0
    assert found["critical"]["false"] == 1
    html = client.get("/alerts/review").text
    assert 'id="v-HighErrors"' in html
    assert "Of critical alerts" in html
    assert "globex" not in site.tom.get("/alerts/review").text
    assert "DatabaseDown" not in site.tom.get("/alerts/review").text


def test_one_call_feeds_the_board(site: Served) -> None:
    board = site.administrator.get("/api/v1/monitoring/dashboard", params={"range": "1h"}).json()

    assert board["alerts"]["by_severity"]["P0"] == 1
    assert board["alerts"]["worst"][0]["name"] == "DatabaseDown"
    assert board["requests"]["requests"] == 0
    acme = site.tom.get("/api/v1/monitoring/dashboard").json()
    assert {one["tenant"] for one in acme["alerts"]["worst"]} == {"acme"}


def test_board_of_the_application_shows_what_fires(site: Served) -> None:
    html = site.administrator.get("/dashboards/application").text

    assert "Active Alerts" in html
    assert "DatabaseDown</a>" in html
    assert "Acknowledge" in html


def test_status_storm_and_review_answer(site: Served) -> None:
    client = site.administrator

    assert client.get("/api/v1/alerts/status").json()["firing"] == 4
    assert client.get("/api/v1/alerts/storm").json()["compression"] == 0.25
    assert {row["name"] for row in client.get("/api/v1/alerts/review").json()["names"]} >= {"DatabaseDown", "Tidy"}
    assert client.get("/api/v1/alerts", params={"severity": "P9"}).status_code == 422


def test_resolved_by_hand_is_over(site: Served) -> None:
    key = key_of(site, "HighErrors", "globex")
    site.administrator.post(f"/alerts/{key}/resolve")

    assert "is over; it began" in headline(site.administrator, f"/alerts/{key}")
    over = site.administrator.get("/api/v1/alerts", params={"state": "resolved"}).json()["alerts"]
    assert [one["fingerprint"] for one in over] == [key]


def test_alert_says_why_who_was_told_at_a_past_instant(site: Served) -> None:
    path = f"/alerts/{key_of(site, 'DatabaseDown')}"
    until(site, path, "default was told at")
    now = datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat()

    html = site.administrator.get(path, params={"at": now}).text
    assert re.search(r'<div id="then"><p class="note">default was told at 20\d\d-', html)
    assert "it fired only at" in site.administrator.get(path, params={"at": "2020-01-01T03:12"}).text
    assert 'id="then"' not in site.administrator.get(path, params={"at": "no time"}).text
    told = site.administrator.get(f"/api/v1{path}", params={"at": "2020-01-01T03:12:00+01:00"}).json()["then"]
    assert (told["state"], told["at"][:16]) == ("unknown", "2020-01-01T02:12")


def test_links_of_messages_lead_to_their_alert_and_fill_the_silence(site: Served) -> None:
    """The links of a message as they are sent, followed: open, acknowledge, silence."""
    links = {}
    for labels in ALERTS[1:3]:
        alert = Alert(labels, {}, starts_at=datetime.now(UTC))
        detail = site.administrator.get(f"/api/v1/alerts/{alert.fingerprint}").json()
        group = detail["explanation"]["routes"][0]["group_key"]
        told = Notification("k", "default", group, {}, (alert,), (), alert.starts_at, external_url="http://x")
        links[labels["tenant"]] = {link.label: link.url.removeprefix("http://x") for link in text_of(told).links}

    acme = site.administrator.get(links["acme"]["Open"])
    assert (acme.status_code, acme.headers["location"]) == (
        303,
        f"/alerts/{key_of(site, 'HighErrors', 'acme')}?range=1h",
    )
    assert site.administrator.get(links["acme"]["Acknowledge"]).headers["location"] == acme.headers["location"]
    declared = site.administrator.get(links["acme"]["Declare"]).headers["location"]
    assert '<button class="button">Declare incident</button>' in site.administrator.get(declared).text
    form = site.administrator.get(links["acme"]["Silence"]).text
    assert 'value="alertname=&#34;HighErrors&#34;, service=&#34;orders&#34;' in form
    assert "not yours to see" in site.tom.get(links["globex"]["Open"]).text


def test_group_of_a_message_is_acknowledged_at_once(site: Served) -> None:
    body = [{"labels": {"alertname": "Flood", "severity": "warning", "host": host}} for host in "ab"]
    assert site.administrator.post("/alertmanager/api/v2/alerts", json=body).status_code == 200
    group = '{}:{alertname="Flood"}'
    html = site.administrator.get("/alerts", params={"group": group, "do": "acknowledge"}).text
    assert '<button class="button">Acknowledge 2</button>' in html
    assert site.tom.post("/alerts-acknowledge", data={"group": group}).status_code == 403
    done = site.administrator.post("/alerts-acknowledge", data={"group": group})
    assert (done.status_code, done.headers["location"]) == (303, "/alerts?group=%7B%7D%3A%7Balertname%3D%22Flood%22%7D")
    found = site.administrator.get("/api/v1/alerts", params={"name": "Flood"}).json()["alerts"]
    assert [one["handling"]["acknowledged_by"] for one in found] == ["TOCSIN_ADMIN_TOKEN"] * 2
    assert "No alert of that group is known any more" in site.administrator.get("/alerts?group=gone").text
    for one in found:
        site.administrator.post(f"/api/v1/alerts/{one['fingerprint']}/resolve")


def test_group_of_a_message_is_declared_an_incident(site: Served) -> None:
    body = [{"labels": {"alertname": "Sunk", "severity": "warning", "host": host}} for host in "ab"]
    assert site.administrator.post("/alertmanager/api/v2/alerts", json=body).status_code == 200
    group = '{}:{alertname="Sunk"}'
    html = site.administrator.get("/alerts", params={"group": group, "do": "declare"}).text
    assert '<button class="button">Declare incident</button>' in html
    assert site.tom.post("/alerts-declare", data={"group": group}).status_code == 403
    assert site.administrator.post("/alerts-declare", data={"group": group}).status_code == 303
    html = site.administrator.get("/alerts", params={"group": group}).text
    assert html.count('title="declared by ') >= 2
    assert "Declare incident" not in html
    key = key_of(site, "Sunk")
    assert site.administrator.post(f"/api/v1/alerts/{key}/declare").json()["handling"]["declared_by"]
    assert "declared <span" in site.administrator.get(f"/alerts/{key}").text
