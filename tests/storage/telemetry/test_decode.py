"""OTLP messages come out of the engine as they went in."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Metric,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp import (
    NOW_NS,
    SECOND_NS,
    SHOP,
    attributes,
    exception,
    gauge,
    log_record,
    log_request,
    metric_request,
    number,
    span,
    trace_request,
)
from tocsin.model.tenant import PLATFORM
from tocsin.query import traces
from tocsin.storage.telemetry.store import TelemetryStore

DELTA, CUMULATIVE = 1, 2


def rows(store: TelemetryStore, sql: str) -> list[dict[str, Any]]:
    return store.read(PLATFORM, sql).dicts()


def stored_span(store: TelemetryStore, sent: Span) -> traces.SpanRecord:
    found = traces.get(store, PLATFORM, sent.trace_id.hex())
    assert found is not None
    return found.spans[0]


EVERY_TYPE = {
    "text": "plain",
    "empty": "",
    "zero text": "0",
    "true text": "true",
    "yes": True,
    "no": False,
    "integer": 42,
    "zero": 0,
    "least": -(2**63),
    "most": 2**63 - 1,
    "double": 0.1,
    "whole double": 3.0,
    "zero double": 0.0,
    "tiny": 5e-324,
    "infinite": math.inf,
    "bytes": b"\x00\xff\x80raw",
    "no bytes": b"",
    "list": ["a", 1, 2.5, False, None, b"\xfe", ["nested", {"deep": [0, ""]}]],
    "no list": [],
    "map": {"a": 1, "b": {"c": [True, ""]}},
    "no map": {},
    "nothing": None,
    "quote ' \\ key": "it's \\ here\n\t\x00",
    "ключ": "значение 🜁",
}


def test_attribute_of_every_type_keeps_type_and_value(store: TelemetryStore, put: Any) -> None:
    sent = span(attrs=EVERY_TYPE, tenant=None)
    put(trace_request([sent], {"service.name": "shop", **EVERY_TYPE}))
    found = stored_span(store, sent)
    assert found.attributes == EVERY_TYPE
    assert {key: type(item) for key, item in found.attributes.items()} == {
        key: type(item) for key, item in EVERY_TYPE.items()
    }
    assert found.resource == {"service.name": "shop", **EVERY_TYPE}


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(), st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attrs=st.dictionaries(st.text(), VALUES, max_size=6))
def test_any_attributes_survive(store: TelemetryStore, put: Any, attrs: dict[str, Any]) -> None:
    sent = span(
        attrs=attrs,
        tenant=None,
        events=[Span.Event(name="e", time_unix_nano=NOW_NS, attributes=attributes(attrs))],
        links=[Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=attributes(attrs))],
    )
    put(trace_request([sent]))
    found = stored_span(store, sent)
    assert found.attributes == attrs
    assert found.events[0].attributes == attrs
    assert found.links[0].attributes == attrs


def test_not_a_number_survives(store: TelemetryStore, put: Any) -> None:
    sent = span(attrs={"ratio": math.nan})
    put(trace_request([sent]))
    assert math.isnan(stored_span(store, sent).attributes["ratio"])


def test_span_keeps_every_field(store: TelemetryStore, put: Any) -> None:
    sent = span(
        "work",
        parent=b"p" * 8,
        start_ns=NOW_NS + 123_456_789,
        seconds=1.5,
        kind=Span.SPAN_KIND_CLIENT,
        status=2,
        message="it broke",
        events=[exception("ValueError", "no", "stack"), Span.Event(name="second", time_unix_nano=NOW_NS + 7)],
        links=[Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, trace_state="a=b"), Span.Link(trace_id=b"u" * 16)],
    )
    sent.trace_state = "vendor=x"
    sent.flags = 0x101
    request = trace_request([sent])
    request.resource_spans[0].scope_spans[0].scope.CopyFrom(InstrumentationScope(name="lib", version="1.2"))
    put(request)
    found = stored_span(store, sent)
    assert (found.trace_id, found.span_id) == (sent.trace_id.hex(), sent.span_id.hex())
    assert found.parent_span_id == (b"p" * 8).hex()
    assert (found.name, found.kind, found.status, found.status_message) == ("work", "client", "error", "it broke")
    assert (found.start_ns, found.duration_ns) == (NOW_NS + 123_456_789, 1_500_000_000)
    assert (found.scope_name, found.scope_version) == ("lib", "1.2")
    assert (found.trace_state, found.flags) == ("vendor=x", 0x101)
    assert [event.name for event in found.events] == ["exception", "second"]
    assert found.events[1].time_ns == NOW_NS + 7
    assert [link.trace_id for link in found.links] == [(b"t" * 16).hex(), (b"u" * 16).hex()]
    assert [link.trace_state for link in found.links] == ["a=b", ""]
    assert found.links[1].span_id == ""


def test_span_that_ends_before_it_starts_has_no_duration(store: TelemetryStore, put: Any) -> None:
    sent = span(seconds=-3)
    put(trace_request([sent]))
    assert stored_span(store, sent).duration_ns == 0


def test_resources_and_scopes_of_a_request_stay_with_their_spans(store: TelemetryStore, put: Any) -> None:
    request = trace_request([span("one")], {"service.name": "shop"})
    request.resource_spans[0].scope_spans.add(scope=InstrumentationScope(name="lib")).spans.append(span("two"))
    request.resource_spans.extend(trace_request([span("three")], {"service.name": "billing"}).resource_spans)
    request.resource_spans.add()  # without any scope
    put(request)
    assert rows(store, "SELECT name, service, scope_name FROM spans ORDER BY name") == [
        {"name": "one", "service": "shop", "scope_name": ""},
        {"name": "three", "service": "billing", "scope_name": ""},
        {"name": "two", "service": "shop", "scope_name": "lib"},
    ]


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"http.request.method": "GET", "http.response.status_code": 404}, ("GET", 404)),
        ({"http.method": "POST", "http.status_code": 201}, ("POST", 201)),
        ({"http.request.method": "PUT", "http.method": "GET", "http.status_code": 200}, ("PUT", 200)),
        ({"http.response.status_code": "503"}, ("", 503)),
        ({"http.response.status_code": "teapot"}, ("", 0)),
        ({"http.response.status_code": 99_999_999}, ("", 0)),
        ({"http.response.status_code": -1}, ("", 0)),
        ({}, ("", 0)),
    ],
)
def test_http_attributes_of_old_and_new_conventions_become_columns(
    store: TelemetryStore, put: Any, attrs: dict[str, Any], expected: tuple[str, int]
) -> None:
    put(trace_request([span(attrs=attrs)]))
    assert rows(store, "SELECT method, status_code FROM spans") == [{"method": expected[0], "status_code": expected[1]}]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"deployment.environment.name": "production", "deployment.environment": "old"}, "production"),
        ({"deployment.environment": "staging"}, "staging"),
        ({}, ""),
    ],
)
def test_environment_is_read_under_both_names(
    store: TelemetryStore, put: Any, resource: dict[str, str], expected: str
) -> None:
    put(trace_request([span()], resource))
    assert rows(store, "SELECT environment, service FROM spans") == [
        {"environment": expected, "service": "unknown_service"}
    ]


@pytest.mark.parametrize(
    ("attrs", "resource", "expected"),
    [
        ({"tocsin.tenant": "acme", "tenant.id": "globex", "tenant_id": "globex"}, {"tocsin.tenant": "globex"}, "acme"),
        ({"tenant.id": "acme", "tenant_id": "globex"}, {}, "acme"),
        ({"tenant_id": "acme", "tenant": "globex"}, {}, "acme"),
        ({"tenant": "acme"}, {"tocsin.tenant": "globex"}, "acme"),
        ({"tocsin.tenant": ""}, {"tenant.id": "acme"}, "acme"),
        ({}, {"tocsin.tenant": "acme"}, "acme"),
        ({}, {"tenant": "acme"}, "acme"),
        ({"tenant_id": 4711}, {}, "4711"),
        ({}, {}, ""),
    ],
)
def test_tenant_is_found_under_each_name_on_item_then_resource(
    store: TelemetryStore, put: Any, attrs: dict[str, Any], resource: dict[str, str], expected: str
) -> None:
    put(
        trace_request([span(tenant=None, attrs=attrs)], resource),
        log_request([log_record(attrs=attrs or {"other": 1})], resource),
        metric_request([gauge("g", [number(1, attrs=attrs)])], resource),
    )
    for table in ("spans", "logs", "samples"):
        assert rows(store, f"SELECT tenant FROM {table}") == [{"tenant": expected}], table


def test_one_attribute_name_sent_twice_is_no_fault(store: TelemetryStore, put: Any) -> None:
    sent = span(attrs={"k": 1})
    sent.attributes.extend(attributes({"k": "two"}))
    put(trace_request([sent]))
    assert stored_span(store, sent).attributes["k"] in (1, "two")


@pytest.mark.parametrize(
    "body", ["text", "", 0, 7, -1.5, False, True, b"\x00\xff", [1, "a", []], {"k": {"n": 0}}, None]
)
def test_log_body_of_every_type_keeps_its_letter(store: TelemetryStore, put: Any, body: Any) -> None:
    from tocsin.query.attributes import decode_attributes

    put(log_request([log_record(body)]))
    (row,) = rows(
        store, "SELECT if(body_type IN ('a', 'k', 'x'), base64Encode(body), body) AS text, body_type FROM logs"
    )
    found = decode_attributes(["body"], [row["text"]], row["body_type"])["body"]
    assert found == body
    assert type(found) is type(body)


def test_log_keeps_every_field(store: TelemetryStore, put: Any) -> None:
    record = log_record(
        "hello",
        severity_number=17,
        severity_text="ERROR",
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        observed_time_unix_nano=NOW_NS + 5,
        event_name="login",
        flags=1,
    )
    put(log_request([record, log_record(time_ns=0, observed_time_unix_nano=NOW_NS + 9)]))
    found = rows(
        store,
        "SELECT toUnixTimestamp64Nano(time) AS at, toUnixTimestamp64Nano(observed) AS observed, severity, "
        "severity_text, lower(hex(trace_id)) AS trace, lower(hex(span_id)) AS span, event_name, flags "
        "FROM logs ORDER BY time",
    )
    assert found[0] == {
        "at": NOW_NS,
        "observed": NOW_NS + 5,
        "severity": 17,
        "severity_text": "ERROR",
        "trace": (b"t" * 16).hex(),
        "span": (b"s" * 8).hex(),
        "event_name": "login",
        "flags": 1,
    }
    assert found[1]["at"] == NOW_NS + 9  # a record without a time of its own has the collector's


def test_item_times_beyond_int64_do_not_break_a_segment(store: TelemetryStore, put: Any) -> None:
    far = 2**64 - 1
    point = number(1)
    point.start_time_unix_nano = far
    put(
        trace_request([span(events=[exception("E", "m", "s", time_ns=far), exception("E", "m", "s", time_ns=0)])]),
        log_request([log_record(observed_time_unix_nano=far)]),
        metric_request([gauge("g", [point])]),
    )
    for table in ("spans", "logs", "samples"):
        where = " WHERE name = 'g'" if table == "samples" else ""
        assert rows(store, f"SELECT count() AS n FROM {table}{where}") == [{"n": 1}], table


def test_enumerations_from_the_future_do_not_break_a_segment(store: TelemetryStore, put: Any) -> None:
    sent = span(kind=1000, status=1000)
    metric = Metric(name="m")
    metric.sum.aggregation_temporality = 9  # type: ignore[assignment]
    metric.sum.data_points.append(number(1))
    put(
        trace_request([sent]),
        metric_request([metric]),
        log_request([log_record(severity_number=99999)]),
    )
    found = stored_span(store, sent)
    assert (found.kind, found.status) == ("unspecified", "unset")
    assert rows(store, "SELECT is_delta FROM series WHERE name = 'm'") == [{"is_delta": False}]


def test_spans_of_very_many_days_fit_in_one_segment(store: TelemetryStore, put: Any) -> None:
    day = 86_400 * SECOND_NS
    put(trace_request([span(start_ns=NOW_NS - back * day) for back in range(150)]))
    assert rows(store, "SELECT count() AS n FROM spans") == [{"n": 150}]


def test_answer_is_valid_json_whatever_bytes_are_inside(store: TelemetryStore, put: Any) -> None:
    put(
        trace_request(
            [
                span(
                    tenant=None,
                    attrs={"tenant": b"\xff\xfe", "http.route": b"\x80"},
                    events=[exception("E", "я" * 1500, "s")],
                )
            ],
            SHOP,
        )
    )
    assert json.dumps(rows(store, "SELECT tenant, route, attributes FROM spans"))
    (row,) = rows(store, "SELECT message FROM exceptions")
    assert row["message"].startswith("я" * 900)
    assert "\ufffd" not in row["message"]
