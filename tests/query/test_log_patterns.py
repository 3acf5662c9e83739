"""Patterns of a window with their counts, courses and history; what differs between windows, tenants and releases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, log_record, log_request
from tocsin.detect.patterns.watch import PatternWatch
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.log_patterns import compared, lines_of, log_pattern, log_patterns
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Filter(Window(NOW_NS - HOUR_NS, NOW_NS))


@pytest.fixture
def watch(store: TelemetryStore) -> PatternWatch:
    return PatternWatch(store, lambda news: None, clock=lambda: NOW_NS / 1e9)


def lines(*bodies: str, minutes: int = 10, tenant: str = "acme", release: str = "1.0", **more: Any) -> Any:
    """Lines of so many minutes ago."""
    at_ns = NOW_NS - minutes * MINUTE_NS
    resource = {"service.name": "shop", "service.version": release, "deployment.environment.name": "live"}
    attrs = {"tocsin.tenant": tenant}
    more.setdefault("severity_number", 9)
    records = [
        log_record(one, time_ns=at_ns + place * SECOND_NS, attrs=attrs, **more) for place, one in enumerate(bodies)
    ]
    return log_request(records, resource)


def placed(count: int, **more: Any) -> Any:
    return lines(*(f"order {number} placed" for number in range(count)), **more)


def test_patterns_have_counts_shares_courses_and_history(store: TelemetryStore, put: Any, watch: PatternWatch) -> None:
    put(placed(3, minutes=90), placed(5, minutes=30), placed(1, minutes=10, tenant="globex", release="2.0"))
    put(lines("cannot charge card 17", "cannot charge card 18", release="2.0", severity_number=17))
    watch.look()
    orders, cards = log_patterns(store, PLATFORM, HOUR, points=6)
    assert (orders.template, orders.lines, orders.level, orders.is_new) == ("order <*> placed", 6, "info", False)
    assert orders.share == 0.75
    assert orders.course == [0, 0, 0, 5, 0, 1]
    assert (orders.tenants, orders.releases) == (["acme", "globex"], ["1.0", "2.0"])
    assert orders.first_ns == NOW_NS - 90 * MINUTE_NS
    assert (cards.template, cards.lines, cards.level, cards.is_new) == ("cannot charge card <*>", 2, "error", True)
    assert (cards.first_release, cards.example) == ("2.0", "cannot charge card 17")
    found = log_pattern(store, PLATFORM, HOUR, cards.name)
    assert found is not None
    assert (found.text, found.lines) == (cards.text, 2)
    assert log_pattern(store, Scope.of("globex"), HOUR, cards.name) is None
    assert [row.template for row in log_patterns(store, PLATFORM, HOUR, levels=["error"])] == [cards.template]


def test_hourly_counts_answer_long_windows(store: TelemetryStore, put: Any, watch: PatternWatch) -> None:
    put(placed(4, minutes=60 * 70), placed(2))
    watch.look()
    [orders] = log_patterns(store, PLATFORM, Filter(Window(NOW_NS - 80 * HOUR_NS, NOW_NS)))
    assert orders.lines == 6


def test_lines_nobody_has_looked_at_yet_are_shown_by_their_example(store: TelemetryStore, put: Any) -> None:
    put(placed(2))
    [orders] = log_patterns(store, PLATFORM, HOUR)
    assert (orders.template, orders.lines) == ("", 2)
    assert orders.text.startswith("order ")


def test_no_row_is_blank_when_patterns_are_found_while_they_are_asked_for(
    store: TelemetryStore, put: Any, watch: PatternWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lines(*(f"{name} opened the door" for name in ("berta", "carla", "doris", "erika"))))
    read, asked = store.read, []

    def and_then_look(*given: Any, **named: Any) -> Any:
        rows = read(*given, **named)
        asked.append(given)
        if len(asked) == 1:
            watch.look()
        return rows

    monkeypatch.setattr(store, "read", and_then_look)
    found = log_patterns(store, PLATFORM, HOUR)
    assert sum(one.lines for one in found) == 4
    assert all(one.text for one in found)


def test_patterns_that_became_one_are_counted_as_one(store: TelemetryStore, put: Any, watch: PatternWatch) -> None:
    for name in ("berta", "carla", "doris", "erika"):
        put(lines(f"{name} opened the door"))
        watch.look()
    [door] = log_patterns(store, PLATFORM, HOUR)
    assert (door.template, door.lines) == ("<*> opened the door", 4)


def test_scope_and_filter_hold(store: TelemetryStore, put: Any, watch: PatternWatch) -> None:
    put(placed(3), lines("globex only secret", tenant="globex"), placed(1, tenant="globex"))
    watch.look()
    mine = log_patterns(store, Scope.of("acme"), HOUR)
    assert [(row.template, row.lines, row.tenants) for row in mine] == [("order <*> placed", 3, ["acme"])]
    assert "globex" not in repr(mine)
    assert log_patterns(store, Scope.of("acme"), replace(HOUR, tenant="globex")) == []
    [only] = [one for one in log_patterns(store, PLATFORM, HOUR) if "secret" in one.text]
    assert [line.body for line in lines_of(store, PLATFORM, HOUR, only)] == ["globex only secret"]
    assert lines_of(store, Scope.of("acme"), HOUR, only) == []
    assert log_patterns(store, PLATFORM, replace(HOUR, environment="test")) == []
    assert len(log_patterns(store, PLATFORM, replace(HOUR, tenant="globex", environment="live", service="shop"))) == 2


def test_windows_are_compared(store: TelemetryStore, put: Any, watch: PatternWatch) -> None:
    for minutes in (10, 70):
        put(placed(200, minutes=minutes))
    put(lines(*["retrying 5"] * 40, minutes=10), lines(*["retrying 5"] * 4, minutes=70))
    put(lines(*["cannot connect"] * 50, minutes=10), lines(*["all went well"] * 50, minutes=70))
    put(lines("a rare thing", minutes=10), lines("nobody knows why", minutes=70))
    watch.look()
    before = replace(HOUR, window=HOUR.window.before())
    found = {one.pattern.text: one for one in compared(store, PLATFORM, HOUR, before)}
    assert {text: one.verdict for text, one in found.items()} == {
        "cannot connect": "new", "retrying <*>": "more", "all went well": "gone", "order <*> placed": "same",
        "a rare thing": "same", "nobody knows why": "same",
    }  # fmt: skip
    assert next(iter(found)) == "cannot connect"
    assert (found["all went well"].pattern.lines, found["all went well"].lines_before) == (0, 50)
    assert 5 < (found["retrying <*>"].factor or 0) < 11


def test_releases_and_tenants_are_compared(store: TelemetryStore, put: Any, watch: PatternWatch) -> None:
    put(placed(100, release="1.0"), placed(100, release="2.0", tenant="globex"))
    put(lines(*["disk is slow"] * 30, release="2.0", tenant="globex"))
    watch.look()
    releases = compared(store, PLATFORM, HOUR, HOUR, release="2.0", release_before="1.0")
    assert next((one.pattern.text, one.verdict) for one in releases) == ("disk is slow", "new")
    tenants = compared(store, PLATFORM, replace(HOUR, tenant="acme"), replace(HOUR, tenant="globex"))
    assert [(one.pattern.text, one.verdict) for one in tenants] == [
        ("disk is slow", "gone"), ("order <*> placed", "same"),
    ]  # fmt: skip
    assert compared(store, Scope.of("acme"), HOUR, replace(HOUR, tenant="globex"))[0].verdict == "same"
