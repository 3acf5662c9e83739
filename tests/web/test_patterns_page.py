"""Patterns over a running server: lines sent become patterns on the page; acme never sees globex's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import pytest
from served import Served, served

import waiting
from otlp import MINUTE_NS, SECOND_NS, log_record, log_request
from tocsin.query.log_patterns import LogPattern, PatternChange
from tocsin.web import pattern_headline
from tocsin.web.words import Speech
from waiting import eventually

pytestmark = pytest.mark.xdist_group("patterns")
CARD = "cannot charge card <*>"
SAY = Speech(lambda path, **_: path, lambda **_: "", 10**18, UTC)


def lines(bodies: list[str], *, minutes: int, tenant: str, release: str, severity: int = 9) -> Any:
    at_ns = time.time_ns() - minutes * MINUTE_NS
    records = [
        log_record(body, time_ns=at_ns + place, attrs={"tocsin.tenant": tenant}, severity_number=severity)
        for place, body in enumerate(bodies)
    ]
    return log_request(records, {"service.name": "shop", "service.version": release})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("patterns")) as running:
        orders = [f"order {number} placed" for number in range(60)]
        cards = [f"cannot charge card {number}" for number in range(30)]
        for request in (
            lines(orders, minutes=80, tenant="acme", release="1.0"),
            lines(orders, minutes=5, tenant="acme", release="1.0"),
            lines(cards, minutes=5, tenant="acme", release="2.0", severity=17),
            lines(["globex-secret-thing failed"] * 20, minutes=5, tenant="globex", release="globex-release"),
        ):
            headers = {"Content-Type": "application/x-protobuf"}
            answer = waiting.post(f"{running.url}/v1/logs", content=request.SerializeToString(), headers=headers)
            assert answer.status_code == 200, answer.text
        expected = [CARD, "globex-secret-thing failed", "order <*> placed"]
        eventually(
            lambda: sorted(row["template"] for row in patterns(running)),
            "the lines become patterns",
            is_it=lambda templates: templates == expected,
        )
        yield running


def patterns(site: Served, path: str = "", **asked: Any) -> Any:
    answer = site.administrator.get(f"/api/v1/logs/patterns{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["patterns"] if not path else answer.json()


def test_page_opens_with_what_is_new_for_whom_and_since_which_release(site: Served) -> None:
    page = site.administrator.get("/patterns").text
    said = re.sub(r"<[^>]+>", "", page.split('class="headline"')[1].split("</h1>")[0])
    assert "“cannot charge card &lt;*&gt;” is new in shop with release 2.0, 30 times so far, for acme." in said
    assert "order 0 placed" in page


def test_detail_shows_lines_and_compare_shows_what_differs(site: Served) -> None:
    [card] = [row for row in patterns(site) if row["template"] == CARD]
    assert (card["lines"], card["is_new"], card["first_release"], card["level"]) == (30, True, "2.0", "error")
    detail = patterns(site, f"/{card['id']}")
    assert detail["newest"][0]["body"] == "cannot charge card 29"
    page = site.administrator.get(f"/patterns/{card['id']}").text
    assert "cannot charge card 29" in page
    assert "came 30 times" in page or "is new in shop" in page
    changes = patterns(site, "/compare", release="2.0", with_release="1.0")["changes"]
    assert {(one["pattern"]["template"], one["verdict"]) for one in changes} == {
        (CARD, "new"), ("order <*> placed", "gone"),
    }  # fmt: skip
    page = site.administrator.get("/patterns/compare", params={"release": "2.0", "with_release": "1.0"}).text
    assert "only here" in page
    assert [row["id"] for row in patterns(site, level="error")] == [card["id"]]


def test_errors_page_shows_what_the_logs_say_of_errors(site: Served) -> None:
    page = site.administrator.get("/errors").text
    assert "Error patterns" in page
    assert "cannot charge card" in page
    assert "order" not in page.split("Error patterns")[1].split("</section>")[0]


def test_viewer_of_acme_sees_acmes_patterns_alone(site: Served) -> None:
    viewer = site.tom
    for path in ("/patterns", "/patterns/compare", "/patterns?range=30d", "/api/v1/logs/patterns", "/errors"):
        answer = viewer.get(path)
        assert answer.status_code == 200, answer.text
        assert "globex" not in answer.text
    [other] = [row for row in patterns(site) if row["template"].startswith("globex")]
    assert viewer.get(f"/api/v1/logs/patterns/{other['id']}").status_code == 404
    assert viewer.get(f"/patterns/{other['id']}").status_code == 404


@pytest.mark.parametrize("path", ["/patterns?tab=x", "/patterns?sort=x", "/api/v1/logs/patterns?level=loud"])
def test_what_cannot_be_shown_is_refused(site: Served, path: str) -> None:
    assert site.administrator.get(path).status_code in (400, 422)


def said(*found: LogPattern, changes: tuple[PatternChange, ...] = ()) -> str:
    return pattern_headline.patterns(SAY, found, changes).text


def one(text: str, level: str = "info", *, is_new: bool = False, lines: int = 10) -> LogPattern:
    return LogPattern(
        1,
        "shop",
        text,
        text,
        level,
        lines,
        0.5,
        ["acme", "globex", "initech"],
        ["1.0"],
        0,
        SECOND_NS,
        "1.0",
        [1],
        is_new,
    )


def test_comparison_counts_every_kind_of_change() -> None:
    changes = [
        PatternChange(one("cannot connect"), 0, 0.0, "new"),
        PatternChange(one("retrying"), 1, 0.1, "more"),
        PatternChange(one("all is well", lines=0), 9, 0.5, "gone"),
        PatternChange(one("order <*>"), 9, 0.9, "less"),
    ]
    text = pattern_headline.comparison(SAY, changes, "acme", "globex").text
    assert text == "acme against globex: 1 pattern only here, 1 more frequent, 1 missing and 1 rarer."
    text = pattern_headline.comparison(SAY, changes[2:3], "acme", "globex").text
    assert text == "There is nothing to compare: no line on the side of acme."


def test_long_patterns_are_cut_between_words() -> None:
    assert one("order <*>").beginning == "order <*>"
    assert one("SELECT " + "name, <*> " * 30).beginning.endswith("name, <*> …")
    assert one("y" * 400).beginning == "y" * 200 + " …"


def test_comparison_with_nothing_says_so() -> None:
    fresh = PatternChange(one("order <*>"), 0, 0.0, "same")
    text = pattern_headline.comparison(SAY, [fresh], "The last hour", "the hour before").text
    assert text == "There is nothing to compare with: no line on the side of the hour before."


def test_headline_tells_the_worst() -> None:
    assert said() == "No lines were logged in the last hour."
    assert said(one("order <*>")) == "10 lines in the last hour say 1 thing; nothing is new."
    new = one("it broke", "error", is_new=True, lines=1)
    assert said(one("hello", is_new=True), new) == (
        "“it broke” is new in shop with release 1.0, once so far, for acme and globex and 1 more."
    )
    grown = PatternChange(one("timeout of db <*>", "error", lines=480), 10, 0.05, "more")
    assert said(grown.pattern, changes=(grown,)) == (
        "“timeout of db <*>” came 480 times in the last hour, 10 times as often as in the hour before, "
        "for acme and globex and 1 more."
    )
