"""Database, Statement and Dependencies: what their sentences say, and what they and their REST calls show."""

from __future__ import annotations

import pytest
from served import Served
from telemetry_rows import NOW_NS, SAY, red, tenant_row

from tocsin.query.caches import CacheRow
from tocsin.query.call_places import Plan, Repeat, SlowCall
from tocsin.query.call_tenants import TenantShare
from tocsin.query.calls import Calls, Operation, OperationRow, calls_of
from tocsin.query.dependencies import Dependency, HostRoute
from tocsin.query.pools import Holder, Pool
from tocsin.web import database_headline, dependency_headline, tenant_ranks
from tocsin.web.database_headline import DatabaseFindings, database
from tocsin.web.dependency_headline import dependencies

pytestmark = pytest.mark.xdist_group("shop")

TEXT = "SELECT reports.id FROM reports WHERE reports.project_id = ?"
WHERE = ("shop", "GET /projects", "demo/product/routes/projects.py:57 in listed", "ab12", TEXT, "db1/shop")


def figures(calls: int = 1000, seconds: float = 10.0, errors: int = 0, p95: float | None = 0.01) -> Calls:
    made = calls_of({"calls": calls, "errors": errors, "seconds": seconds}, 3600)
    return Calls(**{name: getattr(made, name) for name in made.__slots__ if name != "p95_seconds"}, p95_seconds=p95)


def share(tenant: str, part: float, requests: float, before: float | None = None) -> TenantShare:
    return TenantShare(tenant, figures(seconds=part), part, requests, before)


def statement_row(errors: int = 0) -> OperationRow:
    return OperationRow(
        Operation("ab12", TEXT, "db", "postgresql", "db1/shop", "reports", ""), figures(errors=errors), 0.6, ["GET /x"]
    )


def test_a_repeated_statement_is_told_with_its_share_route_and_line() -> None:
    repeat = Repeat(*WHERE, requests=100, calls=4100, seconds=6.2, share=1.0)
    said = database(SAY, DatabaseFindings(figures(), repeats=[repeat]))
    assert said.text == (
        "62 % of database time is one statement, SELECT … reports, run 41 times in each GET /projects at "
        "demo/product/routes/projects.py:57 (N+1)."
    )
    assert said.state == "warn"


def test_a_slow_statement_is_told_with_its_line_and_what_its_plan_reads() -> None:
    slow = SlowCall(*WHERE, calls=20, seconds=4.0)
    plan = Plan("ab12", TEXT, "Seq Scan on reports", NOW_NS, "shop", "1")
    said = database(SAY, DatabaseFindings(figures(), slow=[slow], plans={"ab12": plan}))
    assert said.text == (
        "40 % of database time is one slow statement, SELECT … reports: 200\u202fms in GET /projects at "
        "demo/product/routes/projects.py:57; its plan reads all of reports."
    )


def test_a_pool_that_ran_out_comes_before_everything_else_and_names_who_keeps_connections() -> None:
    waits = figures(calls=100, errors=30, p95=1.5)
    filling = Holder("pg/shop", "", "demo/seed.py:28 in seed", 60.0, NOW_NS)
    holder = Holder("pg/shop", "GET /search", "demo/search.py:9 in find", 14.8, NOW_NS)
    pool = Pool("pg/shop", "shop", 10, 10, 10, 180.0, waits, [filling, holder])
    repeat = Repeat(*WHERE, requests=1, calls=41, seconds=9.0, share=None)
    said = database(SAY, DatabaseFindings(figures(), pools=[pool], repeats=[repeat]))
    assert said.state == "bad"
    assert said.text == (
        "The pool of pg/shop was full for 3\u202fmin: 30 requests got no connection. GET /search keeps a connection "
        "for 14.8\u202fs at demo/search.py:9."
    )
    assert "90 % of database time is one statement" in said.sub_text


def test_a_noisy_neighbour_is_told_when_nothing_worse_is() -> None:
    shares = [share("acme", 0.64, 0.12), share("globex", 0.36, 0.88)]
    said = database(SAY, DatabaseFindings(figures(), tenants=shares))
    assert said.text == "acme takes 64 % of database time with 12 % of the requests."


def test_failing_statements_are_told() -> None:
    said = database(SAY, DatabaseFindings(figures(errors=100), statements=[statement_row(errors=100)]))
    assert (said.state, said.text) == ("bad", "10 % of the statements failed, most of them SELECT … reports.")


def test_a_quiet_and_a_well_database_say_so() -> None:
    assert database(SAY, DatabaseFindings(figures(calls=0))).state == "quiet"
    said = database(SAY, DatabaseFindings(figures(), statements=[statement_row()]))
    assert (said.state, said.text) == ("ok", "The database is well.")
    assert "60 % of the time in SELECT … reports" in said.sub_text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (TEXT, "SELECT … reports"),
        ("INSERT INTO users (id) VALUES (?)", "INSERT … users"),
        ("UPDATE users SET name = ?", "UPDATE … users"),
        ("VACUUM", "VACUUM"),
        ("", "?"),
    ],
)
def test_a_statement_is_named_by_verb_and_table(text: str, short: str) -> None:
    assert database_headline.summary(text) == short


def dependency(host: str, errors: int = 0, p95: float = 0.1, before: float = 0.1) -> Dependency:
    calls = figures(calls=20, errors=errors, p95=p95)
    route = HostRoute("POST /render", "aa", calls, "demo/rendering.py:34 in render")
    return Dependency(
        host, "http", calls, figures(p95=before), [route],
        [("shop", "POST /invoices/{id}/render")], [("httpx.ConnectError", errors)] if errors else [], {}, None,
    )  # fmt: skip


def test_a_dependency_that_does_not_answer_is_named_with_who_depends_on_it() -> None:
    said = dependencies(SAY, [dependency("render:9", errors=20), dependency("rates")], [])
    assert said.state == "bad"
    assert said.text == "render:9 does not answer: POST /invoices/{id}/render depends on it."
    assert "mostly ConnectError" in said.sub_text
    assert "called at demo/rendering.py:34" in said.sub_text


def test_a_slow_dependency_is_told_against_before() -> None:
    said = dependencies(SAY, [dependency("rates", p95=0.4)], [])
    assert said.text == (
        "rates answers slower, which POST /invoices/{id}/render waits for: p95 4× that of the hour before."
    )


def test_a_cold_cache_is_told_with_the_statement_that_is_run_instead() -> None:
    cold = CacheRow("balance", "", 100, 2, 0.94, None, [])
    row = statement_row()
    said = dependencies(SAY, [], [cold], (row, 12.0))
    assert said.text == "The cache balance finds 2 % of what it is asked for, 94 % before."
    assert said.sub_text.startswith("GET /x runs SELECT … reports 12× as often.")


def test_all_well_and_nothing_at_all() -> None:
    assert dependencies(SAY, [dependency("rates")], []).text == "The dependency answers."
    assert dependencies(SAY, [], []).state == "quiet"
    assert dependency_headline.HEALTH_TONES["down"] == "p1"


def test_ranks_put_a_tenant_among_the_others() -> None:
    rows = [tenant_row(name, red(errors=errors, p95=p95)) for name, errors, p95 in
            (("acme", 100, 0.9), ("globex", 0, 0.1), ("initech", 1, 0.2), ("umbrella", 0, 0.3))]  # fmt: skip
    shares = [share("acme", 0.7, 0.25), share("globex", 0.3, 0.25)]
    made = {rank.name: rank for rank in tenant_ranks.ranks(rows, shares, [], "acme")}
    assert (made["failed requests"].rank, made["failed requests"].words) == (1.0, "the worst of all")
    assert made["share of database time"].own == "70\u202f%"
    assert made["share of database time"].average == "25\u202f%"
    assert made["share of requests"].words == "in the middle"
    assert tenant_ranks.ranks(rows, shares, [], "nobody") == []


def test_a_neighbour_is_noisy_only_for_who_is_hurt_and_never_oneself() -> None:
    shares = [share("acme", 0.6, 0.2, 0.1), share("globex", 0.4, 0.8, 0.9)]
    found = tenant_ranks.noisy_neighbour(shares, "globex", is_hurt=True)
    assert found is not None
    assert found.tenant == "acme"
    assert tenant_ranks.noisy_neighbour(shares, "globex", is_hurt=False) is None
    assert tenant_ranks.noisy_neighbour(shares, "acme", is_hurt=True) is None


def test_pages_show_statements_and_hosts_and_lead_to_each_other(shop: Served) -> None:
    page = shop.administrator.get("/database").text
    assert "postgresql" not in page.partition("<main")[0]
    rows = shop.administrator.get("/api/v1/database/statements").json()["statements"]
    assert rows
    assert rows[0]["operation"]["system"] == "postgresql"
    digest = rows[0]["operation"]["digest"]
    assert f"/database/{digest}" in page
    detail = shop.administrator.get(f"/database/{digest}")
    assert detail.status_code == 200
    assert "Called by" in detail.text
    assert shop.administrator.get(f"/api/v1/database/statements/{digest}").json()["calls"]["calls"] > 0
    hosts = shop.administrator.get("/api/v1/dependencies").json()["dependencies"]
    stripe = next(each for each in hosts if each["host"] == "api.stripe.example")
    assert (stripe["health"], stripe["calls"]["errors"]) == ("failing", 10)
    assert "api.stripe.example" in shop.administrator.get("/dependencies").text


@pytest.mark.parametrize(
    "path",
    ["database/series", "database/repeats", "database/slow", "database/tenants", "database/pools",
     "dependencies/series", "caches", "caches/commands"],
)  # fmt: skip
def test_every_card_has_its_rest_call(shop: Served, path: str) -> None:
    assert shop.administrator.get(f"/api/v1/{path}?range=6h").status_code == 200


def test_a_tenant_viewer_sees_neither_pools_nor_other_tenants(shop: Served) -> None:
    assert shop.tom.get("/api/v1/database/pools").json() == {"pools": []}
    assert shop.tom.get("/api/v1/database/tenants").json() == {"tenants": []}
    page = shop.tom.get("/database")
    assert page.status_code == 200
    assert "globex" not in page.text
    assert shop.tom.get("/dependencies").status_code == 200


def test_an_unknown_statement_is_not_found(shop: Served) -> None:
    assert shop.administrator.get("/database/00ff").status_code == 404
    assert shop.administrator.get("/api/v1/database/statements/00ff").status_code == 404


def test_ranks_of_a_tenant_are_readable_by_programs_and_its_own_readers_compare_with_nobody(shop: Served) -> None:
    found = shop.administrator.get("/api/v1/tenants/ranks", params={"tenant": "acme"}).json()
    assert found["tenant"] == "acme"
    levels = {rank["name"]: rank for rank in found["ranks"]}
    assert list(levels)[:3] == ["failed requests", "response time p50", "response time p95"]
    rows = shop.administrator.get("/api/v1/tenants").json()["tenants"]
    own = next(row["red"] for row in rows if row["tenant"] == "acme")
    assert levels["failed requests"]["value"] == pytest.approx(own["error_ratio"])
    assert levels["response time p95"]["mean"] == pytest.approx(
        sum(row["red"]["p95_seconds"] for row in rows) / len(rows)
    )
    assert all(rank["is_level"] == (rank["name"] in list(levels)[:3]) for rank in found["ranks"])
    toms = shop.tom.get("/api/v1/tenants/ranks").json()
    assert {rank["rank"] for rank in toms["ranks"]} == {None}
    assert all(rank["value"] == rank["mean"] for rank in toms["ranks"])
    assert shop.tom.get("/api/v1/tenants/ranks", params={"tenant": "globex"}).json()["ranks"] == []
    refused = shop.administrator.get("/api/v1/tenants/ranks")
    assert (refused.status_code, "add tenant=NAME" in refused.text) == (400, True)
