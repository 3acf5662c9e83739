"""The pages, REST routes and commands of releases and operations over a running server."""

from __future__ import annotations

import html as html_text
import json
import re
from collections.abc import Callable, Iterator

import pytest
from releasing import FAILED_LOGIN, open_releasing
from served import ADMIN_TOKEN, Served
from typer.testing import CliRunner, Result

from tocsin.cli.commands import app

pytestmark = pytest.mark.xdist_group("releasing")

PAGES = [
    "/releases",
    "/releases/shop/2.0",
    "/releases/shop/1.9",
    "/operations",
    "/operations/login",
    "/flags",
    "/flags/shop/compact",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_releasing(tmp_path_factory.mktemp("releasing")) as running:
        yield running


@pytest.fixture
def run(site: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        given = ["--url", site.url, "--data", "/nowhere", "--token", ADMIN_TOKEN]
        return CliRunner().invoke(app, [*arguments, *given])

    return run


def headline(html: str) -> str:
    found = re.search(r'<h1 class="headline"[^>]*>(.*?)</h1>', html, re.DOTALL)
    assert found, html
    return html_text.unescape(re.sub(r"<[^>]+>", "", found[1])).strip()


@pytest.mark.parametrize("path", PAGES)
def test_page_keeps_the_house_rules(site: Served, path: str) -> None:
    answer = site.administrator.get(path)
    assert answer.status_code == 200, answer.text
    assert len(re.findall("<h1", answer.text)) == 1
    assert not re.findall(r"\sstyle=", answer.text)
    assert site.tom.get(path).status_code == 200
    fragment = site.administrator.get(path, headers={"HX-Request": "true"})
    assert headline(fragment.text) == headline(answer.text)


def test_release_says_what_it_made_worse_for_whom(site: Served) -> None:
    said = headline(site.administrator.get("/releases/shop/2.0").text)
    assert re.fullmatch(
        r"2\.0 made POST /export slower for acme: p95 \d+ ms → \S+ m?s \(p < 0\.001\); "
        r"1 fault that no release had before\.",
        said.replace("\u202f", " "),
    ), said
    assert headline(site.administrator.get("/releases").text) == said
    html = site.administrator.get("/releases/shop/2.0").text
    assert "app.ProviderDown" in html
    # The flag changed with the deploy: what followed is not told to be its doing.
    assert "fast-lists on for acme: too few requests between it and the deploys" in html
    assert "first release of shop" in headline(site.administrator.get("/releases/shop/1.9").text)


def test_another_tenants_release_page_shows_nothing_of_the_others(site: Served) -> None:
    html = site.tom.get("/releases/shop/2.0").text
    assert "globex" not in html
    chosen = site.administrator.get("/releases/shop/2.0?tenant=globex").text
    assert "made POST" not in headline(chosen)


def test_unknown_release_is_not_found(site: Served) -> None:
    assert site.administrator.get("/releases/shop/3.0").status_code == 404
    missing = site.administrator.get("/api/v1/releases/compare?service=shop&to=3.0")
    assert missing.status_code == 404
    assert "no release 3.0" in missing.json()["detail"]


def test_comparison_over_rest(site: Served) -> None:
    listed = site.administrator.get("/api/v1/releases?service=shop").json()["releases"]
    assert [(one["release"], one["before"]) for one in listed] == [("2.0", "1.9"), ("1.9", None)]
    found = site.administrator.get("/api/v1/releases/compare?service=shop&from=1.9&to=2.0").json()
    assert (found["verdict"], found["before"]["release"], found["after"]["release"]) == ("worse", "1.9", "2.0")
    by_tenant = {(one["route"], one["tenant"]): one["verdict"] for one in found["tenants"]}
    assert by_tenant["/export", "acme"] == "worse"
    assert by_tenant["/export", "globex"] == "no difference shown"
    mine = site.tom.get("/api/v1/releases/compare?service=shop&to=2.0").json()
    assert {one["tenant"] for one in mine["tenants"]} == {"acme"}
    assert all(one["before"]["requests"] <= 120 for one in mine["endpoints"])


def test_flag_says_which_variant_made_what_slower_for_whom(site: Served) -> None:
    said = headline(site.administrator.get("/flags/shop/compact").text).replace("\u202f", " ")
    found = re.fullmatch(
        r"compact on makes GET /items (\d+) % slower for acme than off: p95 \d+ ms → \d+ ms \(p < 0\.001\)\.", said
    )
    assert found, said
    assert 30 < int(found[1]) < 60
    listed = site.administrator.get("/flags").text
    assert headline(listed).replace("\u202f", " ") == said
    assert "steady" in listed
    turned = headline(site.administrator.get("/flags/shop/compact?of=on&to=off").text)
    assert "makes nothing worse than on" in turned
    steady = headline(site.administrator.get("/flags/shop/steady").text)
    assert steady == "steady gave everybody on: there is nothing to compare."
    assert site.administrator.get("/flags/shop/none").status_code == 404


def test_variants_over_rest_within_the_scope(site: Served) -> None:
    listed = site.administrator.get("/api/v1/flags").json()["flags"]
    assert [(one["flag"], len(one["variants"])) for one in listed] == [("compact", 2), ("steady", 1)]
    found = site.administrator.get("/api/v1/flags/compare?service=shop&flag=compact").json()
    assert (found["from"], found["to"]) == ("off", "on")
    [mine] = found["tenants"]
    assert (mine["tenant"], mine["verdict"], mine["before"]["requests"]) == ("acme", "worse", 400)
    [everybody] = found["endpoints"]
    assert everybody["before"]["requests"] == 800
    [seen] = site.tom.get("/api/v1/flags").json()["flags"]
    assert {one["variant"]: one["tenants"] for one in seen["variants"]} == {"on": 1, "off": 1}
    [of_tom] = site.tom.get("/api/v1/flags/compare?service=shop&flag=compact").json()["endpoints"]
    assert of_tom["before"]["requests"] == 400
    missing = site.tom.get("/api/v1/flags/compare?service=shop&flag=steady")
    assert missing.status_code == 404
    assert "not asked" in missing.json()["detail"]


def test_operations_say_who_is_hurt(site: Served) -> None:
    html = site.administrator.get("/operations").text
    assert (
        headline(html).replace("\u202f", " ")
        == "login fails for acme: 95 % succeed, 10 × ProviderDown; the other one is well."
    )
    detail = site.administrator.get("/operations/login").text
    assert f"/traces/{FAILED_LOGIN}" in detail
    assert headline(site.administrator.get("/operations?tenant=globex").text) == "Both operations succeed."
    assert "did not run" in headline(site.administrator.get("/operations/nothing").text)


def test_operations_over_rest_within_the_scope(site: Served) -> None:
    login, form = site.administrator.get("/api/v1/operations").json()["operations"]
    assert (login["operation"], login["now"]["band"], login["tenants_hurt"]) == ("login", "warning", ["acme"])
    assert (form["operation"], form["now"]["band"]) == ("form_automation", "normal")
    (mine,) = site.tom.get("/api/v1/operations").json()["operations"]
    assert (mine["now"]["success"], mine["now"]["failure"], mine["now"]["band"]) == (90, 10, "critical")
    detail = site.tom.get("/api/v1/operations/login").json()
    assert set(detail["tenants"]) == {"acme"}
    assert site.tom.get("/api/v1/operations/form_automation").status_code == 404


def test_commands_tell_the_same(run: Callable[..., Result]) -> None:
    status = run("ops", "status", "--last-hour")
    assert status.exit_code == 1
    assert re.search(r"login +warning +95\.00 % +– +230 +10 +30 +acme", status.output), status.output
    hurt = run("ops", "status", "--operation", "login", "--tenant", "acme", "--json")
    assert hurt.exit_code == 2
    assert json.loads(hurt.output)["operations"][0]["now"]["failure"] == 10
    failures = run("ops", "failures", "--operation", "login")
    assert re.search(rf"ProviderDown × 10 +acme × 10 +{FAILED_LOGIN[:16]}", failures.output), failures.output
    timings = run("ops", "timings")
    assert re.search(r"login +250 ms|login +249 ms|login +251 ms", timings.output), timings.output
    assert "those that did: login, form_automation" in run("ops", "timings", "--operation", "x").output
    assert "cannot read --since" in run("ops", "status", "--since", "soon").output


def test_a_server_without_any_says_what_to_do(site: Served) -> None:
    assert "Declare what must not fail" in site.administrator.get("/operations?env=elsewhere").text
    assert "Tell which release runs" in site.administrator.get("/releases?env=elsewhere").text
