"""Windows cut into round steps, and times as people write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otlp import HOUR_NS, NOW_NS, SECOND_NS
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.filters import STEPS_SECONDS, Filter
from tocsin.query.timerange import TimeRangeError, instant_ns, window_between
from tocsin.storage.telemetry.store import TelemetryStore

WINDOWS = st.tuples(st.integers(0, 4 * 10**18), st.integers(1, 10**16)).map(lambda pair: Window(pair[0], sum(pair)))


@given(WINDOWS, st.integers(1, 500))
def test_step_is_round_and_gives_at_most_the_points_asked_for(window: Window, points: int) -> None:
    step = Filter(window).step_seconds(points)
    assert step in STEPS_SECONDS
    assert window.seconds / step <= points or step == STEPS_SECONDS[-1]


@pytest.mark.parametrize(
    ("seconds", "step"), [(900, 10), (3600, 60), (21_600, 300), (86_400, 1200), (2_592_000, 43_200)]
)
def test_usual_ranges_have_these_steps(seconds: int, step: int) -> None:
    assert Filter(Window.last(seconds, NOW_NS)).step_seconds() == step


@given(WINDOWS, st.sampled_from(STEPS_SECONDS))
def test_aligned_window_is_the_smallest_of_whole_steps_around(window: Window, step: int) -> None:
    aligned = Filter(window).aligned(step).window
    step_ns = step * SECOND_NS
    assert aligned.start_ns % step_ns == aligned.end_ns % step_ns == 0
    assert aligned.start_ns <= window.start_ns < aligned.start_ns + step_ns
    assert aligned.end_ns - step_ns < window.end_ns <= aligned.end_ns


def test_empty_text_asks_for_telemetry_that_names_none() -> None:
    chosen = Filter(Window(0, 1), service="", route=None)
    assert "service = {service:String}" in chosen.conditions()
    assert "route" not in chosen.conditions()
    assert chosen.parameters()["service"] == ""


def test_tenant_narrows_the_scope_and_cannot_leave_it() -> None:
    chosen = Filter(Window(0, 1), tenant="acme")
    assert chosen.narrowed(PLATFORM) == Scope.of("acme")
    assert chosen.narrowed(Scope.of("acme", "globex")) == Scope.of("acme")
    assert chosen.narrowed(Scope.of("globex")) == Scope.of()


def test_every_instant_reaches_the_engine_to_the_nanosecond(store: TelemetryStore) -> None:
    sql = "SELECT toUnixTimestamp64Nano({start:DateTime64(9)}), toUnixTimestamp64Nano({end:DateTime64(9)})"
    for start in (0, 1, 999_999_999, 5 * SECOND_NS, 1234 * SECOND_NS + 5, 99_999 * SECOND_NS, 10**18, NOW_NS + 1):
        window = Window(start, 8_999_999_999 * SECOND_NS)
        assert store.read(PLATFORM, sql, **Filter(window).parameters()).rows == [[start, window.end_ns]]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("0", "UTC", 0),
        ("1700000000.5", "UTC", 1_700_000_000_500_000_000),
        ("2026-11-21T14:02", "UTC", 1_795_269_720 * SECOND_NS),
        ("2026-11-21T14:02:00Z", "Europe/Berlin", 1_795_269_720 * SECOND_NS),
        ("2026-11-21T15:02", "Europe/Berlin", 1_795_269_720 * SECOND_NS),
        ("2026-11-21 14:02:00+00:00", "UTC", 1_795_269_720 * SECOND_NS),
    ],
)
def test_instant_is_read_from_unix_seconds_or_iso(text: str, zone: str, expected: int) -> None:
    assert instant_ns(text, ZoneInfo(zone)) == expected


@given(st.text())
@example("nan")
@example("inf")
@example("-1")
@example("1e300")
@example("1700000000000")
@example("0001-01-01")
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
def test_any_text_is_an_instant_in_reach_or_refused(text: str) -> None:
    try:
        found = instant_ns(text)
    except TimeRangeError:
        return
    assert 0 <= found < 2**63


def test_window_between_fills_in_what_is_missing() -> None:
    assert window_between("", "", NOW_NS) == Window(NOW_NS - HOUR_NS, NOW_NS)
    assert window_between("", "7200", NOW_NS) == Window(3600 * SECOND_NS, 7200 * SECOND_NS)
    assert window_between("100", "200", NOW_NS) == Window(100 * SECOND_NS, 200 * SECOND_NS)
    with pytest.raises(TimeRangeError, match="ends before it starts"):
        window_between("200", "100", NOW_NS)


@given(st.sampled_from(["", "0", "10", "3599"]), st.sampled_from(["0", "10", "3599"]))
def test_window_at_the_beginning_of_time_is_a_window_or_refused(start: str, end: str) -> None:
    try:
        window = window_between(start, end, NOW_NS)
    except TimeRangeError:
        return
    assert 0 <= window.start_ns < window.end_ns
