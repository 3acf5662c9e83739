"""Errors over a running server: found, decided about, come back; acme never sees globex's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from served import ADMIN_TOKEN, EXPORT, Served, served
from telemetry_rows import NOW_NS, SAY

import waiting
from otlp import SECOND_NS, counter, exception, metric_request, number, span, trace_request
from tocsin.model.errors import ErrorDecision, ErrorState
from tocsin.query.error_history import ErrorHistory, SeenIn
from tocsin.web import error_headline
from tocsin.web.error_list import ErrorRow
from waiting import eventually

pytestmark = pytest.mark.xdist_group("errors")

FAULT = "9f2c01aa77de41b0"
SHOP = {"service.name": "reports", "service.version": "3.0"}
STACK = 'Traceback (most recent call last):\n  File "/srv/app/rates.py", line 5, in convert\nValueError: no rate'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("errors")) as running:
        wrong = {"http.request.method": "POST", "http.route": EXPORT}
        refused = [span(status_code=code, tenant="acme", method="POST", route=EXPORT) for code in (404, 422, 422)]
        refused += [span(status_code=422, tenant="globex", method="POST", route="/globex-only")]
        now = time.time_ns()
        for each in refused:
            each.start_time_unix_nano, each.end_time_unix_nano = now - SECOND_NS, now
        send(running, "traces", trace_request(refused, SHOP))
        points = [
            number(of, time_ns=now, attrs=wrong | {"route": EXPORT, "method": "POST", "field": field, "type": "missing",
                                                   "tocsin.tenant": tenant})
            for of, field, tenant in ((7, "body.rate", "acme"), (2, "body.currency", "globex"))
        ]  # fmt: skip
        send(running, "metrics", metric_request([counter("http_validation_errors_total", points, temporality=1)], SHOP))
        ask = running.administrator.get
        eventually(lambda: len(ask("/api/v1/errors/fields").json()["fields"]) == 2, "the fields are there")
        eventually(lambda: len(ask("/api/v1/errors/clients").json()["endpoints"]) == 2, "the endpoints are there")
        yield running


def send(site: Served, signal: str, request: Any) -> None:
    headers = {"Content-Type": "application/x-protobuf"}
    answer = httpx2.post(f"{site.url}/v1/{signal}", content=request.SerializeToString(), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def raised(release: str, fingerprint: str, tenant: str = "acme") -> Any:
    now = time.time_ns()
    event = exception("app.RateError", "no rate", STACK, now, **{"tocsin.error.fingerprint": fingerprint})
    made = span(
        start_ns=now - SECOND_NS, seconds=1, tenant=tenant, method="POST", route=EXPORT, status=2, events=[event]
    )
    return trace_request([made], SHOP | {"service.version": release})


def await_error(site: Served, fingerprint: str) -> None:
    path = f"/api/v1/errors/{fingerprint}"
    eventually(lambda: site.administrator.get(path).status_code == 200, f"{fingerprint} is visible")


def error(site: Served, fingerprint: str = FAULT) -> Any:
    answer = site.administrator.get(f"/api/v1/errors/{fingerprint}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def decide(site: Served, fingerprint: str, action: str, **how: Any) -> httpx2.Response:
    return site.administrator.post(f"/api/v1/errors/{fingerprint}/{action}", json=how)


def headline(html: str) -> str:
    found = re.search(r'<h1 class="headline"[^>]*>(.*?)</h1>', html, re.DOTALL)
    assert found, html
    return re.sub(r"<[^>]+>", "", found[1]).strip()


def test_the_page_says_what_began_with_which_release_and_whom_it_hits(site: Served) -> None:
    html = site.administrator.get("/errors").text
    said = headline(html)
    assert re.fullmatch(rf"RateError began with release 2\.1 at \d\d:\d\d and hits acme on POST {EXPORT}\.", said), said
    assert f'href="/errors/{FAULT}?range=1h' in html
    assert "&lt;b&gt;no rate&lt;/b&gt; for USD" in html
    assert "app/export.py:88 in export" in re.sub(r"<wbr>", "", html)


def test_client_errors_stand_beside_it(site: Served) -> None:
    html = site.administrator.get("/errors").text
    assert "body<wbr>.rate" in html
    assert "/globex-only" in re.sub("<wbr>", "", html)
    mine = site.tom.get("/errors").text
    assert "body<wbr>.rate" in mine
    assert "globex" not in mine
    assert "currency" not in mine


def test_client_errors_and_fields_are_told_to_programs_within_their_scope(site: Served) -> None:
    found = site.administrator.get("/api/v1/errors/clients").json()["endpoints"]
    assert [(row["route"], row["client_errors"], row["tenants"]) for row in found] == [
        (EXPORT, 3, ["acme"]),
        ("/globex-only", 1, ["globex"]),
    ]
    assert found[0]["statuses"] == [[422, 2], [404, 1]]
    fields = site.administrator.get("/api/v1/errors/fields?tenant=acme").json()["fields"]
    assert [(row["field"], row["type"], row["tenant"], row["count"]) for row in fields] == [
        ("body.rate", "missing", "acme", 7)
    ]
    assert site.tom.get("/api/v1/errors/fields?tenant=globex").json() == {"fields": []}
    of_route = f"/api/v1/errors/fields?service=reports&method=POST&route={EXPORT}"
    assert len(site.administrator.get(of_route).json()["fields"]) == 2
    assert site.administrator.get("/api/v1/errors/fields?route=/other").json() == {"fields": []}


def test_the_endpoint_shows_its_fields_and_errors(site: Served) -> None:
    html = site.administrator.get(f"/services/reports/endpoint?method=POST&route={EXPORT}").text
    assert "body<wbr>.rate" in html
    assert f'href="/errors/{FAULT}' in html


def test_detail_has_stack_course_releases_and_traces(site: Served) -> None:
    html = site.administrator.get(f"/errors/{FAULT}").text
    assert "line 88, in export" in html
    assert 'data-chart="course"' in html
    assert "Resolve</button>" in html
    found = error(site)
    assert (found["state"], found["is_new"], found["first_release"], found["total"]) == ("open", True, "2.1", 40)
    assert found["seen_by_tenants"][0]["name"] == "acme"
    assert sum(found["course"]["by_tenant"]["acme"]) == 40


def test_a_tenant_sees_its_own_errors_and_decides_nothing(site: Served) -> None:
    send(site, "traces", raised("1", "globexfault", "globex"))
    await_error(site, "globexfault")
    assert site.tom.get("/api/v1/errors/globexfault").status_code == 404
    assert site.tom.get("/errors/globexfault").status_code == 404
    html = site.tom.get(f"/errors/{FAULT}").text
    assert "Resolve</button>" not in html
    for action in ("resolve", "ignore", "reopen"):
        assert site.tom.post(f"/api/v1/errors/{FAULT}/{action}", json={}).status_code == 403
        assert site.tom.post(f"/errors/{FAULT}/{action}", data={}).status_code == 403


def test_resolved_comes_back_when_it_is_seen_again_and_the_audit_tells(site: Served) -> None:
    send(site, "traces", raised("1", "back"))
    await_error(site, "back")
    assert decide(site, "back", "resolve", note="fixed in 4711").json()["note"] == "fixed in 4711"
    assert error(site, "back")["state"] == "resolved"
    listed = site.administrator.get("/api/v1/errors?state=resolved").json()["errors"]
    assert [each["fingerprint"] for each in listed] == ["back"]
    assert "back" not in site.administrator.get("/errors?tab=open").text.split("<tbody>")[1].split("</tbody>")[0]
    send(site, "traces", raised("1", "back"))
    eventually(lambda: error(site, "back")["state"] == "regressed", "it is a regression")
    assert "came back" in headline(site.administrator.get("/errors").text)
    assert decide(site, "back", "reopen").status_code == 204
    assert error(site, "back")["state"] == "open"
    html = site.administrator.get("/errors/back").text
    assert "fixed in 4711" in html
    assert "reopened it" in html
    audit = site.administrator.get("/api/v1/audit").json()["entries"]
    assert [each["action"] for each in audit if each["object"] == "back"][:2] == ["error.reopen", "error.resolve"]


def test_resolved_in_the_next_release_is_not_regressed_by_the_running_one(site: Served) -> None:
    send(site, "traces", raised("5.0", "next"))
    await_error(site, "next")
    assert "5.0" in decide(site, "next", "resolve", in_next_release=True).json()["releases"]
    send(site, "traces", raised("5.0", "next"))
    eventually(lambda: error(site, "next")["total"] == 2, "both are counted")
    assert error(site, "next")["state"] == "resolved"
    send(site, "traces", raised("5.1", "next"))
    eventually(lambda: error(site, "next")["state"] == "regressed", "it is a regression")


def test_ignored_until_it_occurs_more_often(site: Served) -> None:
    send(site, "traces", raised("1", "often"))
    await_error(site, "often")
    assert decide(site, "often", "ignore", occurrences=1).status_code == 200
    assert error(site, "often")["state"] == "ignored"
    send(site, "traces", raised("1", "often"))
    eventually(lambda: error(site, "often")["state"] == "open", "it is open again")
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert decide(site, "often", "ignore", until=past).status_code == 422


def test_unknown_errors_and_words_are_refused_with_what_to_do(site: Served) -> None:
    assert site.administrator.get("/errors/nothing").status_code == 404
    assert "never occurred" in decide(site, "nothing", "resolve").json()["detail"]
    assert site.administrator.get("/errors?tab=bogus").status_code == 400
    assert site.administrator.get("/api/v1/errors?state=bogus").status_code == 422
    assert decide(site, FAULT, "reopen").status_code == 404


@pytest.mark.parametrize("path", ["/errors", f"/errors/{FAULT}"])
def test_every_card_names_a_call_that_answers(site: Served, path: str) -> None:
    html = site.administrator.get(path).text
    calls = [call.replace("&amp;", "&") for call in re.findall(r'<p class="mono">GET ([^<]+)</p>', html)]
    assert calls
    for call in calls:
        assert site.administrator.get(call).status_code == 200, call


def test_forms_need_the_token_of_their_session(site: Served) -> None:
    with httpx2.Client(base_url=site.url, headers={"Cookie": "tocsin_session=anything"}) as browser:
        assert browser.post(f"/errors/{FAULT}/resolve", data={"when": "now"}).status_code == 403
    bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = waiting.post(f"{site.url}/errors/{FAULT}/ignore", data={"until": "1h"}, headers=bearer)
    assert answer.status_code == 303
    assert error(site)["state"] == "ignored"
    assert "is ignored until" in headline(site.administrator.get(f"/errors/{FAULT}").text)
    assert decide(site, FAULT, "reopen").status_code == 204


HISTORY = ErrorHistory(
    "f", "app.RateError", "no rate", "app/rates.py:5 in convert", 9, NOW_NS - 50 * 3600 * SECOND_NS, NOW_NS,
    (SeenIn("1.0", 9, 0, 0),), (SeenIn("acme", 9, 0, 0),), (), ("shop",), "ab" * 16,
)  # fmt: skip
ROW = ErrorRow(HISTORY, 4, ["acme", "globex"], ["POST /a"], ErrorState.OPEN, False, None, None)


def test_headline_counts_what_is_new_and_came_back() -> None:
    back = replace(ROW, state=ErrorState.REGRESSED)
    said = error_headline.errors(SAY, [back, replace(ROW, is_new=True), replace(ROW, is_new=True)])
    assert said.text.startswith("RateError came back in release 1.0, last at ")
    assert said.sub_text == "3 groups open · two are new in the last hour · one came back"
    assert said.state == "bad"


def test_headline_of_what_is_long_known_is_a_warning() -> None:
    said = error_headline.errors(SAY, [ROW])
    assert said.state == "warn"
    assert "occurred 4 times in the last hour, known since" in said.text
    assert said.text.endswith("and hits acme and globex on POST /a.")


def test_headline_is_quiet_when_everything_is_decided() -> None:
    assert error_headline.errors(SAY, []).state == "ok"
    decision = ErrorDecision("f", True, datetime.now(UTC), "ada")
    done = replace(ROW, state=ErrorState.RESOLVED, decision=decision)
    assert error_headline.errors(SAY, [done]).text == "Every error is resolved or ignored."
    assert "ada said so" in error_headline.error(SAY, done).text
