"""Traces found by what their spans are, read whole, and given back as OTLP."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from otlp import HOUR_NS, MINUTE_NS, NOW_NS, SECOND_NS, SHOP, attributes, exception, span, trace_request
from tocsin.ingest.body import from_json
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import otlp, traces
from tocsin.query.traces import TraceQuery, TraceQueryError
from tocsin.storage.telemetry.store import TelemetryStore

WINDOW = Window(NOW_NS - 24 * HOUR_NS, NOW_NS + HOUR_NS)
ANY = TraceQuery(WINDOW)


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def numbers(store: TelemetryStore, query: TraceQuery, scope: Scope = PLATFORM) -> list[int]:
    return [int(found.trace_id, 16) for found in traces.search(store, scope, query)]


@pytest.fixture
def five(store: TelemetryStore, put: Any) -> TelemetryStore:
    """Traces 1 to 5, a minute apart, each with something of its own."""
    put(
        trace_request(
            [
                span("GET /a", trace_id=trace_id(1), start_ns=NOW_NS, route="/a", method="GET", status_code=200),
                span("GET /b", trace_id=trace_id(2), start_ns=NOW_NS + MINUTE_NS, route="/b", status_code=404),
                span("GET /c", trace_id=trace_id(3), start_ns=NOW_NS + 2 * MINUTE_NS, status_code=503, seconds=2.0),
            ]
        ),
        trace_request(
            [
                span("work", trace_id=trace_id(4), start_ns=NOW_NS + 3 * MINUTE_NS, tenant="globex", status=2),
                span("pay", trace_id=trace_id(5), start_ns=NOW_NS + 4 * MINUTE_NS, attrs={"plan": "gold", "n": 7}),
            ],
            {"service.name": "billing", "deployment.environment.name": "staging", "host.name": "h1"},
        ),
    )
    return store


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"limit": 2}, [5, 4]),
        ({"limit": 0}, [5]),
        ({"order": "slowest", "limit": 1}, [3]),
        ({"service": "billing"}, [5, 4]),
        ({"service": "bill"}, []),
        ({"environment": "staging"}, [5, 4]),
        ({"environment": ""}, [3, 2, 1]),
        ({"tenant": "globex"}, [4]),
        ({"tenant": "initech"}, []),
        ({"route": "/a"}, [1]),
        ({"operation": "pay"}, [5]),
        ({"status": "error"}, [4, 3]),
        ({"status": "OK"}, [5, 2, 1]),
        ({"status": "404"}, [2]),
        ({"status": "5xx"}, [3]),
        ({"status": ""}, [5, 4, 3, 2, 1]),
        ({"min_duration_ms": 2000}, [3]),
        ({"max_duration_ms": 1999.9}, [5, 4, 2, 1]),
        ({"min_duration_ms": 0, "max_duration_ms": 100}, [5, 4, 2, 1]),
        ({"attributes": (("plan", "gold"),)}, [5]),
        ({"attributes": (("plan", "gold"), ("n", "7"))}, [5]),
        ({"attributes": (("plan", "gold"), ("n", "8"))}, []),
        ({"attributes": (("host.name", "h1"),)}, [5, 4]),
        ({"attributes": (("no such", ""),)}, []),
        ({"before_ns": NOW_NS + 2 * MINUTE_NS}, [2, 1]),
        ({"window": Window(NOW_NS + MINUTE_NS, NOW_NS + 3 * MINUTE_NS)}, [3, 2]),
        ({"window": Window(1, 2)}, []),
        ({"window": Window(0, NOW_NS + HOUR_NS)}, [5, 4, 3, 2, 1]),
        ({"service": "billing", "status": "error", "tenant": "globex", "min_duration_ms": 1}, [4]),
    ],
)
def test_search_finds_what_fits_all_conditions(five: TelemetryStore, asked: Any, expected: list[int]) -> None:
    assert numbers(five, replace(ANY, **asked)) == expected


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"order": "random"}, "use newest or slowest"),
        ({"status": "broken"}, "use error, ok, a code"),
        ({"status": "600"}, "use error, ok, a code"),
        ({"min_duration_ms": -1}, "give 0 or more"),
        ({"max_duration_ms": float("nan")}, "give 0 or more"),
        ({"max_duration_ms": float("inf")}, "give 0 or more"),
    ],
)
def test_search_for_what_cannot_be_is_refused_in_words(five: TelemetryStore, asked: Any, words: str) -> None:
    with pytest.raises(TraceQueryError, match=words):
        traces.search(five, PLATFORM, replace(ANY, **asked))


def test_search_stays_within_the_scope(five: TelemetryStore) -> None:
    assert numbers(five, ANY, Scope.of("globex")) == [4]
    assert numbers(five, replace(ANY, tenant="acme"), Scope.of("globex")) == []


def test_old_traces_are_found_through_the_growing_windows(store: TelemetryStore, put: Any) -> None:
    ages_minutes = [1, 4, 6, 20, 50, 300, 1000]
    spans = [span(trace_id=trace_id(age), start_ns=NOW_NS + HOUR_NS - age * MINUTE_NS) for age in ages_minutes]
    put(trace_request(spans))
    assert numbers(store, ANY) == ages_minutes
    assert numbers(store, replace(ANY, limit=4)) == ages_minutes[:4]


def test_trace_in_several_windows_is_listed_once(store: TelemetryStore, put: Any) -> None:
    put(trace_request([span(trace_id=trace_id(1), start_ns=NOW_NS + minute * MINUTE_NS) for minute in range(0, 59, 7)]))
    (found,) = traces.search(store, PLATFORM, ANY)
    assert found.spans == 9


def test_pages_together_hold_every_trace(store: TelemetryStore, put: Any) -> None:
    spans = []
    for number in range(1, 13):
        root = span(trace_id=trace_id(number), start_ns=NOW_NS + number * SECOND_NS, seconds=5)
        # Children that start while later traces are already under way.
        behind_ns = number % 3 * 2 * SECOND_NS + number
        late = span(trace_id=trace_id(number), parent=root.span_id, start_ns=NOW_NS + number * SECOND_NS + behind_ns)
        spans += [root, late]
    put(trace_request(spans))
    seen: list[int] = []
    before = None
    for _ in range(12):
        page = traces.search(store, PLATFORM, replace(ANY, limit=3, before_ns=before))
        if not page:
            break
        seen += [int(found.trace_id, 16) for found in page]
        before = page[-1].found_ns
    assert set(seen) == set(range(1, 13))


def test_summary_describes_the_root(store: TelemetryStore, put: Any) -> None:
    root = span("GET /orders", trace_id=trace_id(1), method="GET", route="/orders", status_code=200, seconds=1.0)
    failed = span(
        "query",
        trace_id=trace_id(1),
        parent=root.span_id,
        start_ns=NOW_NS - 5,
        kind=Span.SPAN_KIND_CLIENT,
        status=2,
        message="deadlock",
    )
    put(trace_request([failed], SHOP | {"service.name": "database"}), trace_request([root]))
    (found,) = traces.search(store, PLATFORM, ANY)
    assert (found.name, found.service, found.method, found.route, found.status_code) == (
        "GET /orders", "shop", "GET", "/orders", 200
    )  # fmt: skip
    assert (found.start_ns, found.duration_ns, found.spans) == (NOW_NS - 5, SECOND_NS + 5, 2)
    assert (found.is_error, found.error, found.services, found.tenant) == (
        True,
        "deadlock",
        ["database", "shop"],
        "acme",
    )


def test_trace_shares_no_spans_beyond_the_scope(store: TelemetryStore, put: Any) -> None:
    root = span("root", trace_id=trace_id(1), tenant="globex")
    put(trace_request([root, span("child", trace_id=trace_id(1), parent=root.span_id, start_ns=NOW_NS + 1)]))
    found = traces.get(store, Scope.of("acme"), trace_id(1).hex())
    assert found is not None
    assert [item.name for item in found.spans] == ["child"]
    assert found.is_partial
    assert found.root.name == "child"
    whole = traces.get(store, PLATFORM, trace_id(1).hex().upper())
    assert whole is not None
    assert not whole.is_partial
    assert whole.root.name == "root"
    assert traces.get(store, Scope.of("initech"), trace_id(1).hex()) is None


@pytest.mark.parametrize("crafted", ["", "abc", "x" * 32, "' OR 1=1 --", "0" * 31, "0" * 33, "0" * 32 + "\n", "é" * 32])
def test_trace_id_of_the_wrong_form_is_refused(store: TelemetryStore, crafted: str) -> None:
    with pytest.raises(TraceQueryError, match="32 hexadecimal digits"):
        traces.get(store, PLATFORM, crafted)


def test_trace_with_very_many_spans_says_that_it_is_cut(
    store: TelemetryStore, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MAX_SPANS", 10)
    put(trace_request([span(trace_id=trace_id(1), start_ns=NOW_NS + index) for index in range(10)]))
    put(trace_request([span(trace_id=trace_id(2), start_ns=NOW_NS + index) for index in range(11)]))
    full, cut = (traces.get(store, PLATFORM, trace_id(number).hex()) for number in (1, 2))
    assert full is not None
    assert cut is not None
    assert (len(full.spans), full.is_truncated) == (10, False)
    assert (len(cut.spans), cut.is_truncated) == (10, True)


def everything() -> TracesData:
    """Two resources, two scopes, every field of a span, every type of attribute."""
    attrs = {
        "text": "t", "empty": "", "yes": True, "no": False, "n": 7, "zero": 0, "f": 1.5, "inf": float("inf"),
        "bytes": b"\x00\xff", "list": [1, "a", [True, None], {"k": b"\x01"}], "map": {"a": {"b": 0}}, "none": None,
    }  # fmt: skip
    root = span("root", trace_id=trace_id(9), attrs=attrs, status=1, start_ns=NOW_NS + 1, tenant=None)
    root.trace_state, root.flags = "a=b", 257
    child = span(
        "child",
        trace_id=trace_id(9),
        parent=root.span_id,
        start_ns=NOW_NS + 2,
        kind=Span.SPAN_KIND_CLIENT,
        status=2,
        message="broken",
        events=[exception("E", "m", "s", time_ns=NOW_NS + 3), Span.Event(name="bare", time_unix_nano=NOW_NS + 4)],
        links=[Span.Link(trace_id=trace_id(8), span_id=b"s" * 8, trace_state="c=d", attributes=attributes(attrs))],
    )
    data = TracesData()
    first = data.resource_spans.add()
    first.resource.attributes.extend(attributes({"service.name": "billing", "nested": [1, {"a": b"\xff"}]}))
    first.scope_spans.add(scope=InstrumentationScope(name="lib", version="1")).spans.append(child)
    second = data.resource_spans.add()
    second.resource.attributes.extend(attributes({"service.name": "shop"}))
    second.scope_spans.add(scope=InstrumentationScope(name="other")).spans.append(root)
    return data


def normal(data: TracesData) -> Any:
    """Order of resources and attributes left out: neither means anything."""
    found = copy.deepcopy(data)
    for holder in found.resource_spans:
        holder.resource.attributes.sort(key=lambda item: item.key)
        for scope in holder.scope_spans:
            for item in scope.spans:
                for own in (item, *item.events, *item.links):
                    own.attributes.sort(key=lambda attribute: attribute.key)
    return sorted((json_format.MessageToDict(holder) for holder in found.resource_spans), key=repr)


def test_stored_trace_comes_out_as_the_otlp_that_was_sent(store: TelemetryStore, put: Any) -> None:
    sent = everything()
    request = trace_request([])
    request.ParseFromString(sent.SerializeToString())
    put(request)
    found = traces.get(store, PLATFORM, trace_id(9).hex())
    assert found is not None
    document = otlp.trace_document(found)
    back = TracesData()
    import orjson

    from_json(orjson.dumps(document), back)
    assert normal(back) == normal(sent)
