"""Logs as they are stored for search: their level, what finds them quickly, and how many there were."""

from __future__ import annotations

from typing import Any

import pytest

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, log_record, log_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.storage.telemetry.store import TelemetryStore

LEVELS = [
    (21, "", "fatal"),
    (17, "INFO", "error"),  # the number counts
    (16, "", "warn"),
    (9, "", "info"),
    (5, "", "debug"),
    (1, "", "trace"),
    (0, "CRITICAL", "fatal"),
    (0, "err", "error"),
    (0, "Warning", "warn"),
    (0, "notice", "info"),
    (0, "", ""),
    (0, "bespoke", ""),
]


def test_level_is_that_of_the_number_else_of_the_text(store: TelemetryStore, put: Any) -> None:
    records = [
        log_record(str(place), severity_number=number, severity_text=text)
        for place, (number, text, _) in enumerate(LEVELS)
    ]
    put(log_request(records))
    expected = [level for _, _, level in LEVELS]
    assert [row[0] for row in store.read(PLATFORM, "SELECT level FROM logs ORDER BY toUInt32(body)").rows] == expected
    for table in ("logs_1m", "logs_1h"):
        found = dict(store.read(PLATFORM, f"SELECT level, sum(lines) FROM {table} GROUP BY level").rows)
        assert found == {level: expected.count(level) for level in expected}


def test_lines_and_bytes_are_counted_by_minute_and_hour_for_each_tenant(store: TelemetryStore, put: Any) -> None:
    tenants = ("acme", "acme", "globex")
    records = [log_record("four", attrs={"tocsin.tenant": tenant}, severity_number=9) for tenant in tenants]
    put(
        log_request(
            [*records, log_record("later", time_ns=NOW_NS + MINUTE_NS), log_record("", time_ns=NOW_NS + HOUR_NS)]
        )
    )
    sql = "SELECT sum(lines), sum(bytes), uniq(time) FROM "
    assert store.read(PLATFORM, sql + "logs_1m").rows == [[5, 17, 3]]
    assert store.read(PLATFORM, sql + "logs_1h").rows == [[5, 17, 2]]
    assert store.read(Scope.of("globex"), sql + "logs_1m").rows == [[1, 4, 1]]
    for name in ("logs_1m_from_logs", "logs_1h_from_1m", "log_streams_from_logs"):
        assert store.read(Scope.of("globex"), f"SELECT tenant FROM {name}").rows == [["globex"]]


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("body ILIKE '%imeou%'", "body_words"),
        ("hasAllTokens(body, ['timeout', 'db'])", "body_words"),
        ("attributes['request.id'] = 'r-7'", "attribute_keys"),
        ("attributes['request.id'] = 'r-7'", "attribute_values"),
        ("level = 'fatal'", "levels"),
    ],
)
def test_search_uses_an_index_and_finds_the_line(store: TelemetryStore, put: Any, condition: str, index: str) -> None:
    plain = [log_record(f"all is well {number}", severity_number=9) for number in range(20)]
    found = log_record("Timeout of db-3", severity_number=21, attrs={"tocsin.tenant": "acme", "request.id": "r-7"})
    put(log_request([*plain, found]))
    assert store.read(PLATFORM, f"SELECT body FROM logs WHERE {condition}").rows == [["Timeout of db-3"]]
    plan = store.read(PLATFORM, f"EXPLAIN indexes = 1 SELECT body FROM logs WHERE {condition}").rows
    assert any(f"Name: {index}" in line for [line] in plan)


def test_streams_of_a_day_are_told_apart_by_their_resource(store: TelemetryStore, put: Any) -> None:
    for host in ("web-1", "web-2", "web-1"):
        put(log_request([log_record("four")], {"service.name": "shop", "host.name": host}))
    sql = "SELECT any(resource)['host.name'] AS host, sum(lines), sum(bytes) FROM log_streams GROUP BY id ORDER BY host"
    assert store.read(PLATFORM, sql).rows == [["web-1", 2, 8], ["web-2", 1, 4]]
    assert store.read(Scope.of("globex"), sql).rows == []
