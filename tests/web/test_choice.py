"""The time range, tenant and environment a reader chose."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.query.timerange import TimeRangeError
from tocsin.web.choice import Choice, choose

NOW_NS = int(datetime(2026, 11, 21, 14, 10, tzinfo=UTC).timestamp()) * 10**9


def test_without_url_or_cookie_it_is_the_last_hour_of_everything() -> None:
    assert choose({}, "", UTC) == Choice("1h")


def test_cookie_counts_when_the_url_says_nothing() -> None:
    assert choose({}, "range=6h&tenant=acme&env=production", UTC) == Choice("6h", None, None, "acme", "production")


def test_url_rules_alone_as_soon_as_it_says_anything() -> None:
    assert choose({"range": "24h"}, "range=6h&tenant=acme", UTC) == Choice("24h")
    assert choose({"tenant": ""}, "tenant=acme", UTC) == Choice("1h")


def test_choice_survives_its_own_parameters() -> None:
    chosen = Choice("7d", None, None, "a&b=c", "pre prod")
    assert choose(chosen.parameters(), "", UTC) == chosen
    assert choose({}, chosen.cookie(), UTC) == chosen


def test_span_of_time_is_read_in_the_readers_zone_and_not_remembered() -> None:
    asked = {"start": "2026-11-21T14:00", "end": "2026-11-21T15:00"}
    chosen = choose(asked, "", ZoneInfo("Europe/Berlin"))
    assert chosen.window(0).start_ns == NOW_NS - 70 * 60 * 10**9
    assert chosen.window(0).seconds == 3600
    assert chosen.refresh_seconds == 0
    assert choose({}, chosen.cookie(), UTC) == Choice("1h")


def test_unix_seconds_are_understood() -> None:
    chosen = choose({"start": "1795228000", "end": "1795228060.5"}, "", UTC)
    assert (chosen.start_ns, chosen.end_ns) == (1_795_228_000 * 10**9, 1_795_228_060_500_000_000)
    assert chosen.parameters() == {"start": "1795228000", "end": "1795228060.5"}


@pytest.mark.parametrize(
    "asked",
    [
        {"range": "9y"},
        {"start": "soon", "end": "later"},
        {"start": "200", "end": "100"},
        {"start": "nan", "end": "5"},
        {"start": "0", "end": "inf"},
        {"start": "-5", "end": "5"},
    ],
)
def test_what_cannot_be_read_is_said(asked: dict[str, str]) -> None:
    with pytest.raises(TimeRangeError, match="cannot"):
        choose(asked, "", UTC)


@given(st.text(max_size=60))
def test_any_cookie_gives_a_choice(cookie: str) -> None:
    assert choose({}, cookie, UTC).window(NOW_NS).seconds > 0
