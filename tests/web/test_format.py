"""Numbers, times and lists as people say them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tocsin.web import format

NB = format.NARROW
NOW_NS = int(datetime(2026, 11, 21, 14, 10, tzinfo=UTC).timestamp()) * 10**9
MINUTE_NS = 60 * 10**9


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0, "0"),
        (0.001, "<0.01"),
        (0.02, "0.02"),
        (0.5, "0.5"),
        (4.2, "4.2"),
        (2.04, "2"),
        (9.97, "10"),
        (86, "86"),
        (999.7, "1,000"),
        (1284, "1,284"),
        (9999.4, "9,999"),
        (12_400, "12.4k"),
        (314_000, "314k"),
        (999_600, "1M"),
        (3_100_000, "3.1M"),
        (2_000_000_000, "2B"),
        (-3, "−3"),
    ],
)
def test_number_keeps_the_figures_that_matter(value: float | None, said: str) -> None:
    assert format.number(value) == said


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(None, "–"), (0, "0"), (1, "100"), (0.418, "41.8"), (0.0231, "2.3"), (0.0002, "0.02"), (0.99999, "99.99")],
)
def test_percent_never_rounds_a_failure_away_or_up_to_all(ratio: float | None, said: str) -> None:
    assert format.percent(ratio) == said


def test_percent_of_next_to_nothing_is_not_zero() -> None:
    assert format.percent(0.000_001) == "<0.01"


@pytest.mark.parametrize(("ratio", "said"), [(None, "–"), (0, "0"), (0.004, "<1"), (0.32, "32"), (1, "100")])
def test_share_is_whole_per_cent(ratio: float | None, said: str) -> None:
    assert format.share(ratio) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.000_004, f"4{NB}µs"),
        (0.0041, f"4.1{NB}ms"),
        (0.412, f"412{NB}ms"),
        (0.99999, f"1{NB}s"),
        (3.42, f"3.42{NB}s"),
        (59.999, f"1{NB}min"),
        (125, f"2{NB}min 5{NB}s"),
        (12_000, f"3{NB}h 20{NB}min"),
        (187_200, f"2{NB}d 4{NB}h"),
        (-0.5, f"−500{NB}ms"),
    ],
)
def test_duration_takes_the_unit_a_person_would(seconds: float | None, said: str) -> None:
    assert format.duration(seconds) == said


def test_milliseconds_for_a_column_have_no_unit() -> None:
    assert [format.milliseconds(value) for value in (2.91, 0.096, 0.0041, None)] == ["2,910", "96", "4.1", "–"]


def test_size_uses_decimal_units() -> None:
    assert [format.size(value) for value in (812, 4200, 1.3e9)] == [f"812{NB}B", f"4.2{NB}kB", f"1.3{NB}GB"]


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (103, 100, f"+3{NB}% vs before"),
        (88, 100, f"−12{NB}% vs before"),
        (100, 100, "as before"),
        (1200, 100, "12× before"),
        (1, 0, ""),
        (None, 5, ""),
        (5, None, ""),
    ],
)
def test_against_says_how_a_value_moved(now: float | None, before: float | None, said: str) -> None:
    assert format.against(now, before, "before") == said


def test_clock_is_as_short_as_it_stays_clear() -> None:
    day_ns = 24 * 60 * MINUTE_NS
    said = [format.clock(NOW_NS - back, UTC, NOW_NS) for back in (8 * MINUTE_NS, day_ns, 30 * day_ns, 400 * day_ns)]
    assert said == ["14:02", "Fri 14:10", "22 Oct 14:10", "17 Oct 2025 14:10"]


def test_clock_is_in_the_readers_zone() -> None:
    assert format.clock(NOW_NS, ZoneInfo("Europe/Berlin"), NOW_NS) == "15:10"


def test_timestamp_keeps_milliseconds() -> None:
    assert format.timestamp(NOW_NS + 204_999_999, UTC) == "2026-11-21 14:10:00.204"
    assert format.time_of_day(NOW_NS + 204_999_999, UTC) == "14:10:00.204"


def test_ago_uses_one_unit() -> None:
    said = [format.ago(NOW_NS - seconds * 10**9, NOW_NS) for seconds in (-5, 2, 40, 420, 7200, 86_400, 300_000)]
    assert said == [
        "just now",
        "just now",
        f"40{NB}s ago",
        f"7{NB}min ago",
        f"2{NB}h ago",
        f"1{NB}day ago",
        f"3{NB}days ago",
    ]


def test_names_are_joined_as_in_speech() -> None:
    assert format.join([]) == ""
    assert format.join(["acme"]) == "acme"
    assert format.join(["acme", "globex"]) == "acme and globex"
    assert format.join(["acme", "globex", "initech"]) == "acme, globex and initech"
    assert format.join(["a", "b", "c", "d", "e"]) == "a, b and 3 more"


def test_small_counts_are_words() -> None:
    assert [format.count_word(count) for count in (0, 2, 12, 13, 1400)] == ["no", "two", "twelve", "13", "1,400"]
    assert format.plural(1, "tenant") == "1 tenant"
    assert format.plural(14, "tenant") == "14 tenants"
