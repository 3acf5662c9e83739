"""Lines counted over time and by who wrote them, from lines and from the counts kept of them alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, log_record, log_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import log_counts
from tocsin.query.filters import Filter
from tocsin.query.log_counts import Loud
from tocsin.query.log_filter import LogQuery
from tocsin.query.log_words import parse
from tocsin.storage.telemetry.store import TelemetryStore

HOUR = Window(NOW_NS, NOW_NS + HOUR_NS)
ANY = LogQuery(HOUR)


@pytest.fixture
def lines(store: TelemetryStore, put: Any) -> TelemetryStore:
    """Of shop: 60 lines of acme, one a minute, every tenth an error; of billing: 30 of globex, no level, one error."""
    shop = [
        log_record(
            f"line {place}",
            time_ns=NOW_NS + place * MINUTE_NS,
            severity_number=17 if place % 10 == 0 else 9,
            attrs={"tocsin.tenant": "acme", "plan": "gold" if place < 15 else "free", "id": f"{place}"},
        )
        for place in range(60)
    ]
    billing = [
        log_record(f"bill {place}", time_ns=NOW_NS + place * SECOND_NS, attrs={"tocsin.tenant": "globex"})
        for place in range(29)
    ]
    billing.append(log_record("lost", severity_number=21, attrs={"tocsin.tenant": "globex"}))
    put(log_request(shop), log_request(billing, {"service.name": "billing", "host.name": "h1"}))
    return store


def test_the_histogram_has_every_line_at_its_time_and_level(lines: TelemetryStore) -> None:
    counted = log_counts.histogram(lines, PLATFORM, ANY)
    assert counted.step_seconds == 60
    assert counted.times[0] == NOW_NS // SECOND_NS
    assert len(counted.times) == 60
    assert list(counted.by_level) == ["info", "error", "fatal", ""]
    assert counted.by_level["error"] == [1 if place % 10 == 0 else 0 for place in range(60)]
    assert counted.by_level[""][:2] == [29, 0]
    assert (counted.lines, counted.errors) == (90, 7)
    assert counted.counts[0] == 31
    assert counted.error_counts[0] == 2


@pytest.mark.parametrize("text", ["", "service:shop", "level:>=error", "-tenant:acme", "release:*"])
@pytest.mark.parametrize("hours", [2, 3 * 24, 20 * 24])
def test_counts_that_are_kept_answer_as_the_lines_do(lines: TelemetryStore, text: str, hours: int) -> None:
    window = Window(NOW_NS - hours * HOUR_NS, NOW_NS + HOUR_NS)
    kept = LogQuery(window, text=parse(text))
    read = replace(kept, text=parse(f"{text} -nowhere-to-be-found".strip()))
    assert kept.counts_suffice
    assert not read.counts_suffice
    assert log_counts.histogram(lines, PLATFORM, kept) == log_counts.histogram(lines, PLATFORM, read)
    assert log_counts.totals(lines, PLATFORM, kept) == log_counts.totals(lines, PLATFORM, read)


@pytest.mark.parametrize(
    ("seconds", "step"),
    [(0.001, 1), (60, 1), (900, 10), (3600, 60), (6 * 3600, 300), (86_400, 1200), (30 * 86_400, 28_800)],
)
def test_steps_are_round_and_few(seconds: float, step: int) -> None:
    window = Window(NOW_NS, NOW_NS + int(seconds * 1e9))
    assert log_counts.step_seconds(window) >= min(step, 28_800) * 0.5
    assert seconds / log_counts.step_seconds(window) <= log_counts.BARS


def test_totals_say_who_writes_most(lines: TelemetryStore) -> None:
    found = log_counts.totals(lines, PLATFORM, ANY)
    assert (found.lines, found.errors) == (90, 7)
    assert found.services == [Loud("shop", 60, 6), Loud("billing", 30, 1)]
    assert found.tenants == [Loud("acme", 60, 6), Loud("globex", 30, 1)]
    assert log_counts.totals(lines, Scope.of("globex"), ANY).services == [Loud("billing", 30, 1)]
    assert log_counts.totals(lines, PLATFORM, replace(ANY, window=Window(1, 2))) == log_counts.LogTotals()


def test_facets_are_what_can_be_chosen_from(lines: TelemetryStore) -> None:
    found = log_counts.facets(lines, PLATFORM, ANY)
    assert (found.sampled, found.is_sample) == (90, False)
    by_name = {facet.name: facet for facet in found.facets}
    assert list(by_name)[:3] == ["service", "level", "tenant"]
    assert [(one.value, one.lines) for one in by_name["service"].top] == [("shop", 60), ("billing", 30)]
    assert [(one.value, one.lines) for one in by_name["plan"].top] == [("free", 45), ("gold", 15)]
    assert by_name["host.name"].lines == 30
    assert "id" not in by_name  # every line has another one
    assert "tocsin.tenant" not in by_name


def test_facets_of_many_lines_are_counted_on_the_newest_and_say_so(lines: TelemetryStore) -> None:
    found = log_counts.facets(lines, PLATFORM, replace(ANY, service="shop"), sample=20)
    assert (found.sampled, found.is_sample) == (20, True)
    plan = next(facet for facet in found.facets if facet.name == "plan")
    assert [(one.value, one.lines) for one in plan.top] == [("free", 20)]


def test_facets_keep_to_the_scope(lines: TelemetryStore) -> None:
    found = log_counts.facets(lines, Scope.of("globex"), ANY)
    values = {one.value for facet in found.facets for one in facet.top}
    assert "acme" not in values
    assert "shop" not in values
    assert log_counts.facets(lines, Scope.of("initech"), ANY) == log_counts.LogFacets([], 0, False)


def test_services_are_those_that_logged(lines: TelemetryStore) -> None:
    assert log_counts.services(lines, PLATFORM, Filter(HOUR)) == ["billing", "shop"]
    assert log_counts.services(lines, Scope.of("acme"), Filter(HOUR)) == ["shop"]
    assert log_counts.are_any(lines, PLATFORM)
    assert not log_counts.are_any(lines, Scope.of("initech"))
