"""The pages, REST routes and commands of logs over a running server."""

from __future__ import annotations

import html as html_text
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from logging_shop import GLOBEX_TRACE, ROUTE, TRACE, open_logging, send
from served import ADMIN_TOKEN, Served, served
from typer.testing import CliRunner, Result

from otlp import SECOND_NS, log_record, log_request
from tocsin.cli.client import Client
from tocsin.cli.commands import app
from tocsin.cli.log_tail import followed
from tocsin.model.log_views import BUILT_IN
from tocsin.query.log_tail import MOST_AT_ONCE
from tocsin.web.log_stream import MOST_STREAMS
from waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.xdist_group("logging")

API = "/api/v1/logs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_logging(tmp_path_factory.mktemp("logging")) as running:
        yield running


@pytest.fixture
def run(site: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        given = ["--url", site.url, "--data", "/nowhere", "--token", ADMIN_TOKEN]
        return CliRunner().invoke(app, [*arguments, *given])

    return run


def page(site: Served, path: str, **query: str) -> str:
    answer = site.administrator.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(html: str) -> str:
    return html_text.unescape(re.sub(r"<[^>]+>", "", html))


def headline(html: str) -> str:
    found = re.search(r'<h1 class="headline"[^>]*>(.*?)</h1>', html, re.DOTALL)
    assert found, html
    return words(found[1]).strip()


def bodies(html: str) -> list[str]:
    return [html_text.unescape(text) for text in re.findall(r'<span class="log-body mono">(.*?)</span>', html)]


def eventually_found(site: Served, q: str) -> None:
    eventually(lambda: site.administrator.get(API, params={"q": q}).json()["lines"], f"{q} is visible")


def line_id(site: Served, q: str) -> str:
    lines = site.administrator.get(API, params={"q": q}).json()["lines"]
    assert len(lines) == 1, lines
    return str(lines[0]["id"])


@pytest.mark.parametrize("path", ["/logs", "/logs?view=security", "/logs?q=nowhere", "/logs/one"])
def test_page_keeps_the_house_rules(site: Served, path: str) -> None:
    if path == "/logs/one":
        path = f"/logs/{line_id(site, 'begins')}"
    answer = site.administrator.get(path)
    assert answer.status_code == 200, answer.text
    assert len(re.findall("<h1", answer.text)) == 1
    assert not re.findall(r"\sstyle=", answer.text)
    assert site.tom.get(path).status_code == 200


def test_page_says_how_many_lines_what_part_failed_and_whose(site: Served) -> None:
    assert headline(page(site, "/logs")) == (
        "106 lines in the last hour, 0.94 % of them errors; the errors come from shop and are about acme."
    )
    assert headline(page(site, "/logs", tenant="globex")) == "53 lines in the last hour, none of them errors."
    assert headline(page(site, "/logs", view="security")) == "1 line in Security in the last hour."
    assert headline(page(site, "/logs", q="nowhere")) == "No line fits in the last hour."


def test_the_report_counts_what_the_views_find_for_each_reader(site: Served) -> None:
    said = site.administrator.get(f"{API}/report").json()
    assert {one["id"]: one["lines"] for one in said["views"]} == {
        "errors": 1, "slow-queries": 1, "performance": 0, "security": 1, "suspicious": 0, "business-events": 1,
    }  # fmt: skip
    assert (said["lines"], said["tenants"]) == (106, {"acme": 53, "globex": 53})
    [slow] = next(one["findings"] for one in said["views"] if one["id"] == "slow-queries")
    assert (slow["most_seconds"], slow["tenants"]) == (1.5, {"acme": 1})
    for view in BUILT_IN:
        found = site.administrator.get(API, params={"view": view}).json()["lines"]
        assert len(found) == next(one["lines"] for one in said["views"] if one["id"] == view)
    assert site.tom.get(f"{API}/report").json()["tenants"] == {"acme": 53}
    higher = site.administrator.get(f"{API}/report", params={"report": "slow-queries", "threshold_seconds": 2}).json()
    assert [(one["id"], one["lines"]) for one in higher["views"]] == [("slow-queries", 0)]
    assert site.administrator.get(f"{API}/report", params={"report": "gossip"}).status_code == 400


def test_search_box_level_and_service_narrow_the_list(site: Served) -> None:
    assert bodies(page(site, "/logs", level="warn")) == [
        "export <failed>", "Slow query: SELECT * FROM items (1500 ms)", "Failed login for u_9",
    ]  # fmt: skip
    assert bodies(page(site, "/logs", q="export -begins", tenant="acme")) == ["export <failed>"]
    assert bodies(page(site, "/logs", service="other")) == []
    text = page(site, "/logs", q='plan:"<b>gold</b>" <script>')
    assert "<script>" not in text.replace('<script type="application/json">', "")
    assert site.administrator.get("/logs", params={"level": "loud"}).status_code == 400
    assert site.administrator.get("/logs", params={"before": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("errors", ["export <failed>"]),
        ("slow-queries", ["Slow query: SELECT * FROM items (1500 ms)"]),
        ("security", ["Failed login for u_9"]),
        ("business-events", ["Invoice 7 paid"]),
        ("suspicious", []),
        ("performance", []),
    ],
)
def test_saved_views_hold_their_lines(site: Served, run: Callable[..., Result], view: str, expected: list[str]) -> None:
    assert bodies(page(site, "/logs", view=view)) == expected
    found = run("logs", "search", "--view", view, "--json").output.splitlines()
    assert [json.loads(line)["body"] for line in found] == expected[::-1]


def test_views_are_offered_with_their_thresholds(site: Served) -> None:
    text = page(site, "/logs")
    for view in BUILT_IN.values():
        assert f"view={view.id}" in text
    found = site.administrator.get(f"{API}/views").json()["views"]
    assert {row["id"]: row["threshold_seconds"] for row in found}["slow-queries"] == 1.0
    assert bodies(page(site, "/logs", view="slow-queries", threshold="2s")) == []
    assert site.administrator.get("/logs", params={"view": "slow-queries", "threshold": "soon"}).status_code == 400


def test_facets_lead_to_the_lines_that_have_the_value(site: Served) -> None:
    text = page(site, "/logs")
    links = [html_text.unescape(one) for one in re.findall(r'href="([^"]*(?:[?]|&amp;)q=[^"]*)"', text)]
    acme = next(link for link in links if "tenant%3Aacme" in link)
    assert len(bodies(site.administrator.get(acme).text)) == 53
    facets = site.administrator.get(f"{API}/facets").json()
    assert (facets["sampled"], facets["is_sample"]) == (106, False)
    assert next(one for one in facets["facets"] if one["name"] == "level")["top"][0] == {"value": "debug", "lines": 100}


def test_older_lines_are_a_page_away(site: Served) -> None:
    text = page(site, "/logs")
    older = re.search(r'href="([^"]*before=[^"]*)" rel="next"', text)
    assert older is not None
    more = site.administrator.get(html_text.unescape(older[1])).text
    first, second = bodies(text), bodies(more)
    assert (len(first), len(second)) == (100, 6)
    assert not set(first) & set(second)
    assert "Older lines" in more


def test_line_stands_beside_its_trace_and_among_its_neighbours(site: Served) -> None:
    text = page(site, f"/logs/{line_id(site, '<failed>')}")
    assert headline(text) == "export <failed> error"
    assert f"POST {ROUTE}" in words(text)
    assert "TimeoutError" in words(text)
    assert "/srv/app/export.py" in words(text)
    assert "log-at" in text
    around = bodies(text)
    assert around[around.index("export <failed>") - 1] == "Slow query: SELECT * FROM items (1500 ms)"
    assert "&lt;b&gt;gold" in text
    fragment = site.administrator.get(f"/logs/{line_id(site, '<failed>')}", headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert "Its trace" in fragment


def test_line_that_is_not_there_is_said_to_be_missing(site: Served) -> None:
    for id in ("1-0000000000000000", "nonsense", "1-zz"):
        assert site.administrator.get(f"/logs/{id}").status_code == 404
    assert site.administrator.get(f"{API}/nonsense").status_code == 400
    assert site.administrator.get(f"{API}/1-0000000000000000").status_code == 404


def test_trace_shows_its_lines_at_their_spans(site: Served) -> None:
    text = page(site, f"/traces/{TRACE}")
    assert text.count('class="log-mark') == 3
    assert set(bodies(text)) >= {"export begins", "export <failed>"}
    inner = site.administrator.get(f"/traces/{TRACE}", params={"span": "02" * 8}, headers={"HX-Request": "true"}).text
    assert "Slow query" in inner
    assert "export begins" not in inner
    assert bodies(page(site, f"/traces/{GLOBEX_TRACE}")) == ["globex export"]


def test_endpoint_shows_the_lines_of_its_requests(site: Served) -> None:
    text = page(site, "/services/shop/endpoint", method="POST", route=ROUTE)
    assert {"export begins", "export <failed>", "globex export"} <= set(bodies(text))
    assert "tick 1" not in bodies(text)


def test_application_board_shows_and_follows_the_lines(site: Served) -> None:
    text = page(site, "/dashboards/application")
    panel = text[text.index('id="at-14"') :]
    assert "export begins" in panel
    assert "data-follow=" in panel
    assert "data-follow=" not in page(
        site, "/dashboards/application", start=str(time.time() - 600), end=str(time.time())
    )


def test_search_box_of_every_page_leads_to_the_logs(site: Served) -> None:
    text = page(site, "/search", q="timeout")
    assert "/logs?" in text
    assert "q=timeout" in text


def test_store_without_lines_says_what_to_do(tmp_path: Any) -> None:
    with served(tmp_path, with_telemetry=False) as empty:
        text = page(empty, "/logs")
    assert headline(text) == "No log line has arrived yet."
    assert "tocsin.instrument(app)" in text
    assert "/loki/api/v1/push" in text


def test_rest_reads_a_line_with_its_surroundings(site: Served) -> None:
    id = line_id(site, "<failed>")
    line = site.administrator.get(f"{API}/{id}").json()
    assert (line["level"], line["tenant"], line["trace_id"]) == ("error", "acme", TRACE)
    assert line["attributes"]["enduser.id"] == "u_193"
    around = site.administrator.get(f"{API}/{id}/context", params={"lines": 1}).json()
    assert around["line"] == line
    assert [one["body"] for one in around["before"]] == ["Slow query: SELECT * FROM items (1500 ms)"]
    bars = site.administrator.get(f"{API}/histogram").json()
    assert (bars["lines"], bars["errors"]) == (106, 1)
    assert {len(counts) for counts in bars["by_level"].values()} == {len(bars["times"])}


def test_lines_are_followed_as_they_arrive(site: Served) -> None:
    heard = ""
    query = {"q": "news -old"}
    stream = {"accept": "text/event-stream"}
    with site.administrator.stream("GET", f"{API}/tail", params=query, headers=stream) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        now = time.time_ns()
        late = log_record("late news", time_ns=now - 8 * SECOND_NS)
        send(site, "logs", log_request([log_record("news", time_ns=now), log_record("old news", time_ns=now), late]))
        for text in events.iter_text():
            heard += text
            if heard.count("data: ") >= 1 and '"news"' in heard:
                break
    assert "old news" not in heard
    assert re.search(r"id: \d+\ndata: \{", heard)


def test_page_follows_from_when_it_was_drawn(site: Served) -> None:
    drawn = html_text.unescape(page(site, "/logs", q="between"))
    follow = re.search(r'data-follow="([^"]+)"', drawn)
    assert follow is not None
    send(site, "logs", log_request([log_record("between page and stream", time_ns=time.time_ns())]))
    eventually_found(site, "between")
    heard, deadline = "", time.monotonic() + PATIENCE_SECONDS
    with site.administrator.stream("GET", follow[1], headers={"accept": "text/event-stream"}) as events:
        for text in events.iter_text():
            heard += text
            if "between page" in heard or time.monotonic() > deadline:
                break
    assert "between page and stream" in heard


def test_who_asks_for_no_stream_gets_what_arrived_since(site: Served) -> None:
    now = time.time_ns()
    send(site, "logs", log_request([log_record("once more", time_ns=now)]))
    asked = {"since": str(now), "q": "once"}
    answer = eventually(
        lambda: site.administrator.get(f"{API}/tail", params=asked).json(),
        "the line is in the tail",
        is_it=lambda answer: answer["lines"],
    )
    assert [line["body"] for line in answer["lines"]] == ["once more"]
    again = site.administrator.get(f"{API}/tail", params={"since": answer["since"], "q": "once"}).json()
    assert again["lines"] == []
    assert site.administrator.get("/logs/tail").status_code == 406


def test_command_prints_lines_for_people_and_programs(run: Callable[..., Result]) -> None:
    said = run("logs", "search", "export", "--level", "error", "--tenant", "acme").output
    assert re.search(r"error shop acme  export <failed>  TimeoutError: pool", said), said
    assert run("logs", "search", "nowhere").output.strip() == "no line fits"
    assert "cannot search for level" in run("logs", "search", "level:loud").output
    assert run("logs", "search", "--last", "soon").exit_code != 0
    rows = [json.loads(line) for line in run("logs", "search", "tick", "--limit", "7", "--json").output.splitlines()]
    assert [row["body"] for row in rows] == [f"tick {place}" for place in range(7, 0, -1)]


def test_command_follows_lines_each_once(site: Served) -> None:
    told: list[int] = []
    following = followed(Client(site.url, ADMIN_TOKEN), {"q": "followed"}, 5, told.append)
    send(site, "logs", log_request([log_record("followed 1", time_ns=time.time_ns())]))
    eventually_found(site, "followed")
    assert next(following)["body"] == "followed 1"
    send(site, "logs", log_request([log_record(f"followed {n}", time_ns=time.time_ns() + n) for n in (2, 3)]))
    assert [next(following)["body"] for _ in range(2)] == ["followed 2", "followed 3"]
    assert told == []
    following.close()


def test_who_follows_is_told_how_many_lines_came_at_once_and_are_left_out(site: Served) -> None:
    told: list[int] = []
    following = followed(Client(site.url, ADMIN_TOKEN), {"q": "flood"}, 1, told.append)
    send(site, "logs", log_request([log_record("flood begins", time_ns=time.time_ns())]))
    eventually_found(site, "flood")
    assert next(following)["body"] == "flood begins"
    begun = time.time_ns()
    flood = [log_record(f"flood {n}", time_ns=begun + n) for n in range(MOST_AT_ONCE + 5)]
    send(site, "logs", log_request(flood))
    assert next(following)["body"] == "flood 5"
    assert told == [5]
    following.close()
    answer = site.administrator.get(f"{API}/tail", params={"q": "flood", "since": str(begun)}).json()
    assert (len(answer["lines"]), answer["left_out"]) == (MOST_AT_ONCE, 5)
    heard = ""
    asked = {"q": "flood", "since": str(begun)}
    with site.administrator.stream(
        "GET", "/logs/tail", params=asked, headers={"accept": "text/event-stream"}
    ) as events:
        for text in events.iter_text():
            heard += text
            if "</li>" in heard and heard.endswith("\n\n"):
                break
    assert "At least 5 more lines came at once" in heard


def test_a_trace_that_was_not_kept_shows_what_it_logged(site: Served) -> None:
    now, trace_id = time.time_ns(), "3c" * 16
    attrs = {"tocsin.tenant": "globex"}
    records = [
        log_record(text, time_ns=now + place, trace_id=bytes.fromhex(trace_id), attrs=attrs)
        for place, text in enumerate(("alone begins", "alone ends"))
    ]
    send(site, "logs", log_request(records))
    path = f"/traces/{trace_id}"
    eventually(lambda: site.administrator.get(path).status_code == 200, "the lines are visible")
    text = page(site, path)
    assert "This trace was not kept" in headline(text)
    assert bodies(text) == ["alone begins", "alone ends"]
    assert site.tom.get(path).status_code == 404  # not acme's


def test_no_more_streams_are_open_than_a_server_bears(site: Served) -> None:
    stream = {"accept": "text/event-stream"}
    with ExitStack() as opened:
        answers = [
            opened.enter_context(site.administrator.stream("GET", f"{API}/tail", headers=stream))
            for _ in range(MOST_STREAMS + 1)
        ]
        assert [answer.status_code for answer in answers] == [200] * MOST_STREAMS + [429]


def test_routes_are_in_the_openapi_document(site: Served) -> None:
    paths = site.administrator.get("/api/openapi.json").json()["paths"]
    for path in ("", "/histogram", "/facets", "/views", "/tail", "/{line_id}", "/{line_id}/context"):
        assert "get" in paths[f"{API}{path}"]
