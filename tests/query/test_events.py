"""Events out of log records with an event name."""

from __future__ import annotations

from typing import Any

from otlp import NOW_NS, SECOND_NS, log_record, log_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query.events import events
from tocsin.query.filters import Filter
from tocsin.storage.telemetry.store import TelemetryStore

FILTER = Filter(Window(NOW_NS - 60 * SECOND_NS, NOW_NS + 60 * SECOND_NS))


def test_records_with_a_name_are_events_newest_first(store: TelemetryStore, put: Any) -> None:
    attrs = {"tocsin.tenant": "acme", "rows": 3, "seen": ["a", "b"]}
    put(
        log_request(
            [
                log_record("one", time_ns=NOW_NS, event_name="deploy", attrs=attrs, trace_id=b"\7" * 16),
                log_record("two", time_ns=NOW_NS + SECOND_NS, event_name="deploy"),
                log_record("other", event_name="flag"),
                log_record("no event"),
            ]
        )
    )
    found = events(store, PLATFORM, FILTER, ["deploy"])
    assert [event.body for event in found] == ["two", "one"]
    assert found[1].attributes == attrs
    assert (found[0].trace_id, found[1].trace_id) == ("", "07" * 16)


def test_events_keep_to_the_scope(store: TelemetryStore, put: Any) -> None:
    put(log_request([log_record(name, event_name="e", attrs={"tocsin.tenant": name}) for name in ("acme", "globex")]))
    found = events(store, Scope(frozenset({"globex"})), FILTER, ["e"])
    assert [event.tenant for event in found] == ["globex"]
