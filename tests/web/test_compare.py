"""A trace beside a normal one, and a trace as a flame."""

from __future__ import annotations

from dataclasses import replace

import pytest
from served import Served
from shop import NORMAL, SLOW
from telemetry_rows import SAY, span, trace

from tocsin.query.compare import Step, compare
from tocsin.query.traces import SpanRecord, Trace
from tocsin.web.compare_headline import comparison, where_it_went
from tocsin.web.flame import flame, hottest

pytestmark = pytest.mark.xdist_group("shop")


def named(identity: str, name: str, parent: str = "", start_ms: float = 0, took_ms: float = 10) -> SpanRecord:
    return span(identity, parent, start_ms, took_ms, name=name)


def normal_trace() -> Trace:
    return trace(
        named("r", "GET /report", took_ms=100), named("b", "build", "r", 0, 60), named("q", "SELECT", "b", 0, 20)
    )


def slow_trace(selects: int = 5) -> Trace:
    spans = [named("r", "GET /report", took_ms=400), named("b", "build", "r", 0, 340)]
    spans += [named(f"q{place}", "SELECT", "b", place * 20, 20) for place in range(selects)]
    return trace(*spans, named("m", "send mail", "r", 350, 30))


def by_name(steps: list[Step]) -> dict[str, Step]:
    return {step.name: step for step in steps}


def test_steps_are_matched_by_their_names_from_the_root() -> None:
    steps = compare(slow_trace(), normal_trace())
    assert [step.path for step in steps] == [
        ("GET /report",),
        ("GET /report", "build"),
        ("GET /report", "build", "SELECT"),
        ("GET /report", "send mail"),
    ]


def test_step_tells_time_and_calls_of_both() -> None:
    select = by_name(compare(slow_trace(), normal_trace()))["SELECT"]
    assert (select.own_calls, select.normal_calls, select.more_calls) == (5, 1, 4)
    assert (select.own_ns, select.normal_ns, select.more_ns) == (100_000_000, 20_000_000, 80_000_000)


def test_own_time_of_a_step_leaves_out_what_it_calls() -> None:
    build = by_name(compare(slow_trace(), normal_trace()))["build"]
    assert (build.own_self_ns, build.normal_self_ns, build.more_self_ns) == (240_000_000, 40_000_000, 200_000_000)


def test_step_of_one_trace_only_has_no_calls_in_the_other() -> None:
    steps = by_name(compare(slow_trace(), normal_trace()))
    assert (steps["send mail"].own_calls, steps["send mail"].normal_calls) == (1, 0)
    turned = by_name(compare(normal_trace(), slow_trace()))
    assert (turned["send mail"].own_calls, turned["send mail"].span_id) == (0, "m")


def test_same_trace_has_no_difference() -> None:
    assert all(step.more_ns == step.more_calls == 0 for step in compare(slow_trace(), slow_trace()))


def test_spans_that_lead_to_themselves_are_compared_all_the_same() -> None:
    loop = trace(named("a", "a", "b"), named("b", "b", "a"))
    assert sum(step.own_calls for step in compare(loop, normal_trace())) == 2


def test_sentence_says_where_the_time_went_and_what_was_called_more() -> None:
    own, normal = slow_trace(), normal_trace()
    said = comparison(SAY, own, normal, compare(own, normal))
    assert said.state == "warn"
    assert said.text.replace("\u202f", " ") == (
        "GET /report took 300 ms longer than a normal one: 200 ms more in build, 80 ms more in SELECT, "
        "4 extra calls of SELECT."
    )


def test_sentence_about_a_failure_that_ended_early_names_what_never_ran() -> None:
    root = replace(named("r", "GET /report", took_ms=5), status="error")
    said = comparison(SAY, trace(root), normal_trace(), compare(trace(root), normal_trace()))
    assert said.state == "bad"
    assert said.text.replace("\u202f", " ") == "GET /report failed 95 ms sooner than a normal one: build never ran."


def test_sentence_is_short_when_both_took_as_long() -> None:
    own = normal_trace()
    assert comparison(SAY, own, own, compare(own, own)).text == "GET /report took as long as a normal one."


def test_one_step_with_extra_calls_is_named_once() -> None:
    own, normal = trace(named("r", "root", took_ms=50), *_selects(40)), trace(named("r", "root", took_ms=10))
    assert where_it_went(compare(own, normal), 40_000_000).endswith("more in SELECT, 40 extra calls of it")


def test_time_of_the_root_is_called_the_handlers_own() -> None:
    own, normal = trace(named("r", "root", took_ms=50)), trace(named("r", "root", took_ms=10))
    assert where_it_went(compare(own, normal), 40_000_000) == "40\u202fms more in the handler itself"


def _selects(count: int) -> list[SpanRecord]:
    return [named(f"s{place}", "SELECT", "r", place, 1) for place in range(count)]


def test_flame_lays_calls_of_one_name_together() -> None:
    boxes = {box.name: box for box in flame(slow_trace())}
    assert boxes["SELECT"].calls == 5
    assert (boxes["GET /report"].row, boxes["build"].row, boxes["SELECT"].row) == (0, 1, 2)
    assert boxes["SELECT"].width == pytest.approx(25)
    assert boxes["SELECT"].self_ns == 100_000_000


def test_boxes_of_a_flame_lie_within_the_box_below() -> None:
    boxes = {box.name: box for box in flame(slow_trace())}
    for inner, outer in (("build", "GET /report"), ("send mail", "GET /report"), ("SELECT", "build")):
        assert boxes[inner].x >= boxes[outer].x - 1e-9
        assert boxes[inner].x + boxes[inner].width <= boxes[outer].x + boxes[outer].width + 1e-9


def test_work_at_the_same_time_stands_side_by_side() -> None:
    parallel = trace(named("r", "root", took_ms=100), named("a", "a", "r", 0, 100), named("b", "b", "r", 0, 100))
    boxes = {box.name: box for box in flame(parallel)}
    assert (boxes["a"].width, boxes["b"].width) == (pytest.approx(50), pytest.approx(50))
    assert sorted([boxes["a"].x, boxes["b"].x]) == [0, pytest.approx(50)]


def test_flame_of_a_very_deep_trace_is_cut_and_loses_no_work() -> None:
    deep = [named("0", "s0", took_ms=200)]
    deep += [named(str(at), f"s{at}", str(at - 1), at / 10, 200 - at) for at in range(1, 150)]
    boxes = flame(trace(*deep))
    assert max(box.row for box in boxes) <= 60
    assert boxes[0].width == pytest.approx(100)


def test_hottest_box_has_most_time_of_its_own() -> None:
    hot = hottest(flame(slow_trace()))
    assert hot is not None
    assert hot.name == "build"
    assert hottest([]) is None


def test_slow_trace_is_one_click_from_its_comparison(shop: Served) -> None:
    assert f'href="/traces/{SLOW}/compare?range=1h"' in shop.administrator.get(f"/traces/{SLOW}").text
    endpoint = shop.administrator.get("/services/front/endpoint?method=POST&route=/orders").text
    assert f'href="/traces/{SLOW}/compare?range=1h"' in endpoint


def test_comparison_is_with_the_trace_of_median_duration(shop: Served) -> None:
    html = shop.administrator.get(f"/traces/{SLOW}/compare").text
    assert "780\u202fms more in SELECT items" in html
    assert "extra calls of it" in html
    assert html.count("only in the normal one") == 1


def test_comparison_outside_the_chosen_time_looks_around_the_trace(shop: Served) -> None:
    html = shop.administrator.get(f"/traces/{SLOW}/compare?start=1000&end=2000").text
    assert "longer than a normal one" in html


def test_comparison_of_another_tenants_trace_is_not_there(shop: Served) -> None:
    globex = f"{1:032x}"
    assert shop.administrator.get(f"/traces/{globex}/compare").status_code == 200
    assert shop.tom.get(f"/traces/{globex}/compare").status_code == 404


def test_lonely_trace_says_that_there_is_nothing_to_compare_with(shop: Served) -> None:
    assert "No other GET /staged succeeded" in shop.administrator.get(f"/traces/{'5a' * 16}/compare").text


def test_comparison_is_readable_by_programs(shop: Served) -> None:
    answer = shop.administrator.get(f"/api/v1/traces/{SLOW}/comparison")
    assert answer.status_code == 200, answer.text
    select = next(step for step in answer.json()["steps"] if step["path"][-1] == "SELECT items")
    assert (select["own_calls"], select["normal_calls"]) == (40, 1)
    assert answer.json()["normal_trace_id"] != SLOW
    assert shop.administrator.get(f"/api/v1/traces/{'5a' * 16}/comparison").status_code == 404
    assert shop.tom.get(f"/api/v1/traces/{1:032x}/comparison").status_code == 404


def test_flame_is_a_switch_of_the_trace_page(shop: Served) -> None:
    html = shop.administrator.get(f"/traces/{NORMAL}?as=flame").text
    assert '<svg class="flame"' in html
    assert 'id="waterfall"' not in html
    assert "as=flame" in shop.administrator.get(f"/traces/{NORMAL}").text
