"""Lines of two tenants: found, paged, put in their surroundings, and followed as they arrive."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, log_record, log_request, span, trace_request
from tocsin.model.log_views import BUILT_IN
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import logs
from tocsin.query.log_filter import LogQuery
from tocsin.query.log_tail import MOST_AT_ONCE, Tail
from tocsin.query.log_words import LogQueryError, parse
from tocsin.query.logs import Cursor
from tocsin.storage.telemetry.store import TelemetryStore

WINDOW = Window(NOW_NS - 24 * HOUR_NS, NOW_NS + HOUR_NS)
ANY = LogQuery(WINDOW)
TRACE, SPAN = b"\xac" * 16, b"\x01" * 8
BILLING = {
    "service.name": "billing", "service.version": "2.1", "deployment.environment.name": "staging", "host.name": "h1",
    "process.pid": 7,
}  # fmt: skip


def found(store: TelemetryStore, query: LogQuery = ANY, scope: Scope = PLATFORM, **more: Any) -> list[str]:
    return [line.body for line in logs.search(store, scope, query, **more).lines]


def typed(text: str, **more: Any) -> LogQuery:
    return replace(ANY, text=parse(text), **more)


@pytest.fixture
def six(store: TelemetryStore, put: Any) -> TelemetryStore:
    """Lines 'one' to 'six …', a minute apart, each with something of its own; globex has the fourth."""
    own = {"tocsin.tenant": "acme"}
    shop = log_request(
        [
            log_record("one", time_ns=NOW_NS, severity_number=5),
            log_record("two: pool is empty", time_ns=NOW_NS + MINUTE_NS, severity_number=13, attrs={**own, "n": 7}),
            log_record(
                "three TIMEOUT at 10.0.0.1", time_ns=NOW_NS + 2 * MINUTE_NS, severity_number=17, trace_id=TRACE,
                span_id=SPAN, attrs={**own, "enduser.id": "u_193", "note": "two words", "ms": 1500.5},
            ),
            log_record("four timeout", time_ns=NOW_NS + 3 * MINUTE_NS, attrs={"tocsin.tenant": "globex", "ms": 20}),
        ]
    )  # fmt: skip
    shop.resource_logs[0].scope_logs[0].scope.name = "shop.pool"
    billing = log_request(
        [
            log_record("five 100%_x", time_ns=NOW_NS + 4 * MINUTE_NS, severity_text="ERROR", event_name="order.paid"),
            log_record({"six": ["a", 1]}, time_ns=NOW_NS + 5 * MINUTE_NS, severity_number=9),
        ],
        BILLING,
    )
    put(shop, billing)
    return store


ALL = ["six", "five", "four", "three", "two", "one"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ANY, ALL),
        (replace(ANY, service="billing"), ["six", "five"]),
        (replace(ANY, environment="staging"), ["six", "five"]),
        (replace(ANY, environment=""), ["four", "three", "two", "one"]),
        (replace(ANY, tenant="globex"), ["four"]),
        (replace(ANY, tenant="initech"), []),
        (replace(ANY, least_level="warn"), ["five", "three", "two"]),
        (replace(ANY, least_level="error"), ["five", "three"]),
        (replace(ANY, trace_ids=(TRACE.hex(),)), ["three"]),
        (replace(ANY, trace_ids=("ab" * 16, TRACE.hex().upper())), ["three"]),
        (replace(ANY, window=Window(NOW_NS + MINUTE_NS, NOW_NS + 3 * MINUTE_NS)), ["three", "two"]),
        (replace(ANY, window=Window(1, 2)), []),
        (replace(ANY, view=BUILT_IN["errors"]), ["five", "three"]),
        (typed("timeout"), ["four", "three"]),
        (typed("Timeout three"), ["three"]),
        (typed("imeou"), ["four", "three"]),
        (typed('"pool is"'), ["two"]),
        (typed('"pool empty"'), []),
        (typed("10.0.0.1"), ["three"]),
        (typed("100%_x"), ["five"]),
        (typed("100__x"), []),
        (typed("timeout -three"), ["four"]),
        (typed("-timeout -level:*"), []),
        (typed("u_193"), ["three"]),
        (typed("-u_193 timeout"), ["four"]),
        (typed("enduser.id:u_193"), ["three"]),
        (typed("enduser.id:u_19*"), ["three"]),
        (typed("enduser.id:u_19"), []),
        (typed("enduser.id:*"), ["three"]),
        (typed("-enduser.id:*"), ["six", "five", "four", "two", "one"]),
        (typed('note:"two words"'), ["three"]),
        (typed("ms:>1500"), ["three"]),
        (typed("ms:<=20"), ["four"]),
        (typed("n:7"), ["two"]),
        (typed("host.name:h1"), ["six", "five"]),
        (typed("-host.name:h1 -timeout"), ["two", "one"]),
        (typed("service:billing"), ["six", "five"]),
        (typed("app:bill*"), ["six", "five"]),
        (typed("tenant:globex"), ["four"]),
        (typed("env:staging"), ["six", "five"]),
        (typed("release:2.1"), ["six", "five"]),
        (typed("logger:shop.pool -timeout"), ["two", "one"]),
        (typed("event:order.paid"), ["five"]),
        (typed("level:error"), ["five", "three"]),
        (typed("level:ERR"), ["five", "three"]),
        (typed("level:>=info"), ["six", "five", "three", "two"]),
        (typed("level:<warn"), ["six", "one"]),
        (typed("level:unknown"), ["four"]),
        (typed("-level:debug level:*"), ["six", "five", "three", "two"]),
        (typed(f"trace:{TRACE.hex()}"), ["three"]),
        (typed("trace_id:*"), ["three"]),
        (typed(f"span:{SPAN.hex()}"), ["three"]),
        (typed("x' OR 1=1 --"), []),
        (typed('note:"\') OR 1=1 --"'), []),
    ],
)
def test_search_finds_what_fits_all_conditions(six: TelemetryStore, query: LogQuery, expected: list[str]) -> None:
    words = [body.lstrip('{"').split('"')[0].split(" ")[0].rstrip(":") for body in found(six, query)]
    assert words == expected


@pytest.mark.parametrize("text", ["level:loud", "trace:xyz", "span_id:12", "level:>=7"])
def test_what_cannot_be_searched_for_is_refused_in_words(six: TelemetryStore, text: str) -> None:
    with pytest.raises(LogQueryError, match="cannot search for"):
        found(six, typed(text))


def test_search_stays_within_the_scope(six: TelemetryStore) -> None:
    assert found(six, scope=Scope.of("globex")) == ["four timeout"]
    assert found(six, replace(ANY, tenant="acme"), Scope.of("globex")) == []
    assert found(six, typed("timeout"), Scope.of("acme")) == ["three TIMEOUT at 10.0.0.1"]


def test_a_line_is_read_as_it_was_sent(six: TelemetryStore) -> None:
    [third] = logs.search(six, PLATFORM, typed("three")).lines
    line = logs.get(six, PLATFORM, third.id)
    assert line == third
    assert line is not None
    assert (line.level, line.severity, line.is_error) == ("error", 17, True)
    assert (line.trace_id, line.span_id, line.logger) == (TRACE.hex(), SPAN.hex(), "shop.pool")
    assert line.attributes == {"tocsin.tenant": "acme", "enduser.id": "u_193", "note": "two words", "ms": 1500.5}
    [sixth] = logs.search(six, PLATFORM, replace(ANY, service="billing"), limit=1).lines
    assert (sixth.body, sixth.is_cut, sixth.trace_id) == ('{"six": ["a", 1]}', False, "")
    assert sixth.resource == BILLING


def test_a_line_of_another_tenant_is_not_there(six: TelemetryStore) -> None:
    [fourth] = logs.search(six, PLATFORM, replace(ANY, tenant="globex")).lines
    assert logs.get(six, Scope.of("acme"), fourth.id) is None
    with pytest.raises(LogQueryError, match="cannot read line"):
        logs.get(six, PLATFORM, "1' OR 1=1")


def test_long_messages_are_cut_in_lists_and_whole_on_their_own(store: TelemetryStore, put: Any) -> None:
    put(log_request([log_record("ä" * 10_000)]))
    [line] = logs.search(store, PLATFORM, ANY).lines
    assert (len(line.body), line.body_characters, line.is_cut) == (4000, 10_000, True)
    whole = logs.get(store, PLATFORM, line.id)
    assert whole is not None
    assert (whole.body, whole.is_cut) == ("ä" * 10_000, False)


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_hold_every_line_once_alike_ones_too(store: TelemetryStore, put: Any, size: int) -> None:
    alike = [log_record("again", time_ns=NOW_NS) for _ in range(9)]
    others = [log_record(f"line {place}", time_ns=NOW_NS + place // 2 * MINUTE_NS * 5) for place in range(20)]
    put(log_request([*alike, *others]))
    seen: list[str] = []
    times: list[int] = []
    before: Cursor | None = None
    for _ in range(100):
        page = logs.search(store, PLATFORM, ANY, size, before)
        seen += [line.body for line in page.lines]
        times += [line.time_ns for line in page.lines]
        if page.older is None:
            break
        before = Cursor.read(str(page.older))
    assert sorted(seen) == sorted(record.body.string_value for record in [*alike, *others])
    assert times == sorted(times, reverse=True)


def test_new_lines_do_not_move_the_older_pages(store: TelemetryStore, put: Any) -> None:
    put(log_request([log_record(f"line {place}", time_ns=NOW_NS + place * SECOND_NS) for place in range(10)]))
    first = logs.search(store, PLATFORM, ANY, 4)
    put(log_request([log_record("later", time_ns=NOW_NS + MINUTE_NS)]))
    assert found(store, before=first.older, limit=4) == ["line 5", "line 4", "line 3", "line 2"]


@pytest.mark.parametrize("text", ["", "1-2-3", "abc", "1-" + "0" * 16 + "-x", "9" * 30 + "-" + "0" * 16 + "-1"])
def test_a_cursor_that_no_search_gave_is_refused(text: str) -> None:
    with pytest.raises(LogQueryError, match="cannot read the cursor"):
        Cursor.read(text)


def test_lines_of_a_trace_are_in_their_order(six: TelemetryStore, put: Any) -> None:
    put(log_request([log_record("before", time_ns=NOW_NS, trace_id=TRACE, attrs={"tocsin.tenant": "globex"})]))
    window = Window(NOW_NS + 2 * MINUTE_NS, NOW_NS + 2 * MINUTE_NS + 1)
    lines = logs.of_trace(six, PLATFORM, TRACE.hex(), window)
    assert [line.body[:6] for line in lines] == ["before", "three "]
    assert [line.body for line in logs.of_trace(six, Scope.of("globex"), TRACE.hex(), window)] == ["before"]


def test_lines_of_an_endpoint_say_so_or_belong_to_its_requests(six: TelemetryStore, put: Any) -> None:
    put(
        trace_request([span(trace_id=TRACE, start_ns=NOW_NS + 2 * MINUTE_NS, route="/pay", method="POST")]),
        log_request([log_record("own", attrs={"tocsin.tenant": "acme", "http.route": "/pay"})]),
    )
    assert found(six, replace(ANY, method="POST", route="/pay")) == ["three TIMEOUT at 10.0.0.1", "own"]
    assert found(six, replace(ANY, method="GET", route="/pay")) == ["own"]


def test_around_a_line_stands_what_its_own_process_wrote(store: TelemetryStore, put: Any) -> None:
    for pid in (1, 2):
        records = [log_record(f"{pid}: {place}", time_ns=NOW_NS + place * 20 * MINUTE_NS) for place in range(-3, 4)]
        records += [log_record(f"{pid}: same", time_ns=NOW_NS)] if pid == 1 else []
        put(log_request(records, {"service.name": "shop", "process.pid": pid}))
    [line] = logs.search(store, PLATFORM, typed('"1: 0"')).lines
    around = logs.context(store, PLATFORM, line, 2)
    beside = [each.body for each in (*around.before, *around.after)]
    assert beside in (
        ["1: -1", "1: same", "1: 1", "1: 2"],
        ["1: -2", "1: -1", "1: same", "1: 1"],
    )
    everything = logs.context(store, PLATFORM, line, 100)
    assert len(everything.before) + len(everything.after) == 7
    assert logs.context(store, Scope.of("globex"), line, 5) == logs.LogContext([], [])


def test_a_tail_gives_what_arrives_once_late_lines_too(store: TelemetryStore, put: Any) -> None:
    tail = Tail(typed("-noise"), NOW_NS - 10 * SECOND_NS)

    def arrived(now_ns: int, scope: Scope = PLATFORM) -> list[str]:
        return [line.body for line in tail.arrived(store, scope, now_ns)]

    put(log_request([log_record("old", time_ns=NOW_NS - MINUTE_NS), log_record("a", time_ns=NOW_NS)]))
    assert arrived(NOW_NS + SECOND_NS) == ["a"]
    put(
        log_request(
            [
                log_record("late", time_ns=NOW_NS - 5 * SECOND_NS),
                log_record("noise", time_ns=NOW_NS + SECOND_NS),
                log_record("ahead", time_ns=NOW_NS + MINUTE_NS),
            ]
        )
    )
    assert arrived(NOW_NS + 2 * SECOND_NS) == ["late", "ahead"]
    assert arrived(NOW_NS + 3 * SECOND_NS) == []
    assert arrived(NOW_NS + 40 * SECOND_NS) == []
    put(log_request([log_record("too late", time_ns=NOW_NS)]))
    assert arrived(NOW_NS + MINUTE_NS) == []


def test_a_tail_makes_up_for_a_reader_who_was_slow(store: TelemetryStore, put: Any) -> None:
    tail = Tail(ANY, NOW_NS)
    put(log_request([log_record("first", time_ns=NOW_NS)]))
    assert [line.body for line in tail.arrived(store, PLATFORM, NOW_NS + SECOND_NS)] == ["first"]
    put(log_request([log_record("in between", time_ns=NOW_NS + 2 * SECOND_NS)]))
    assert [line.body for line in tail.arrived(store, PLATFORM, NOW_NS + 2 * MINUTE_NS)] == ["in between"]
    assert tail.arrived(store, PLATFORM, NOW_NS + 3 * MINUTE_NS) == []


def test_a_tail_shows_no_more_than_can_be_read_and_says_so(store: TelemetryStore, put: Any) -> None:
    put(log_request([log_record(f"{place}", time_ns=NOW_NS + place) for place in range(MOST_AT_ONCE + 5)]))
    tail = Tail(ANY, NOW_NS)
    lines = tail.arrived(store, PLATFORM, NOW_NS + SECOND_NS)
    assert [line.body for line in lines] == [str(place) for place in range(5, MOST_AT_ONCE + 5)]
    assert tail.left_out == 5


def test_a_tail_keeps_to_the_scope(six: TelemetryStore) -> None:
    tail = Tail(ANY, NOW_NS)
    lines = tail.arrived(six, Scope.of("globex"), NOW_NS + 10 * SECOND_NS)
    assert [line.tenant for line in lines] == ["globex"]
