"""Rules over a running server: Prometheus' API, REST, the pages, and who sees what."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from served import Served

import waiting
from group_servers import GroupServer
from otlp import SECOND_NS, log_record, log_request, span, trace_request
from waiting import eventually

pytestmark = pytest.mark.xdist_group("metered")

PROMETHEUS = "/prometheus/api/v1"
API = "/api/v1/rules"
MINE = """groups:
  - name: mine
    interval: 1s
    rules:
      - record: tenant:requests:rate5m
        expr: sum by (tenant) (rate(http_requests_total[5m]))
      - alert: Busy
        expr: tenant:requests:rate5m > 1.5
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.tenant }} makes {{ $value | humanize }} a second"}
      - alert: Calm
        expr: tenant:requests:rate5m > 1000
        for: 5m
      - alert: Broken
        expr: fleet_up * on (job) group_left () queue_depth
"""


@pytest.fixture(scope="module")
def ruled(metered_servers: GroupServer) -> Iterator[Served]:
    metered = metered_servers.served()
    answer = metered.administrator.put(f"{API}/files/mine", content=MINE)
    assert answer.status_code == 200, answer.text
    eventually(lambda: mine(metered.administrator)["Broken"]["health"] != "unknown", "the rules are evaluated")
    eventually(lambda: alerts(metered.administrator), "an alert fires")
    yield metered
    metered.administrator.delete(f"{API}/files/mine")


def alerts(client: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{PROMETHEUS}/alerts").json()["data"]["alerts"]
    return found


def groups(client: Any, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{PROMETHEUS}/rules", params=parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]["groups"]
    return found


def mine(client: Any, **parameters: Any) -> dict[str, dict[str, Any]]:
    return {
        rule["name"]: rule
        for group in groups(client, **{"rule_group[]": "mine", **parameters})
        for rule in group["rules"]
    }


def key_of(client: Any, name: str) -> str:
    found = client.get(API).json()["groups"]
    return next(str(rule["key"]) for group in found for rule in group["rules"] if rule["name"] == name)


def test_alert_of_a_rule_made_here_is_told_as_prometheus_tells_it(ruled: Served) -> None:
    [alert] = [one for one in alerts(ruled.administrator) if one["labels"]["alertname"] == "Busy"]

    assert alert["labels"] == {"alertname": "Busy", "severity": "warning", "tenant": "acme"}
    assert alert["annotations"] == {"summary": "acme makes 2 a second"}
    assert (alert["state"], alert["value"]) == ("firing", "2e+00")


def test_rules_say_health_state_and_error(ruled: Served) -> None:
    rules = mine(ruled.administrator)

    assert [rules[name]["health"] for name in ("tenant:requests:rate5m", "Busy", "Calm", "Broken")] == [
        "ok", "ok", "ok", "err",
    ]  # fmt: skip
    assert (rules["Busy"]["state"], rules["Calm"]["state"], rules["Calm"]["duration"]) == ("firing", "inactive", 300)
    assert "many-to-many" in rules["Broken"]["lastError"] or "duplicate" in rules["Broken"]["lastError"]
    assert rules["Busy"]["alerts"][0]["labels"]["tenant"] == "acme"


def test_rules_are_filtered_and_paged(ruled: Served) -> None:
    client = ruled.administrator
    assert set(mine(client, type="record")) == {"tenant:requests:rate5m"}
    assert set(mine(client, **{"rule_name[]": "Calm"})) == {"Calm"}
    assert set(mine(client, **{"match[]": '{severity="warning"}'})) == {"Busy"}
    assert mine(client, exclude_alerts="true")["Busy"]["alerts"] == []
    assert {group["file"] for group in groups(client, **{"file[]": "custom/mine"})} == {"custom/mine"}
    first = client.get(f"{PROMETHEUS}/rules", params={"group_limit": 2}).json()["data"]
    assert len(first["groups"]) == 2
    more = {"group_limit": 100, "group_next_token": first["groupNextToken"]}
    rest = client.get(f"{PROMETHEUS}/rules", params=more).json()["data"]
    assert len(first["groups"]) + len(rest["groups"]) == len(groups(client))
    assert "groupNextToken" not in rest
    assert client.get(f"{PROMETHEUS}/rules", params={"type": "x"}).status_code == 400
    assert client.get(f"{PROMETHEUS}/rules", params={"group_next_token": "x"}).status_code == 400


def test_who_sees_one_tenant_sees_its_alerts_and_no_rules_of_the_platform(ruled: Served) -> None:
    assert {alert["labels"]["tenant"] for alert in alerts(ruled.tom)} == {"acme"}
    assert groups(ruled.tom) == []
    assert ruled.tom.get(f"{API}/{key_of(ruled.administrator, 'Busy')}").status_code == 404
    assert ruled.tom.put(f"{API}/files/x", content=MINE).status_code == 403
    assert ruled.tom.post("/-/reload").status_code == 403
    assert ruled.administrator.post("/-/reload").status_code == 200


def test_rules_of_a_tenant_read_its_series_alone_and_are_seen_by_it(ruled: Served) -> None:
    text = "tocsin: {tenant: acme}\ngroups: [{name: own, interval: 1s, rules: [{alert: Own, expr: queue_depth > 0}]}]"
    assert ruled.administrator.put(f"{API}/files/own", content=text).status_code == 200
    try:
        found = eventually(
            lambda: [one for one in alerts(ruled.tom) if one["labels"]["alertname"] == "Own"], "the rule fires"
        )
        assert {one["labels"]["tenant"] for one in found} == {"acme"}
        assert [group["name"] for group in groups(ruled.tom)] == ["own"]
    finally:
        ruled.administrator.delete(f"{API}/files/own")


def test_why_a_rule_fires_and_why_not(ruled: Served) -> None:
    busy = ruled.administrator.get(f"{API}/{key_of(ruled.administrator, 'Busy')}").json()
    verdicts = {one["labels"]["tenant"]: one for one in busy["verdicts"]}
    assert (busy["measured"], busy["operator"], busy["threshold"]) == ("tenant:requests:rate5m", ">", 1.5)
    assert verdicts["acme"]["state"] == "firing"
    assert (verdicts["globex"]["state"], verdicts["globex"]["reason"]) == ("inactive", "1 is not > 1.5")


def test_preview_tells_when_it_would_have_fired(ruled: Served) -> None:
    asked = {"for": "5m", "since": "30m"}
    found = ruled.administrator.post(
        f"{API}/preview", params=asked, content="sum by (tenant) (rate(http_requests_total[5m])) > 1.5"
    ).json()

    assert (found["threshold"], len(found["series"])) == (1.5, 2)
    [period] = found["periods"]
    assert period["labels"]["tenant"] == "acme"
    assert period["fired_at"] is not None
    assert period["ended_at"] is None
    bad = ruled.administrator.post(f"{API}/preview", content="sum(")
    assert bad.status_code == 422


def test_backtest_counts_fires_over_history(ruled: Served) -> None:
    found = ruled.administrator.post(f"{API}/backtest", params={"since": "40m"}, content=MINE).json()

    fires = {rule["rule"]: rule["fires"] for rule in found["rules"]}
    assert (fires["Busy"], fires["Calm"]) == (1, 0)
    assert next(rule["error"] for rule in found["rules"] if rule["rule"] == "Broken")


def test_backtest_is_judged_by_incidents_and_by_what_was_called_false(ruled: Served) -> None:
    def busy() -> dict[str, Any]:
        found = ruled.administrator.post(f"{API}/backtest", params={"since": "40m"}, content=MINE).json()
        return next(rule for rule in found["rules"] if rule["rule"] == "Busy")

    assert (busy()["unjudged"], busy()["precision"]) == (1, None)
    incident = log_record("exports fail", time_ns=time.time_ns(), event_name="tocsin.incident", attrs={"seconds": 60})
    body = log_request([incident]).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    assert waiting.post(f"{ruled.url}/v1/logs", content=body, headers=headers).status_code == 200
    eventually(busy, "the incident makes it a real one", pause_seconds=0.2, is_it=lambda rule: rule["real"] == 1)
    assert (busy()["precision"], busy()["missed"]) == (1.0, 0)

    (known, *_) = ruled.administrator.get("/api/v1/alerts", params={"name": "Busy"}).json()["alerts"]
    assert ruled.administrator.post(f"/api/v1/alerts/{known['fingerprint']}/false-positive").status_code == 200
    assert (busy()["noise"], busy()["precision"]) == (1, 0.0)


def test_bad_rules_are_refused_with_the_line(ruled: Served) -> None:
    text = MINE.replace("expr: tenant", "exrp: tenant", 1)
    answer = ruled.administrator.put(f"{API}/files/mine", content=text)
    assert answer.status_code == 422
    assert "line 8" in answer.json()["detail"]
    assert "did you mean 'expr'" in answer.json()["detail"]
    checked = ruled.administrator.post(f"{API}/validate", content=text).json()
    assert len(checked["problems"]) == 2
    assert ruled.administrator.put(f"{API}/files/NO", content=MINE).status_code == 422


def test_switching_a_rule_off_resolves_it_and_is_audited(ruled: Served) -> None:
    key = key_of(ruled.administrator, "Busy")
    try:
        assert ruled.administrator.post(f"{API}/{key}/switch", json={"is_on": False}).status_code == 204
        assert [one for one in alerts(ruled.administrator) if one["labels"]["alertname"] == "Busy"] == []
        assert "rule.switch_off" in ruled.administrator.get("/settings/audit").text
        assert "switched off" in ruled.administrator.get(f"/rules/{key}").text
    finally:
        ruled.administrator.post(f"{API}/{key}/switch", json={"is_on": True})


def test_shipped_rules_wait_for_what_is_not_there(ruled: Served) -> None:
    found = ruled.administrator.get(API).json()["groups"]
    backup = next(rule for group in found for rule in group["rules"] if rule["name"] == "Backup Failed")
    assert (backup["state"], backup["waits_for"]) == ("off", "checks of backups")
    text = ruled.administrator.get(f"/rules/{backup['key']}").text
    assert "waits for checks of backups" in text


def test_pages_say_what_fires_and_why(ruled: Served) -> None:
    list_page = ruled.administrator.get("/rules").text
    assert "rules fire" in list_page or "fires" in list_page
    assert "Broken" in list_page
    assert "cannot be evaluated" in list_page
    assert "Rule &#39;Broken&#39; cannot be evaluated: " in ruled.administrator.get("/alerts").text
    key = key_of(ruled.administrator, "Calm")
    text = ruled.administrator.get(f"/rules/{key}").text
    assert "does not fire" in text
    assert "is not &gt; 1000" in text
    assert "Switch off" in text
    for at in ("2026-01-01T10:00", "1700000000"):
        assert "nothing was measured" in ruled.administrator.get(f"/rules/{key}", params={"at": at}).text.lower()
    assert ruled.administrator.get("/rules", params={"show": "failing"}).text.count('id="r-') == 1


def test_rules_are_edited_with_a_preview_and_two_people_do_not_overwrite_each_other(ruled: Served) -> None:
    client = ruled.administrator
    text = client.get("/rules-edit/mine").text
    assert "tenant:requests:rate5m" in text
    form = {"text": MINE, "version": "1", "action": "check"}
    checked = client.post("/rules-edit/mine", data=form).text
    assert "would have fired" in checked
    assert re.search(r"Of those that somebody judged, \d|Nobody has judged any of them", checked)
    assert 'data-chart="p' in checked
    broken = client.post("/rules-edit/mine", data={**form, "text": "groups: ["}).text
    assert "this is no YAML" in broken
    stale = client.post("/rules-edit/mine", data={**form, "version": "0", "action": "save"}).text
    assert "changed them meanwhile" in stale


SEEN = """groups:
  - name: seen
    interval: 1s
    rules:
      - alert: Lines
        expr: sum by (tenant) (count_over_time({service_name="shop"} |= "card refused" [5m])) > 1
        tocsin: {source: logs}
      - alert: Crossings
        tocsin: {events: {name: card.refused, by: [tenant], count: 2}}
      - alert: Spans
        annotations: {summary: "{{ $value }} of {{ $labels.tenant }} at {{ $labels.http_route }}"}
        tocsin: {traces: {route: /pay, is_error: true, by: [tenant, http.route], count: 2}}
"""


@pytest.fixture(scope="module")
def seen(metered_servers: GroupServer) -> Iterator[Served]:
    """Two refused cards of acme and one of globex: as lines, as events and as spans, with rules over each."""
    metered = metered_servers.served()
    for tenant in ("acme", "acme", "globex"):
        at_ns = time.time_ns() - 60 * SECOND_NS  # grids of previews end at a whole quarter of a minute
        attrs = {"tocsin.tenant": tenant}
        line = log_record("card refused", time_ns=at_ns, attrs=attrs)
        event = log_record("", time_ns=at_ns, event_name="card.refused", attrs=attrs)
        failed = span(tenant=tenant, route="/pay", status=2, start_ns=at_ns, seconds=0.01)
        for path, message in (("logs", log_request([line, event])), ("traces", trace_request([failed]))):
            headers = {"Content-Type": "application/x-protobuf"}
            answer = waiting.post(f"{metered.url}/v1/{path}", content=message.SerializeToString(), headers=headers)
            assert answer.status_code == 200, answer.text
    assert metered.administrator.put(f"{API}/files/seen", content=SEEN).status_code == 200
    eventually(
        lambda: [one["labels"] for one in alerts(metered.administrator)],
        "all three rules fire",
        is_it=lambda firing: sum(labels["alertname"] in SEEN for labels in firing) >= 3,
    )
    yield metered
    metered.administrator.delete(f"{API}/files/seen")


@pytest.mark.parametrize(
    ("name", "threshold", "counted"),
    [
        ("Lines", "2 > 1", "LogQL over logs"),
        ("Crossings", "2 >= 2", "Counts events: card.refused; by tenant within 5m; fires from 2 on."),
        ("Spans", "2 >= 2", "Counts spans: route is /pay, failed; by tenant, http.route within 5m; fires from 2 on."),
    ],
)
def test_rules_over_lines_events_and_spans_have_chart_and_reason(
    seen: Served, name: str, threshold: str, counted: str
) -> None:
    key = key_of(seen.administrator, name)
    why = seen.administrator.get(f"{API}/{key}").json()
    verdicts = {one["labels"]["tenant"]: (one["state"], one["reason"]) for one in why["verdicts"]}
    assert verdicts["acme"] == ("firing", threshold)
    assert verdicts["globex"][0] == "inactive"
    page = seen.administrator.get(f"/rules/{key}").text
    assert 'data-chart="rule"' in page
    assert counted in page


def test_the_editor_previews_rules_over_lines_events_and_spans(seen: Served) -> None:
    checked = seen.administrator.post("/rules-edit/seen", data={"text": SEEN, "version": "1", "action": "check"}).text
    assert "they would have fired 3 times" in checked
    assert [f'data-chart="p{place}"' in checked for place in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("over", "text", "threshold"),
    [
        ("logs", 'sum by (tenant) (count_over_time({service_name="shop"} |= "card refused" [5m])) > 1', 1),
        ("events", "{name: card.refused, by: [tenant], count: 2}", 2),
        ("traces", "route: /pay\nis_error: true\nby: [tenant]\ncount: 2", 2),
    ],
)
def test_preview_is_of_lines_events_and_spans_too(seen: Served, over: str, text: str, threshold: float) -> None:
    found = seen.administrator.post(f"{API}/preview", params={"over": over, "since": "30m"}, content=text).json()

    assert found["threshold"] == threshold
    assert {one["labels"]["tenant"] for one in found["series"]} == {"acme", "globex"}
    assert [one["labels"]["tenant"] for one in found["periods"]] == ["acme"]
    bad = seen.administrator.post(f"{API}/preview", params={"over": over}, content="{nmae: x}")
    assert (bad.status_code, "cannot preview this rule" in bad.text) == (422, True)


def test_a_tenants_rule_over_spans_counts_that_tenants_alone_and_its_viewer_sees_why(seen: Served) -> None:
    rule = "{alert: Own, tocsin: {traces: {route: /pay, by: [tenant]}}}"
    text = f"tocsin: {{tenant: acme}}\ngroups: [{{name: own, rules: [{rule}]}}]"
    assert seen.administrator.put(f"{API}/files/own", content=text).status_code == 200
    try:
        for client in (seen.administrator, seen.tom):
            why = client.get(f"{API}/{key_of(client, 'Own')}").json()
            assert [(one["labels"]["tenant"], one["value"]) for one in why["verdicts"]] == [("acme", 2)]
    finally:
        seen.administrator.delete(f"{API}/files/own")


def test_export_is_plain_prometheus(ruled: Served) -> None:
    text = ruled.administrator.get(f"{API}/export", params={"file": "packs/hosts"}).text
    assert "alert: High CPU" in text
    assert "tocsin:" not in text
    assert "${" not in text
    assert ruled.administrator.get(f"{API}/export", params={"file": "none"}).status_code == 404


def test_alert_shows_what_its_rule_measured_of_its_own_series(ruled: Served) -> None:
    path = f"/alerts/{known_alert(ruled)}"
    drawn = 'data-chart="alert" data-label="tenant:requests:rate5m"'
    eventually(lambda: ruled.administrator.get(path).text, "it is drawn", is_it=lambda text: drawn in text)
    seen_by_tom = ruled.tom.get(path).text
    assert 'data-chart="alert" data-label="Busy"' in seen_by_tom  # rules over all are not his to see
    assert "globex" not in seen_by_tom


def test_false_alarms_stand_beside_their_rule(ruled: Served) -> None:
    key = known_alert(ruled)
    counts = []
    for _ in range(2):
        assert ruled.administrator.post(f"/api/v1/alerts/{key}/false-positive").status_code == 200
        listed = ruled.administrator.get(API).json()["groups"]
        [busy] = [rule for group in listed for rule in group["rules"] if rule["name"] == "Busy"]
        counts.append(busy["false_positives"])
    assert counts[0] == counts[1] >= 1  # once a firing
    assert (busy["demoted_from"], busy["severity"]) == ("", "P3")
    assert busy["false_positive_ratio"] == min(1, counts[0] / busy["fired"])
    assert f'title="{counts[0]} of {busy["fired"]} firings"' in ruled.administrator.get("/rules").text
    assert "as people said" in ruled.administrator.get(f"/rules/{busy['key']}").text


def known_alert(ruled: Served) -> str:
    """The fingerprint of Busy, once the pipeline has it."""
    client = ruled.administrator
    found = eventually(
        lambda: client.get("/api/v1/alerts", params={"name": "Busy"}).json()["alerts"], "Busy is in the pipeline"
    )
    return str(found[0]["fingerprint"])


def test_every_shipped_runbook_is_a_page_that_rules_and_alerts_lead_to(ruled: Served) -> None:
    client = ruled.administrator
    key = key_of(client, "High CPU")
    assert 'href="/runbooks/high-cpu"' in client.get(f"/rules/{key}").text
    page = client.get("/runbooks/high-cpu").text
    assert '<h1 class="headline">High CPU</h1>' in page
    assert "<b>Do:</b>" in page
    assert f"/rules/{key}" in page
    assert ruled.tom.get("/runbooks/high-cpu").status_code == 200
    for name in ("none", "..%2fcli", "High-CPU"):
        assert client.get(f"/runbooks/{name}").status_code == 404
