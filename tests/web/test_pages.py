"""Every page over a running server, as an administrator and as somebody who may see acme only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
import pytest
from served import EXPORT, FAILING_TRACE, GLOBEX_TRACE, Served, served

pytestmark = pytest.mark.xdist_group("pages")

ENDPOINT = f"/services/reports/endpoint?method=POST&route={quote(EXPORT)}"
TELEMETRY_PAGES = [
    "/",
    "/services",
    "/map",
    "/services/reports",
    ENDPOINT,
    "/errors",
    "/errors/9f2c01aa77de41b0",
    "/logs",
    "/traces",
    f"/traces/{FAILING_TRACE}",
    "/tenants",
    "/tenants/acme",
    "/jobs",
    "/jobs/nightly",
]
SETTINGS_PAGES = ["/settings/keys", "/settings/users", "/settings/tokens", "/settings/audit", "/settings/channels"]
OWN_PAGES = ["/settings/browsers"]  # for everybody, about themselves
LIVE_PAGES = [path for path in TELEMETRY_PAGES if not path.startswith("/traces/")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(scope="module")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("empty"), with_telemetry=False) as running:
        yield running


def page(client: httpx2.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def headline(html: str) -> str:
    found = re.search(r'<h1 class="headline"[^>]*>(.*?)</h1>', html, re.DOTALL)
    assert found, html
    return re.sub(r"<[^>]+>", "", found[1]).strip()


@pytest.mark.parametrize("path", [*TELEMETRY_PAGES, *SETTINGS_PAGES, *OWN_PAGES])
def test_page_opens_with_one_headline_inside_the_shell(site: Served, path: str) -> None:
    html = page(site.administrator, path)
    assert len(re.findall("<h1", html)) == 1
    assert '<nav class="side"' in html
    assert 'aria-current="page"' in html


@pytest.mark.parametrize("path", [*TELEMETRY_PAGES, *SETTINGS_PAGES, *OWN_PAGES])
def test_page_needs_no_inline_script_or_style(site: Served, path: str) -> None:
    answer = site.administrator.get(path)
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert not re.findall(r"\sstyle=", answer.text)
    assert not re.findall(r"\son[a-z]+=", answer.text)
    scripts = re.findall(r"<script([^>]*)>", answer.text)
    assert all("src=" in each or 'type="application/json"' in each for each in scripts)


@pytest.mark.parametrize("path", [*TELEMETRY_PAGES, *SETTINGS_PAGES, *OWN_PAGES])
def test_page_loads_nothing_from_elsewhere(site: Served, path: str) -> None:
    html = page(site.administrator, path)
    assert not re.findall(r'(?:src|href|action)="https?://', html)


@pytest.mark.parametrize("path", LIVE_PAGES)
def test_refresh_draws_the_same_as_the_page(site: Served, path: str) -> None:
    whole = page(site.administrator, path)
    part = site.administrator.get(path, headers={"HX-Request": "true"}).text
    assert "<!doctype" not in part
    assert headline(part) == headline(whole)


@pytest.mark.parametrize("path", ["/", "/services", "/map", "/traces", "/tenants"])
def test_time_of_long_ago_is_an_empty_page(site: Served, path: str) -> None:
    assert headline(page(site.administrator, f"{path}?start=1&end=2000"))


def test_overview_names_the_hurt_tenant_and_what_fails(site: Served) -> None:
    said = headline(page(site.administrator, "/"))
    assert said.startswith(f"One of 2 tenants is hurt. POST {EXPORT} fails for acme since ")


def test_failing_trace_is_two_clicks_from_the_overview(site: Served) -> None:
    overview = page(site.administrator, "/")
    endpoint = re.search(r'class="harm" href="([^"]+)"', overview)
    assert endpoint
    html = page(site.administrator, endpoint[1].replace("&amp;", "&"))
    assert f"/traces/{FAILING_TRACE}" in html


def test_trace_names_its_exception_and_code_line(site: Served) -> None:
    html = page(site.administrator, f"/traces/{FAILING_TRACE}")
    assert headline(html).startswith("POST /reports/7/export failed after 120")
    assert "app/export.py:88 in export" in html
    assert "SELECT rates" in html


def test_text_from_telemetry_is_never_markup(site: Served) -> None:
    for path in ("/", f"/traces/{FAILING_TRACE}"):
        html = page(site.administrator, path)
        assert "&lt;b&gt;no rate&lt;/b&gt;" in html
        assert "<b>no rate" not in html


def test_span_panel_is_drawn_alone_for_a_refresh(site: Served) -> None:
    html = site.administrator.get(f"/traces/{FAILING_TRACE}?span={'01' * 8}", headers={"HX-Request": "true"}).text
    assert "SELECT rate FROM rates" in html
    assert "<nav" not in html


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("status=error", True),
        ("status=500", True),
        ("status=4xx", False),
        ("service=reports", True),
        ("service=other", False),
        ("tenant=globex", False),
        ("min_duration_ms=100", True),
        ("max_duration_ms=10", False),
        ("attribute=enduser.id:acme", True),
        ("attribute=enduser.id:nobody", False),
    ],
)
def test_search_finds_by_condition(site: Served, query: str, finds: bool) -> None:
    html = page(site.administrator, f"/traces?{query}")
    assert (f"/traces/{FAILING_TRACE}" in html) == finds


def test_older_traces_are_a_page_further(site: Served) -> None:
    html = page(site.administrator, "/traces")
    older = re.search(r'href="([^"]+)" rel="next"', html)
    assert older
    seen = set(re.findall(r'id="r-([0-9a-f]{32})"', html))
    further = set(re.findall(r'id="r-([0-9a-f]{32})"', page(site.administrator, older[1].replace("&amp;", "&"))))
    assert len(seen) == 50
    assert further
    assert not seen & further


@pytest.mark.parametrize(
    "path",
    [
        "/?range=9y",
        "/?start=2&end=1",
        "/traces?status=bad",
        "/traces?min_duration_ms=x",
        "/traces?attribute=x",
        "/traces?order=random",
        "/services/reports?order=random",
    ],
)
def test_bad_parameter_is_answered_with_what_to_do(site: Served, path: str) -> None:
    answer = site.administrator.get(path)
    assert answer.status_code == 400
    assert "That address does not make sense" in answer.text
    assert "cannot" in answer.text


@pytest.mark.parametrize("path", ["/nowhere", f"/traces/{'0' * 32}", "/traces/crafted", "/tenants/nobody"])
def test_missing_page_keeps_the_navigation(site: Served, path: str) -> None:
    answer = site.administrator.get(path)
    assert answer.status_code == 404
    assert "Nothing is here" in answer.text
    assert 'href="/tenants' in answer.text


def test_choice_stays_in_every_link_and_in_the_cookie(site: Served) -> None:
    answer = site.administrator.get("/?range=6h&tenant=acme&env=production")
    assert 'href="/services?range=6h&amp;tenant=acme&amp;env=production"' in answer.text
    assert "range=6h" in answer.headers["set-cookie"]
    remembered = site.administrator.get("/services", headers={"Cookie": 'tocsin_view="range=6h&tenant=acme"'}).text
    assert 'href="/traces?range=6h&amp;tenant=acme"' in remembered


def test_tenant_switch_of_a_tenant_page_goes_to_the_other_tenant(site: Served) -> None:
    assert 'href="/tenants/globex?range=1h"' in page(site.administrator, "/tenants/acme")


@pytest.mark.parametrize("path", TELEMETRY_PAGES)
def test_viewer_of_acme_meets_nothing_of_globex(site: Served, path: str) -> None:
    html = page(site.tom, path)
    assert "globex" not in html
    assert GLOBEX_TRACE not in html


@pytest.mark.parametrize(
    "path", ["/tenants/globex", f"/traces/{GLOBEX_TRACE}", "/?tenant=globex", "/traces?tenant=globex"]
)
def test_viewer_of_acme_is_told_that_globex_is_not_there(site: Served, path: str) -> None:
    assert site.tom.get(path).status_code == 404


def test_tenant_remembered_from_somebody_else_is_forgotten(site: Served) -> None:
    html = site.tom.get("/", headers={"Cookie": 'tocsin_view="range=1h&tenant=globex"'}).text
    assert "globex" not in html
    assert headline(html).startswith("acme is hurt")


def test_my_browsers_are_for_everybody_and_say_what_is_to_be_configured(site: Served) -> None:
    html = page(site.tom, "/settings/browsers")
    assert headline(html) == "Notifications in browsers are not configured."
    assert "[notify_webpush]" in html
    assert "/settings/browsers" in page(site.tom, "/")


def test_channels_say_how_to_be_told_regularly_and_what_would_be_told(site: Served) -> None:
    html = page(site.administrator, "/settings/channels")
    assert "Set notify.summary_receiver" in html
    assert "Worst endpoints" not in html
    preview = page(site.administrator, "/settings/channels?preview=1")
    assert "Health summary, " in preview
    assert EXPORT in preview
    assert "Worst endpoints" in preview


@pytest.mark.parametrize("path", SETTINGS_PAGES)
def test_settings_are_for_administrators(site: Served, path: str) -> None:
    answer = site.tom.get(path)
    assert answer.status_code == 403
    assert "Not yours to open" in answer.text
    assert path not in page(site.tom, "/")


@pytest.mark.parametrize(
    ("query", "href"),
    [
        ("acme", "/tenants/acme"),
        ("reports", "/services/reports"),
        ("export", "/services/reports/endpoint"),
        (FAILING_TRACE, f"/traces/{FAILING_TRACE}"),
        ("traces", "/traces"),
    ],
)
def test_search_box_jumps(site: Served, query: str, href: str) -> None:
    answer = site.administrator.get("/search", params={"q": query}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(href)


def test_search_box_without_a_match_says_so(site: Served) -> None:
    assert "Nothing is called" in page(site.administrator, "/search?q=zzz")
    assert "globex" not in page(site.tom, "/search?q=globex").replace("globex”", "").replace("=globex", "").replace(
        'value="globex"', ""
    )


def test_static_files_are_kept_for_a_year_under_their_version(site: Served) -> None:
    html = page(site.administrator, "/")
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
        answer = site.administrator.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    other = re.sub(r"/static/[0-9a-f]+/", "/static/000000000000/", path)
    assert site.administrator.get(other).headers["cache-control"] == "no-cache"


def test_script_of_a_page_is_below_a_hundred_kilobytes(site: Served) -> None:
    import gzip
    from pathlib import Path

    import tocsin.web

    files = (Path(tocsin.web.__file__).parent / "static").rglob("*.js")
    assert sum(len(gzip.compress(each.read_bytes())) for each in files) < 100_000


@pytest.mark.parametrize("path", ["/", "/services", "/traces", "/tenants"])
def test_store_without_data_shows_what_to_add_to_an_app(empty_site: Served, path: str) -> None:
    html = page(empty_site.administrator, path)
    assert headline(html) == "Nothing has arrived yet."
    assert "tocsin.instrument(app)" in html
    assert f"TOCSIN_ENDPOINT={empty_site.url}" in html
