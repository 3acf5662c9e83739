"""Patterns of the streams that a LogQL selector selects, over time, each as a line filter that finds its lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, log_record, log_request
from tocsin.detect.patterns.tokens import template_of, words_of
from tocsin.detect.patterns.watch import PatternWatch
from tocsin.model.log_shape import shape_of
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.log_pattern_series import line_filter_of, pattern_series
from tocsin.query.log_source import LogSource
from tocsin.query.logql.line_pattern import filter_pattern
from tocsin.query.logql.parser import parse_log_query
from tocsin.storage.telemetry.store import TelemetryStore

START_NS = NOW_NS - HOUR_NS


def lines(*bodies: str, minutes: int, tenant: str = "acme", service: str = "shop", severity: int = 9) -> Any:
    at_ns = NOW_NS - minutes * MINUTE_NS
    resource = {"service.name": service, "host.name": f"web-of-{tenant}"}
    return log_request(
        [
            log_record(one, time_ns=at_ns + place, attrs={"tocsin.tenant": tenant}, severity_number=severity)
            for place, one in enumerate(bodies)
        ],
        resource,
    )


@pytest.fixture
def source(store: TelemetryStore, put: Any) -> LogSource:
    put(lines("order 1 placed", "order 2 placed", minutes=30), lines("order 3 placed", minutes=10, tenant="globex"))
    put(lines("cannot charge card 17", minutes=10, severity=17), lines("order 4 placed", minutes=10, service="depot"))
    PatternWatch(store, lambda news: None, clock=lambda: NOW_NS / 1e9).look()
    return LogSource(store, PLATFORM)


def asked(source: LogSource, selector: str, step_seconds: float = 60) -> dict[tuple[str, str], list[tuple[int, int]]]:
    matchers = parse_log_query(selector).matchers
    found = pattern_series(source, matchers, START_NS, NOW_NS, step_seconds)
    return {(one.pattern, one.level): one.samples for one in found}


def minute(ago: int, seconds: int = 60) -> int:
    at = (NOW_NS - ago * MINUTE_NS) // SECOND_NS
    return at // seconds * seconds


def test_patterns_of_a_selector_have_counts_over_time_by_level(source: LogSource) -> None:
    assert asked(source, '{service_name="shop"}') == {
        ("order <_> placed", "info"): [(minute(30), 2), (minute(10), 1)],
        ("cannot charge card <_>", "error"): [(minute(10), 1)],
    }
    assert asked(source, '{service_name=~".+", level="error"}') == {
        ("cannot charge card <_>", "error"): [(minute(10), 1)]
    }


def test_patterns_of_several_services_that_say_the_same_are_one(source: LogSource) -> None:
    assert asked(source, '{service_name=~".+"}')[("order <_> placed", "info")] == [(minute(30), 2), (minute(10), 2)]


def test_any_label_selects(source: LogSource) -> None:
    assert asked(source, '{host_name="web-of-globex"}') == {("order <_> placed", "info"): [(minute(10), 1)]}


def test_steps_are_whole_minutes(source: LogSource) -> None:
    for step_seconds, used in ((0.5, 60), (61, 120), (1800, 1800)):
        samples = asked(source, '{service_name="shop", level="info", tenant="acme"}', step_seconds)
        assert samples[("order <_> placed", "info")] == [(minute(30, used), 2)]


def test_patterns_are_those_of_the_reader_s_tenants(store: TelemetryStore, source: LogSource) -> None:
    mine = LogSource(store, Scope.of("globex"))
    assert asked(mine, '{service_name=~".+"}') == {("order <_> placed", "info"): [(minute(10), 1)]}
    assert asked(mine, '{host_name="web-of-acme"}') == {}


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("order 17 placed", "order <_> placed"),
        ("order  17 placed", "order <_> placed"),
        ("order 17  was  placed", "order<_>was<_>placed"),
        ("Traceback\n  File shop.py, line 3", "Traceback<_>"),
        ("cannot charge\n  card 17", "cannot charge<_>"),
        ('{"level":"info","msg":"order 17 placed","ms":3}', "<_>order <_> placed<_>"),
        ('level=info ts=2026-11-21 msg="order 17 placed"', "<_>order <_> placed<_>"),
        ("all is well", "all is well"),
        ("took 3 4 5 ms", "took <_> ms"),
        ("<div> has 17 parts", "<_> has <_> parts"),
        ("x" * 500, "x" * 400 + "<_>"),
    ],
)
def test_pattern_finds_the_lines_it_stands_for(line: str, pattern: str) -> None:
    found = line_filter_of(template_of(words_of(shape_of(line))), line)
    assert found == pattern
    assert filter_pattern(found).matches(line)


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("ok", "<_>ok<_>"),
        ("order 17 placed", "<_>order <_> placed<_>"),
        ('cannot read "a b": é\n  at line 3', '<_>cannot read \\"a b\\": é<_>'),
    ],
)
def test_pattern_of_a_message_finds_the_json_that_bears_it(
    store: TelemetryStore, put: Any, message: str, pattern: str
) -> None:
    line = json.dumps({"level": "info", "msg": message, "ms": 3}, ensure_ascii=False)
    put(lines(line, minutes=10))
    PatternWatch(store, lambda news: None, clock=lambda: NOW_NS / 1e9).look()
    source = LogSource(store, PLATFORM)
    assert asked(source, '{service_name="shop"}') == {(pattern, "info"): [(minute(10), 1)]}
    assert filter_pattern(pattern).matches(line)
