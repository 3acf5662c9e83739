"""Groups of errors for ever: first and last seen, releases, tenants; kept apart by scope."""

from __future__ import annotations

from typing import Any

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SHOP, exception, span, trace_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.error_history import courses, histories, occurrences, stack_of
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Filter(Window(NOW_NS, NOW_NS + HOUR_NS))
DAY_NS = 24 * HOUR_NS
STACK = (
    'Traceback (most recent call last):\n  File "/srv/.venv/lib/python3.11/site-packages/starlette/routing.py", '
    'line 7, in app\n  File "/srv/releases/{}/shop/app/orders.py", line {}, in place\n    pay()\n'
    '  File "/usr/lib/python3.11/json/decoder.py", line 9, in decode\nValueError: x\n'
)


def failure(
    release: str, at_ns: int, tenant: str = "acme", line: int = 10, trace: bytes | None = None, fingerprint: str = ""
) -> Any:
    more = {"tocsin.error.fingerprint": fingerprint} if fingerprint else {}
    event = exception("ValueError", f"failed at {line}", STACK.format(release, line), time_ns=at_ns, **more)
    known = {"trace_id": trace} if trace else {}
    made = span(start_ns=at_ns, tenant=tenant, route="/orders", method="POST", status=2, events=[event], **known)
    return trace_request([made], SHOP | {"service.version": release})


def only(store: TelemetryStore, scope: Scope = PLATFORM) -> str:
    rows = store.read(scope, "SELECT DISTINCT fingerprint FROM error_groups").rows
    assert len(rows) == 1
    return str(rows[0][0])


def test_a_group_is_one_across_lines_and_deploys_and_remembers_its_first_release(
    store: TelemetryStore, put: Any
) -> None:
    put(failure("1.2", NOW_NS - 9 * DAY_NS, line=10))
    put(failure("1.3", NOW_NS + MINUTE_NS, "globex", line=44), failure("1.3", NOW_NS + 2 * MINUTE_NS, line=45))
    group = histories(store, PLATFORM, HOUR, [only(store)])[only(store)]
    assert (group.count, group.type, group.message) == (3, "ValueError", "failed at 45")
    assert group.place == "shop/app/orders.py:45 in place"
    assert (group.first_ns, group.last_ns) == (NOW_NS - 9 * DAY_NS, NOW_NS + 2 * MINUTE_NS)
    assert [(part.name, part.count) for part in group.releases] == [("1.2", 1), ("1.3", 2)]
    assert group.first_release == "1.2"
    assert [(part.name, part.count) for part in group.tenants] == [("acme", 2), ("globex", 1)]
    assert [(part.name, part.count) for part in group.routes] == [("POST /orders", 3)]


def test_it_outlives_the_exceptions_themselves(store: TelemetryStore, put: Any) -> None:
    put(failure("1.2", NOW_NS))
    store.engine.execute("TRUNCATE TABLE exceptions")
    assert histories(store, PLATFORM, HOUR, [only(store)])[only(store)].count == 1


def test_an_exception_that_passes_several_spans_is_one_occurrence(store: TelemetryStore, put: Any) -> None:
    put(failure("1", NOW_NS, trace=b"t" * 16), failure("1", NOW_NS, trace=b"t" * 16))
    assert histories(store, PLATFORM, HOUR, [only(store)])[only(store)].count == 1


def test_spans_within_a_request_are_no_endpoints_and_those_of_jobs_are(store: TelemetryStore, put: Any) -> None:
    inner = failure("1", NOW_NS, trace=b"t" * 16)
    made = inner.resource_spans[0].scope_spans[0].spans[0]
    made.name = "build report"
    del made.attributes[:]
    put(failure("1", NOW_NS, trace=b"t" * 16), inner)
    group = histories(store, PLATFORM, HOUR, [only(store)])[only(store)]
    assert ([part.name for part in group.routes], group.count) == (["POST /orders"], 1)
    store.engine.execute("TRUNCATE TABLE error_groups")
    put(inner)
    assert [part.name for part in histories(store, PLATFORM, HOUR, [only(store)])[only(store)].routes] == [
        "build report"
    ]


def test_tenants_see_their_own_part_only(store: TelemetryStore, put: Any) -> None:
    put(failure("1.2", NOW_NS - DAY_NS, "globex"), failure("1.3", NOW_NS, line=11))
    mine = histories(store, Scope.of("acme"), HOUR, [only(store)])[only(store)]
    assert (mine.count, mine.first_release, [part.name for part in mine.tenants]) == (1, "1.3", ["acme"])
    assert histories(store, Scope.of("initech"), HOUR, [only(store)]) == {}
    assert courses(store, Scope.of("acme"), HOUR, [only(store)])[only(store)].by_tenant.keys() == {"acme"}
    assert [row[2] for row in occurrences(store, Scope.of("acme"), HOUR, only(store))] == ["acme"]


def test_the_course_is_the_same_from_exceptions_and_from_the_hours(store: TelemetryStore, put: Any) -> None:
    put(*(failure("1", NOW_NS + minute * MINUTE_NS) for minute in (1, 2, 31)), failure("1", NOW_NS, "globex"))
    short = courses(store, PLATFORM, HOUR, [only(store)], points=2)[only(store)]
    assert (short.step_seconds, short.by_tenant) == (1800, {"acme": [2, 1], "globex": [1, 0]})
    assert short.total == [3, 1]
    week = Filter(Window(NOW_NS - 6 * DAY_NS, NOW_NS + DAY_NS))
    long = courses(store, PLATFORM, week, [only(store)])[only(store)]
    assert sum(long.total) == 4
    assert long.step_seconds >= 3600


def test_the_latest_stack_and_traces_are_found(store: TelemetryStore, put: Any) -> None:
    trace = b"\1" * 16
    put(failure("1", NOW_NS, line=1), failure("2", NOW_NS + MINUTE_NS, "globex", 2, trace))
    group = histories(store, PLATFORM, HOUR, [only(store)])[only(store)]
    assert group.latest_trace_id == trace.hex()
    assert "line 2, in place" in stack_of(store, PLATFORM, group.fingerprint, group.latest_trace_id)
    assert stack_of(store, Scope.of("acme"), group.fingerprint, group.latest_trace_id) == ""
    found = occurrences(store, PLATFORM, HOUR, group.fingerprint)
    assert [(row[2], row[3], row[4]) for row in found] == [
        ("globex", "POST /orders", "2"),
        ("acme", "POST /orders", "1"),
    ]


def test_our_own_fingerprint_is_kept(store: TelemetryStore, put: Any) -> None:
    put(failure("1", NOW_NS, fingerprint="abcd"))
    assert only(store) == "abcd"
