"""The engine finds the same lines in a saved view as Python does."""

from __future__ import annotations

from typing import Any

import pytest

from log_lines import LINES, Line
from otlp import attributes, log_record, log_request
from tocsin.model.log_view_match import is_in
from tocsin.model.log_views import BUILT_IN, LogView
from tocsin.model.tenant import PLATFORM
from tocsin.query.log_view_sql import view_condition
from tocsin.storage.telemetry.store import TelemetryStore


@pytest.fixture
def lines(store: TelemetryStore, put: Any) -> TelemetryStore:
    for logger in {line.logger for line in LINES}:
        records = [
            log_record(
                line.message,
                attrs={**line.fields, "place": LINES.index(line), "tocsin.tenant": "acme"},
                severity_number=line.severity,
                event_name=line.event,
            )
            for line in LINES
            if line.logger == logger
        ]
        request = log_request(records)
        request.resource_logs[0].scope_logs[0].scope.name = logger
        put(request)
    return store


def found(store: TelemetryStore, view: LogView) -> list[int]:
    sql = f"SELECT toUInt32(attributes['place']) AS place FROM logs WHERE {view_condition(view)} ORDER BY place"
    return [place for (place,) in store.read(PLATFORM, sql).rows]


def expected(view: LogView) -> list[int]:
    def holds(line: Line) -> bool:
        return is_in(view, line.message, line.severity, line.logger, line.event, line.fields)

    return [place for place, line in enumerate(LINES) if holds(line)]


@pytest.mark.parametrize("view", BUILT_IN.values(), ids=lambda view: view.id)
def test_the_engine_and_python_find_the_same_lines(lines: TelemetryStore, view: LogView) -> None:
    assert found(lines, view) == expected(view) != []


@pytest.mark.parametrize("seconds", [0.1, 0.15, 2.0, 5.0])
def test_they_agree_on_every_threshold(lines: TelemetryStore, seconds: float) -> None:
    view = BUILT_IN["slow-queries"].with_threshold(seconds)
    assert found(lines, view) == expected(view)


def test_attributes_are_not_needed(store: TelemetryStore, put: Any) -> None:
    record = log_record("nothing else", attrs={"a": 1})
    record.ClearField("attributes")
    record.attributes.extend(attributes({}))
    put(log_request([record]))
    for view in BUILT_IN.values():
        assert store.read(PLATFORM, f"SELECT count() FROM logs WHERE {view_condition(view)}").rows == [[0]]
