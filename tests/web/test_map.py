"""The map of services: who calls whom, what it says, and where it is drawn."""

from __future__ import annotations

import itertools

import pytest
from served import Served
from telemetry_rows import NOW_NS, SAY, service_row

from tocsin.model.window import Window
from tocsin.query.map import Call, ServiceMap
from tocsin.web.map_headline import calls_link, service_map
from tocsin.web.map_layout import GAP_X, HEIGHT, LABEL_HEIGHT, LABEL_WIDTH, WIDTH, Layout, layout

pytestmark = pytest.mark.xdist_group("shop")


def call(callee: str, calls: int = 100, failures: int = 0, p95: float = 0.1, *, is_outside: bool = False) -> Call:
    attribute = ("server.address", callee) if is_outside else None
    return Call("front", callee, is_outside, "", calls, failures, 1.0, failures / calls, p95, attribute)


def found(*calls: Call) -> ServiceMap:
    return ServiceMap([service_row("front"), service_row("orders")], list(calls), Window.last(3600, NOW_NS), 1.0)


def calls_of(site: Served, query: str = "") -> dict[tuple[str, str], dict[str, object]]:
    answer = site.administrator.get(f"/api/v1/map{query}")
    assert answer.status_code == 200, answer.text
    return {(each["caller"], each["callee"]): each for each in answer.json()["calls"]}


def test_call_joins_the_spans_of_two_services(shop: Served) -> None:
    calls = calls_of(shop)
    assert set(calls) == {
        ("front", "orders"),
        ("orders", "postgresql at db.internal"),
        ("orders", "api.stripe.example"),
    }
    assert calls["front", "orders"]["calls"] == 31
    assert calls["front", "orders"]["p95_seconds"] == pytest.approx(0.1, rel=0.02)


def test_call_out_of_sight_is_counted_at_its_caller(shop: Served) -> None:
    calls = calls_of(shop)
    stripe, database = calls["orders", "api.stripe.example"], calls["orders", "postgresql at db.internal"]
    assert (stripe["is_outside"], stripe["calls"], stripe["failures"]) == (True, 30, 10)
    assert (database["system"], database["calls"], database["failures"]) == ("postgresql", 70, 0)


def test_map_keeps_to_tenant_and_environment(shop: Served) -> None:
    assert calls_of(shop, "?tenant=globex")["front", "orders"]["calls"] == 10
    assert calls_of(shop, "?environment=staging") == {}
    mine = {(each["caller"], each["callee"]): each for each in shop.tom.get("/api/v1/map").json()["calls"]}
    assert mine["front", "orders"]["calls"] == 21
    assert shop.tom.get("/api/v1/map?tenant=globex").json()["calls"] == []


def test_map_page_names_what_hurts_and_links_the_traces_behind_an_arrow(shop: Served) -> None:
    html = shop.administrator.get("/map").text
    assert "api.stripe.example</a> fails 33.3 % of the calls of" in html
    assert 'href="/traces?range=1h&amp;service=orders&amp;caller=front"' in html
    assert "sends nothing" in html


def test_traces_are_found_by_the_service_that_called(shop: Served) -> None:
    def count(query: str) -> int:
        return len(shop.administrator.get(f"/api/v1/traces?{query}").json()["traces"])

    assert count("service=orders&caller=front") == 31
    assert count("service=orders&caller=orders") == 31  # the statements below its own span
    assert count("service=front&caller=orders") == 0


def test_headline_names_the_dependency_that_fails_most() -> None:
    said = service_map(SAY, found(call("db", failures=2), call("mail", failures=20, is_outside=True), call("x", 50, 3)))
    assert said.state == "bad"
    assert said.text == "mail fails 20 % of the calls of front, and 1 more dependency with failures."
    assert said.parts[0].href == "/traces?service=front&attribute=server.address:mail&status=error"


def test_headline_is_short_when_all_answer() -> None:
    said = service_map(SAY, found(call("db"), call("orders", p95=0.4)))
    assert said.text == "Both dependencies answer."
    assert said.sub_text.startswith("Slowest: orders, p95 400")


def test_headline_says_what_a_map_needs_when_nobody_calls() -> None:
    said = service_map(SAY, found())
    assert said.text == "No service calls another."
    assert "trace context" in said.sub_text


def test_calls_of_a_service_are_found_by_both_ends() -> None:
    assert calls_link(SAY.link, call("orders")) == "/traces?service=orders&caller=front"


def columns(made: Layout) -> dict[str, int]:
    return {box.name: round((box.x - 14) / (WIDTH + GAP_X)) for box in made.boxes}


def test_callers_stand_left_of_what_they_call() -> None:
    made = layout(["c", "a", "b", "alone"], [("a", "b"), ("b", "c"), ("a", "c")])
    assert columns(made) == {"a": 0, "alone": 0, "b": 1, "c": 2}
    assert len(made.arrows) == 3


def test_services_that_call_each_other_still_get_a_place_each() -> None:
    made = layout([], [("a", "b"), ("b", "a"), ("b", "b"), ("b", "c")])
    assert columns(made) == {"a": 0, "b": 1, "c": 2}
    assert len(made.arrows) == 4


def test_boxes_never_overlap_and_stay_inside() -> None:
    names = [f"s{place}" for place in range(30)]
    made = layout(names, [(names[place], names[place * 7 % 30]) for place in range(30)])
    assert len({(box.x, box.y) for box in made.boxes}) == 30
    for one, other in itertools.combinations(made.boxes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
    assert all(0 <= box.x <= made.width - WIDTH and 0 <= box.y <= made.height - HEIGHT for box in made.boxes)


def test_labels_of_crossing_arrows_lie_neither_on_each_other_nor_on_boxes() -> None:
    callers, callees = ["web", "mobile", "batch"], ["orders", "search", "accounts"]
    made = layout([], list(itertools.product(callers, callees)))
    for one, other in itertools.combinations(made.arrows, 2):
        apart = abs(one.label_x - other.label_x), abs(one.label_y - other.label_y)
        assert apart[0] >= LABEL_WIDTH or apart[1] >= LABEL_HEIGHT, (one, other)
    for arrow, box in itertools.product(made.arrows, made.boxes):
        apart = abs(arrow.label_x - box.x - WIDTH / 2), abs(arrow.label_y - box.y - HEIGHT / 2)
        assert apart[0] >= (LABEL_WIDTH + WIDTH) / 2 or apart[1] >= (LABEL_HEIGHT + HEIGHT) / 2, (arrow, box)


def test_nothing_makes_an_empty_map() -> None:
    assert layout([], []).boxes == ()
