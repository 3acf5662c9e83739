"""Traces as rows: order, folding, and broken input."""

from __future__ import annotations

from telemetry_rows import SAY, exception, span, trace

from tocsin.query import trace_tree
from tocsin.web import format, trace_headline, waterfall

NB = format.NARROW


def test_children_follow_their_parent_in_order_of_start() -> None:
    found = trace(span("root", took_ms=100), span("b", "root", 50), span("a", "root", 5), span("a1", "a", 6, 1))
    assert [(row.id, row.depth) for row in waterfall.rows(found)] == [("root", 0), ("a", 1), ("a1", 2), ("b", 1)]


def test_bars_are_placed_in_the_time_of_the_trace() -> None:
    row = waterfall.rows(trace(span("root", took_ms=100), span("a", "root", 25, 50)))[1]
    assert (row.offset, row.width) == (0.25, 0.5)


def test_child_outlasting_the_trace_stays_inside_the_picture() -> None:
    found = trace(span("root", took_ms=100))
    late = span("late", "root", 90, 50)
    found.spans.append(late)
    row = waterfall.rows(found)[1]
    assert row.offset + row.width <= 1


def test_repeated_calls_fold_into_one_row() -> None:
    calls = [span(f"q{n}", "root", n * 10, 5, name="SELECT items") for n in range(6)]
    rows = waterfall.rows(trace(span("root", took_ms=100), *calls))
    assert [row.repeats for row in rows] == [1, 6, 1, 1, 1, 1, 1, 1]
    assert rows[1].children == 6
    assert all(row.is_folded and row.parent == rows[1].id for row in rows[2:])


def test_a_failed_call_is_not_hidden_among_good_ones() -> None:
    calls = [span(f"q{n}", "root", n * 10, 5, name="SELECT items") for n in range(8)]
    calls[4] = span("q4", "root", 40, 5, name="SELECT items", status="error")
    rows = waterfall.rows(trace(span("root", took_ms=100), *calls))
    assert [row.is_folded for row in rows if row.is_error] == [False]


def test_calls_with_children_are_not_folded() -> None:
    calls = [span(f"q{n}", "root", n * 10, 5, name="load") for n in range(5)]
    inner = [span(f"i{n}", f"q{n}", n * 10, 2) for n in range(5)]
    assert all(row.repeats == 1 for row in waterfall.rows(trace(span("root", took_ms=100), *calls, *inner)))


def test_span_whose_parent_is_missing_becomes_a_root() -> None:
    rows = waterfall.rows(trace(span("root"), span("lost", "nowhere", 2)))
    assert [(row.id, row.depth) for row in rows] == [("root", 0), ("lost", 0)]


def test_spans_in_a_cycle_are_drawn_once() -> None:
    rows = waterfall.rows(trace(span("root"), span("a", "b", 1), span("b", "a", 2), span("self", "self", 3)))
    assert sorted(row.id for row in rows) == ["a", "b", "root", "self"]


def test_very_deep_trace_is_drawn_without_recursion() -> None:
    chain = [span("s0"), *(span(f"s{n}", f"s{n - 1}", n / 1000) for n in range(1, 3000))]
    assert len(waterfall.rows(trace(*chain))) == waterfall.MOST_ROWS


def test_kind_follows_the_attributes() -> None:
    kinds = [
        span("a", attributes={"db.system.name": "postgresql"}),
        span("b", attributes={"db.system": "redis"}),
        span("c", kind="client"),
        span("d", kind="consumer"),
        span("e", kind="server"),
        span("f"),
    ]
    assert [waterfall.kind_of(each) for each in kinds] == ["db", "cache", "http", "queue", "server", "internal"]


def test_own_time_leaves_out_overlapping_children_once() -> None:
    own = trace_tree.self_time_ns(
        span("p", took_ms=100), [span("a", start_ms=10, took_ms=30), span("b", start_ms=20, took_ms=40)]
    )
    assert own == 50_000_000


def test_origin_of_a_failure_is_the_deepest_span_that_failed() -> None:
    found = trace(
        span("root", took_ms=100, status="error"), span("a", "root", 10, 50, status="error"), span("b", "root", 70)
    )
    origin = waterfall.error_origin(found)
    assert origin is not None
    assert origin.span_id == "a"
    assert waterfall.error_origin(trace(span("root"))) is None


STACK = """Traceback (most recent call last):
  File "/srv/app/reports/export.py", line 88, in export_rows
    rate = rates[currency]
  File "/srv/.venv/lib/python3.11/site-packages/money/table.py", line 12, in __getitem__
    raise ValueError(currency)
ValueError: no rate for USD"""


def test_cause_names_the_last_line_of_the_apps_own_code() -> None:
    cause = trace_headline.cause(trace(span("root", status="error", events=[exception("money.ValueError", STACK)])))
    assert cause is not None
    assert (cause.title, cause.message) == ("ValueError", "no rate for USD")
    assert cause.code_line == "app/reports/export.py:88 in export_rows"


def test_failure_without_exception_says_the_status() -> None:
    cause = trace_headline.cause(trace(span("root", status="error", attributes={"http.response.status_code": 503})))
    assert cause is not None
    assert cause.message == "answered 503"


def test_trace_headline_says_that_another_tenants_rows_were_read() -> None:
    asked = {"http.request.method": "GET", "url.path": "/reports", "tocsin.isolation.crossing": "row:reports"}
    said = trace_headline.trace(SAY, trace(span("root", took_ms=50, attributes=asked)))
    assert (said.state, said.text) == ("bad", "GET /reports read rows of another tenant in reports")


def test_trace_headline_says_what_was_asked_and_how_it_ended() -> None:
    asked = {"http.request.method": "POST", "url.path": "/reports/42/export", "enduser.id": "u_193"}
    said = trace_headline.trace(SAY, trace(span("root", took_ms=3420, status="error", attributes=asked)))
    assert said.text == f"POST /reports/42/export failed after 3.42{NB}s"
    assert said.sub_text.startswith("acme · user u_193 · reports · production · 2026-11-21 14:10:00.000 · 1 span")


def test_failure_inside_a_good_answer_is_a_warning() -> None:
    said = trace_headline.trace(SAY, trace(span("root", took_ms=50), span("a", "root", 1, status="error")))
    assert (said.state, said.text) == ("warn", f"root took 50{NB}ms, with a failure inside")


def test_where_the_time_went_is_said_only_when_something_stands_out() -> None:
    calls = [span(f"q{n}", "root", n * 10, 9, name="SELECT items") for n in range(10)]
    assert trace_headline.where_time_went(trace(span("root", took_ms=100), *calls)) == (
        "90 % of the time went into SELECT items (10 calls)."
    )
    assert trace_headline.where_time_went(trace(span("root", took_ms=100), span("a", "root", 1, 10))) == ""
