"""The isolation page: its sentence, its tables, and what a tenant's reader must never learn from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from served import Served, served
from telemetry_rows import NOW_NS, SAY, TRACE_ID

from mixed_tenants import STATEMENT, TRACE, all_of_it, crossing, events, named
from otlp import SECOND_NS
from tocsin.query.isolation import Coverage, Crossing
from tocsin.web.isolation_headline import isolation
from tocsin.web.words import Headline
from waiting import eventually

pytestmark = pytest.mark.xdist_group("isolation")

CROSSED = Crossing(
    "row", "reports", "org_id", "no condition on reports.org_id in the statement", STATEMENT, "f1",
    "routes/reports.py", 53, "recent", "GET", "/reports/recent", "shop", "acme", "globex", "", True, 3, 12,
    NOW_NS - 480 * SECOND_NS, NOW_NS, TRACE_ID,
)  # fmt: skip
WELL = Coverage("", {"scoped": 900, "rows": 100}, {}, 1_200_000)


def said(*crossings: Crossing, total: Coverage = WELL, tenants: int = 14, is_platform: bool = True) -> Headline:
    return isolation(SAY, crossings, total, tenants, 0, is_platform)


def test_when_all_is_well_the_sentence_says_how_much_was_looked_at() -> None:
    found = said()
    assert (found.state, found.text) == (
        "ok", "No row of another tenant was seen in 1.2M rows of 14 tenants; all statements were checked.",
    )  # fmt: skip


def test_gaps_are_named_below_it() -> None:
    total = Coverage("", {"scoped": 987, "unscoped": 10, "not_checked": 3, "exempt": 7}, {"unknown_key": 3}, 50)
    found = isolation(SAY, [], total, 2, 2, True)
    assert found.text.endswith("98.7 % of the statements were checked.")
    assert found.sub_text == (
        "Nothing holds 2 statements to a tenant (10 runs); 3 statements could not be checked: "
        "how rows name a tenant is unknown; 7 statements crossed with leave."
    )


def test_a_crossing_names_both_tenants_the_endpoint_the_line_and_since_when() -> None:
    found = said(CROSSED)
    assert found.state == "bad"
    assert found.text == (
        "globex's rows were read in acme's requests: GET /reports/recent at routes/reports.py:53, since 14:02."
    )
    assert found.sub_text == "3 times: no condition on reports.org_id in the statement · open the trace"
    assert next(part.href for part in found.parts if part.href) == "/tenants/globex"


def test_keys_and_jobs_have_words_of_their_own() -> None:
    key = replace(CROSSED, how="key", table="org:{tenant}:*")
    assert said(key).text.startswith("globex's keys were used in acme's requests")
    assert said(replace(CROSSED, how="queued")).text.startswith("globex's jobs were queued in acme's requests")
    assert said(replace(CROSSED, tenant="")).text.startswith("globex's rows were read in work without a tenant")


def test_many_tenants_are_counted() -> None:
    found = said(*(replace(CROSSED, row_tenant=name) for name in ("globex", "hooli", "stark", "wayne")))
    assert found.text.startswith("Rows of four tenants were read in acme's requests")


def test_a_tenants_reader_hears_of_its_own_side_only() -> None:
    read = replace(CROSSED, row_tenant="", role="reader")
    owned = replace(CROSSED, tenant="", role="owner", trace_id="")
    assert said(read, is_platform=False).text.startswith("Rows of another tenant were read in acme's requests")
    assert said(owned, is_platform=False).text.startswith("globex's rows were read in another tenant's requests")


def test_a_suspicion_is_no_harm() -> None:
    found = said(replace(CROSSED, is_declared=False))
    assert found.state == "warn"
    assert found.text.startswith("It looks as if globex's rows were read")


def test_nothing_checked_is_no_good_news() -> None:
    unknown = Coverage("", {"not_checked": 40}, {"unknown_key": 40})
    found = said(total=unknown)
    assert (found.state, found.sub_text) == ("warn", "How rows name a tenant is unknown.")
    assert said(total=Coverage("")).state == "quiet"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("isolation")) as running:
        client = running.administrator
        now_ns = time.time_ns() - 5 * SECOND_NS
        key = events(*crossing("acme", "globex", how="key", table="org:{tenant}:*", time_ns=now_ns - SECOND_NS))
        sent = [*all_of_it(now_ns), named(now_ns), key]
        for request, path in zip(sent, ("metrics", "logs", "metrics", "logs"), strict=True):
            answer = httpx2.post(
                client.base_url.join(f"/v1/{path}"),
                content=request.SerializeToString(),
                headers={"Content-Type": "application/x-protobuf"},
                timeout=30,
            )
            assert answer.status_code == 200, answer.text
        eventually(lambda: client.get("/api/v1/isolation").json(), "all of it is visible", is_it=is_complete)
        yield running


def is_complete(seen: Any) -> bool:
    return len(seen["crossings"]) == 2 and len(seen["coverage"]) == 3 and bool(seen["coverage"][0]["jobs"])


def test_the_page_shows_crossing_statement_line_and_coverage(site: Served) -> None:
    page = site.administrator.get("/isolation")
    assert page.status_code == 200
    for words in ("globex", "acme", STATEMENT, "product/routes/reports.py:53", f"/traces/{TRACE}", "ledger.py:7",
                  "admin panel", "98.0"):  # fmt: skip
        assert words in page.text
    assert 'href="/isolation' in site.administrator.get("/").text


def test_keys_and_jobs_stand_beside_statements_and_rows(site: Served) -> None:
    page = site.administrator.get("/isolation?sort=keys").text
    assert "key used" in page
    assert "org:{tenant}:*" in page
    assert '40 checked, 0 with leave, 2 not checked">40 <span class="muted">of 42</span>' in page
    assert '6 checked, 0 with leave, 0 not checked">6</td>' in page
    [acme] = site.tom.get("/api/v1/isolation").json()["coverage"]
    assert (acme["keys"], acme["jobs"]) == ({"scoped": 40, "not_checked": 2}, {"scoped": 6})
    month = time.strftime("%Y-%m", time.gmtime())
    [record] = site.tom.get(f"/api/v1/isolation/record?month={month}").json()["records"]
    assert record["keys"]["scoped"] == 40


def test_a_tenant_viewer_learns_no_other_name_from_page_json_or_record(site: Served) -> None:
    month = time.strftime("%Y-%m", time.gmtime())
    for path in ("/isolation", "/api/v1/isolation", f"/api/v1/isolation/record?month={month}"):
        answer = site.tom.get(path)
        assert answer.status_code == 200, answer.text
        assert "acme" in answer.text, path
        assert "globex" not in answer.text, path
    assert site.tom.get("/isolation?tenant=globex").status_code == 404
    assert site.tom.get(f"/api/v1/isolation/record?month={month}&tenant=globex").json() == {"records": []}
    assert site.tom.get("/api/v1/isolation?tenant=globex").json()["crossings"] == []


def test_the_chosen_tenant_narrows_the_page(site: Served) -> None:
    found = site.administrator.get("/api/v1/isolation?tenant=globex").json()
    assert [each["tenant"] for each in found["coverage"]] == ["globex"]
    assert {(each["tenant"], each["row_tenant"]) for each in found["crossings"]} == {("acme", "globex")}
    assert found["state"] == "bad"
    assert site.administrator.get("/isolation?tenant=globex").status_code == 200


def test_columns_sort_and_unknown_ones_are_refused(site: Served) -> None:
    text = site.administrator.get("/isolation?sort=statements.up").text
    assert text.index('id="c-none"') < text.index('id="c-globex"') < text.index('id="c-acme"')
    assert site.administrator.get("/isolation?sort=colour").status_code == 400


def test_a_month_that_is_none_is_refused_with_what_to_write(site: Served) -> None:
    answer = site.administrator.get("/api/v1/isolation/record?month=soon")
    assert answer.status_code == 400
    assert "2026-11" in answer.text


def test_the_routes_are_documented(site: Served) -> None:
    paths = site.administrator.get("/api/openapi.json").json()["paths"]
    assert {"/api/v1/isolation", "/api/v1/isolation/record"} <= set(paths)


def test_a_store_without_anything_says_how_to_begin(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory.mktemp("unwatched")) as running:
        how = "tocsin.isolation(tenant_columns="
        answer = eventually(
            lambda: running.administrator.get("/isolation"),
            "the page says how to begin",
            is_it=lambda answer: how in answer.text,
        )
    assert answer.status_code == 200
