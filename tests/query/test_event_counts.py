"""Events counted by what tells them apart, within a window and a scope."""

from __future__ import annotations

from typing import Any

from otlp import NOW_NS, SECOND_NS, log_record, log_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query.event_counts import event_counts
from tocsin.storage.telemetry.store import TelemetryStore

NOW_MS = NOW_NS // 1_000_000


def sent(tenant: str, second: int = 0, **attrs: Any) -> Any:
    return log_record(
        "x", time_ns=NOW_NS + second * SECOND_NS, event_name="crossing", attrs={"tocsin.tenant": tenant, **attrs}
    )


def test_events_are_counted_by_label_sets_within_window_and_scope(store: TelemetryStore, put: Any) -> None:
    put(log_request([sent("acme"), sent("acme", 1, kind="read"), sent("globex"), sent("acme", -600)]))
    asked = (["crossing"], {}, ["tenant"], NOW_MS - 60_000, NOW_MS + 60_000)

    assert {labels["tenant"]: count for labels, count in event_counts(store, PLATFORM, *asked)} == {
        "acme": 2, "globex": 1,
    }  # fmt: skip
    assert event_counts(store, Scope.of("globex"), *asked) == [({"tenant": "globex"}, 1.0)]


def test_events_are_narrowed_by_attribute_and_grouped_by_it(store: TelemetryStore, put: Any) -> None:
    put(log_request([sent("acme", kind="read"), sent("acme", kind="write"), sent("acme")]))
    window = (NOW_MS - 60_000, NOW_MS + 60_000)

    assert event_counts(store, PLATFORM, ["crossing"], {"kind": "read"}, [], *window) == [({}, 1.0)]
    by_kind = event_counts(store, PLATFORM, ["crossing"], {}, ["kind"], *window)
    assert sorted(by_kind, key=lambda pair: str(pair)) == [({"kind": "read"}, 1.0), ({"kind": "write"}, 1.0), ({}, 1.0)]
    assert event_counts(store, PLATFORM, ["other"], {}, [], *window) == []
