"""Acme never sees globex, whatever is asked and whoever crafted it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from calls import call, lookup, request_to, sent, statement
from engine_slot import EngineSlot
from otlp import (
    SECOND_NS,
    attributes,
    counter,
    exception,
    gauge,
    log_record,
    log_request,
    metric_request,
    number,
    span,
    trace_request,
)
from spooled import spooled
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.model.window import Window
from tocsin.query import (
    active,
    caches,
    call_places,
    call_tenants,
    calls,
    dependencies,
    errors,
    otlp,
    red,
    senders,
    series_lists,
    tenants,
    traces,
)
from tocsin.query.filters import Filter
from tocsin.query.promql.source import Hints, Matcher
from tocsin.query.series import StoreSource
from tocsin.sdk.call_digest import CallTable, PlaceKey
from tocsin.storage.telemetry.engine import EngineError
from tocsin.storage.telemetry.spool import write_messages
from tocsin.storage.telemetry.store import TENANT_TABLES, TENANT_VIEWS, TelemetryStore

ACME = Scope.of("acme")
NOBODY = Scope.of()
NOW = time.time_ns()
WINDOW = Window(NOW - 1800 * SECOND_NS, NOW + SECOND_NS)
SHARED_TRACE = bytes.fromhex("abcdef" * 5 + "ab")
GLOBEX_TRACE = bytes.fromhex("e1e2e3e4" * 4)
MARKS = ("globex", GLOBEX_TRACE.hex(), b"globex".hex())

# Names that a filter may carry to break out of its quotes.
CRAFTED = [
    "globex",
    "acme' OR tenant = 'globex",
    "') OR 1 = 1 --",
    "\\') OR 1=1 --",
    "\\",
    "'",
    "acme\\' UNION ALL SELECT * FROM spans --",
    "x' SETTINGS additional_table_filters = {} --",
    "} SETTINGS additional_table_filters = {'tocsin.spans': '1'}",
    "{tenant:String}",
    "acme', 'globex",
    "acme\t\n\0globex",
    "%globex%",
    "",
]
CRAFTED_TEXT = st.one_of(
    st.none(),
    st.sampled_from(CRAFTED),
    st.text(alphabet="'\\`\"{}():;,-=* \n\t\0acmeglobxORSETINU", max_size=30),
    st.text(max_size=10),
)


def telemetry_of(tenant: str, trace_id: bytes) -> list[Any]:
    """Telemetry with the tenant's name in every place a sender can fill."""
    name = tenant
    resource = {
        "service.name": f"{name}-service",
        "service.version": f"{name}-release",
        "service.instance.id": f"{name}-instance",
        "deployment.environment.name": f"{name}-environment",
        f"{name}.resource": f"{name}-resource",
    }
    own = {"tocsin.tenant": name, f"{name}.key": f"{name}-value", "nested": [{name: name.encode()}]}
    start = NOW - 60 * SECOND_NS
    spans = [
        span(
            f"{name} operation",
            trace_id=each,
            start_ns=start + index,
            tenant=name,
            route=f"/{name}/route",
            method=f"{name}-METHOD",
            status_code=500,
            status=2,
            message=f"{name} failed",
            attrs={**own, "error.type": f"{name}.Error"},
            events=[exception(f"{name}.Error", f"{name} message", f'File "{name}.py", line 1, in {name}', start)],
            links=[Span.Link(trace_id=trace_id, span_id=b"s" * 8, trace_state=name, attributes=attributes(own))],
        )
        for each in (trace_id, SHARED_TRACE)
        for index in range(4)
    ]
    request = trace_request(spans, resource)
    request.resource_spans[0].scope_spans[0].scope.CopyFrom(InstrumentationScope(name=name, version=name))
    points = [number(5, time_ns=NOW, attrs=own)]
    metrics = [gauge("http.server.active_requests", points), counter("tocsin.sdk.dropped", points)]
    metrics.append(counter(f"{name}.delta", points, temporality=1))
    points[0].exemplars.add(as_double=1, time_unix_nano=NOW, trace_id=trace_id).filtered_attributes.extend(
        attributes(own)
    )
    metrics.append(gauge(f"{name}.metric", points))
    metrics[-1].description = f"{name} help"
    native = Metric(name=f"{name}.native")
    native.exponential_histogram.data_points.add(time_unix_nano=NOW, count=1, zero_count=1, attributes=attributes(own))
    metrics.append(native)
    request.resource_spans[0].scope_spans[0].spans.append(
        span(
            f"SELECT {name}",
            trace_id=trace_id,
            start_ns=start,
            tenant=name,
            kind=Span.SPAN_KIND_CLIENT,
            attrs={
                **own,
                "db.system.name": "postgresql",
                "db.namespace": name,
                "db.query.text": f"SELECT * FROM {name}",
            },
        )
    )
    return [
        request,
        metric_request(metrics, resource),
        log_request(
            [
                log_record(f"{name} said so", attrs=own, time_ns=start),
                log_record(name, attrs=own, time_ns=start, event_name=f"{name}.event"),
                log_record(
                    name, attrs={**own, "tocsin.db.fingerprint": name}, time_ns=start, event_name="tocsin.db.plan"
                ),
            ],
            resource,
        ),
        counted_calls(name, resource),
    ]


def counted_calls(name: str, resource: dict[str, str]) -> Any:
    """What our SDK would count of the calls of a tenant."""
    table, caller = CallTable(), f"GET /{name}"
    statement_of = statement(f"SELECT {name}", f"{name}-digest", name, f"{name}.py:1 in {name}")
    slow = {"tocsin.slow": True, "code.file.path": name, "code.line.number": 1, "code.function.name": name}
    table.record(statement_of, name, [call(1), call(1, f"{name}.Error"), call(900, facts=slow)], caller)
    table.record_repeat(PlaceKey(statement_of, name, caller, f"{name}.py:1 in {name}"), 11, 0.1)
    table.record(request_to(f"{name}.example", f"/{name}"), name, [call(1)], caller)
    table.record(lookup(f"{name}:*"), name, [call(1, amount=1)], caller)
    return sent(table, NOW, {**resource, "telemetry.sdk.name": "tocsin"})


@pytest.fixture(scope="module")
def planted(engine_slot: EngineSlot, tmp_path_factory: pytest.TempPathFactory) -> TelemetryStore:
    """A store in which acme, globex and nobody share a trace and have everything of their own."""
    engine = engine_slot.occupied()
    folder: Path = tmp_path_factory.mktemp("planted")
    for table in TENANT_TABLES:
        engine.execute(f"TRUNCATE TABLE {table}")
    for tenant, trace_id in (("acme", b"a" * 16), ("globex", GLOBEX_TRACE)):
        for signal, messages in spooled(telemetry_of(tenant, trace_id)).items():
            if messages:
                write_messages(folder / "segment", messages)
                engine.insert_segment(signal, folder / "segment", f"{folder}-{tenant}-{signal}")
    return TelemetryStore(engine)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a caller may choose in any question."""

    filter: Filter
    search: traces.TraceQuery


DB_CALLS = calls.Asked(("db",))
QUESTIONS: dict[str, Callable[[TelemetryStore, Scope, Asked], Any]] = {
    "calls": lambda store, scope, asked: calls.totals(store, scope, asked.filter, DB_CALLS),
    "operations": lambda store, scope, asked: calls.operations(store, scope, asked.filter, DB_CALLS),
    "callers": lambda store, scope, asked: calls.callers(store, scope, asked.filter, DB_CALLS),
    "call series": lambda store, scope, asked: calls.series(store, scope, asked.filter, DB_CALLS),
    "repeats": lambda store, scope, asked: call_places.repeats(store, scope, asked.filter),
    "slow calls": lambda store, scope, asked: call_places.slow_calls(store, scope, asked.filter),
    "plans": lambda store, scope, asked: call_places.plans(store, scope, asked.filter),
    "tenant shares": lambda store, scope, asked: call_tenants.tenant_shares(store, scope, asked.filter),
    "dependencies": lambda store, scope, asked: dependencies.dependencies(store, scope, asked.filter, asked.filter),
    "caches": lambda store, scope, asked: caches.caches(store, scope, asked.filter, asked.filter),
    "totals": lambda store, scope, asked: red.totals(store, scope, asked.filter),
    "series": lambda store, scope, asked: red.series(store, scope, asked.filter),
    "services": lambda store, scope, asked: red.services(store, scope, asked.filter),
    "endpoints": lambda store, scope, asked: [
        red.endpoints(store, scope, asked.filter, order=order) for order in red.EndpointOrder
    ],
    "statuses": lambda store, scope, asked: red.statuses(store, scope, asked.filter),
    "heatmap": lambda store, scope, asked: red.heatmap(store, scope, asked.filter),
    "tenants": lambda store, scope, asked: tenants.tenants(store, scope, asked.filter),
    "harmed": lambda store, scope, asked: tenants.harmed(store, scope, asked.filter),
    "known tenants": lambda store, scope, asked: tenants.known_tenants(store, scope),
    "known environments": lambda store, scope, asked: tenants.known_environments(store, scope),
    "errors": lambda store, scope, asked: errors.error_groups(store, scope, asked.filter),
    "active": lambda store, scope, asked: active.active_requests(store, scope, asked.filter),
    "senders": lambda store, scope, asked: senders.senders(store, scope, NOW / SECOND_NS),
    "search": lambda store, scope, asked: traces.search(store, scope, asked.search),
    "slowest": lambda store, scope, asked: traces.search(
        store, scope, dataclasses.replace(asked.search, order="slowest")
    ),
    "trace of both": lambda store, scope, asked: traces.get(store, scope, SHARED_TRACE.hex()),
    "trace of globex": lambda store, scope, asked: traces.get(store, scope, GLOBEX_TRACE.hex()),
    "trace document": lambda store, scope, asked: otlp.trace_document(
        traces.get(store, scope, SHARED_TRACE.hex()) or traces.Trace("", [], 0, 0)
    ),
}
NOW_MS = NOW // 10**6
HOUR_MS = 3_600_000
RANGE = (NOW_MS - HOUR_MS, NOW_MS + HOUR_MS)


def matchers(asked: Asked) -> list[Matcher]:
    """Label matchers with whatever a caller may put into them."""
    texts = (asked.filter.service, asked.filter.method, asked.filter.route, asked.filter.environment)
    chosen = [Matcher("__name__", "!=", "")]
    chosen += [Matcher("job", "!=", text) for text in texts if text is not None]
    chosen += [Matcher(text or "a", "!=", "x") for text in texts if text is not None]
    if asked.filter.tenant is not None:
        chosen.append(Matcher("tenant", "=", asked.filter.tenant))
    return chosen


QUESTIONS |= {
    "select": lambda store, scope, asked: [
        (entry.labels, entry.histograms)
        for entry in StoreSource(store, scope).select(matchers(asked), *RANGE, Hints(*RANGE, 60_000, 300_000))
    ],
    "label names": lambda store, scope, asked: series_lists.label_names(store, scope, matchers(asked), *RANGE),
    "label values": lambda store, scope, asked: [
        series_lists.label_values(store, scope, label, matchers(asked), *RANGE) for label in ("job", "tenant", "name")
    ],
    "list of series": lambda store, scope, asked: series_lists.series(store, scope, matchers(asked), *RANGE),
    "metadata": lambda store, scope, asked: series_lists.metadata(store, scope),
    "exemplars": lambda store, scope, asked: series_lists.exemplars(store, scope, matchers(asked), *RANGE),
    "cardinality": lambda store, scope, asked: series_lists.cardinality(store, scope, *RANGE, limit=1000),
}
EVERYTHING = Asked(Filter(WINDOW), traces.TraceQuery(WINDOW))


FIGURES = ("totals", "series", "statuses", "heatmap", "active", "calls", "call series")


def assert_no_globex(answer: Any, asked: Asked) -> None:
    shown = repr(answer).lower()
    for mark in MARKS:
        assert mark not in shown, (mark, asked)


def figures(answer: Any) -> Any:
    """Requests counted in an answer of `totals`, to see that not even numbers leak."""
    return answer.requests, answer.errors


@pytest.mark.parametrize("name", QUESTIONS)
def test_planted_telemetry_would_be_seen_by_the_platform(planted: TelemetryStore, name: str) -> None:
    answer = QUESTIONS[name](planted, PLATFORM, EVERYTHING)
    if name in FIGURES:
        assert answer != QUESTIONS[name](planted, ACME, EVERYTHING)  # no names in it, but other figures
    else:
        assert "globex" in repr(answer)


@pytest.mark.parametrize("name", QUESTIONS)
def test_acme_sees_its_own_and_nothing_of_globex(planted: TelemetryStore, name: str) -> None:
    answer = QUESTIONS[name](planted, ACME, EVERYTHING)
    assert_no_globex(answer, EVERYTHING)
    if name not in (*FIGURES, "trace of globex"):
        assert "acme" in repr(answer)


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("scope", [NOBODY, Scope.of("acme' OR '1'='1"), Scope.of("\\"), Scope.of("initech")])
def test_scope_without_rows_answers_nothing(planted: TelemetryStore, name: str, scope: Scope) -> None:
    answer = QUESTIONS[name](planted, scope, EVERYTHING)
    shown = repr(answer)
    assert "acme" not in shown.lower()
    assert_no_globex(answer, EVERYTHING)
    if name == "totals":
        assert figures(answer) == (0, 0)


@pytest.mark.parametrize("name", QUESTIONS)
@settings(max_examples=12, deadline=None)
@given(
    environment=CRAFTED_TEXT,
    tenant=CRAFTED_TEXT,
    service=CRAFTED_TEXT,
    method=CRAFTED_TEXT,
    route=CRAFTED_TEXT,
    operation=CRAFTED_TEXT,
    pairs=st.lists(st.tuples(CRAFTED_TEXT.map(str), CRAFTED_TEXT.map(str)), max_size=3),
)
@example(environment=None, tenant="globex", service="globex-service", method=None, route=None, operation=None, pairs=[])
@example(
    environment=None,
    tenant=None,
    service=None,
    method=None,
    route=None,
    operation=None,
    pairs=[("globex.key", "globex-value")],
)
def test_no_crafted_filter_shows_globex_to_acme(
    planted: TelemetryStore,
    name: str,
    environment: str | None,
    tenant: str | None,
    service: str | None,
    method: str | None,
    route: str | None,
    operation: str | None,
    pairs: list[tuple[str, str]],
) -> None:
    asked = Asked(
        Filter(WINDOW, environment, tenant, service, method, route),
        traces.TraceQuery(WINDOW, environment, tenant, service, route, operation, attributes=tuple(pairs)),
    )
    answer = QUESTIONS[name](planted, ACME, asked)
    assert_no_globex(answer, asked)
    if name == "totals":
        assert figures(answer)[0] <= 8


@settings(max_examples=100, deadline=None)
@given(tenant=st.one_of(st.sampled_from(CRAFTED), st.text()))
def test_narrowing_to_any_tenant_never_widens(tenant: str) -> None:
    assert ACME.narrowed_to(tenant).tenants in (frozenset({"acme"}) & {tenant}, frozenset())


@settings(max_examples=60, deadline=None)
@given(scope=st.sets(st.one_of(st.sampled_from(CRAFTED), st.text()), max_size=4).map(lambda names: names - {"globex"}))
def test_no_crafted_tenant_name_in_a_scope_reaches_globex(planted: TelemetryStore, scope: set[str]) -> None:
    rows = planted.read(Scope(frozenset(scope)), "SELECT DISTINCT tenant FROM spans").rows
    assert {row[0] for row in rows} == scope & {"acme"}


STATEMENTS = [
    "SELECT tenant FROM {table}",
    "SELECT tenant FROM (SELECT * FROM {table})",
    "WITH hidden AS (SELECT tenant FROM {table}) SELECT * FROM hidden",
    "SELECT a.tenant, b.tenant FROM {table} AS a JOIN {table} AS b ON 1 = 1",
    "SELECT tenant FROM {table} UNION ALL SELECT tenant FROM {table}",
    "SELECT tenant FROM {table} UNION DISTINCT SELECT tenant FROM tocsin.{table}",
    "SELECT (SELECT groupArray(tenant) FROM {table})",
    "SELECT 'x' WHERE 'globex' IN (SELECT tenant FROM {table})",
    "SELECT tenant FROM {table} WHERE tenant = 'globex' OR 1 = 1",
    "SELECT tenant FROM {table} PREWHERE tenant != 'acme'",
    "SELECT t.tenant FROM {table} AS t, (SELECT 1) AS u",
    "SELECT arrayJoin(groupUniqArray(tenant)) FROM {table} GROUP BY ALL",
]


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_filter_reaches_wherever_a_statement_reads_a_table(planted: TelemetryStore, statement: str, table: str) -> None:
    sql = statement.replace("{table}", table)
    assert "globex" not in repr(planted.read(ACME, sql).rows)
    assert repr(planted.read(NOBODY, sql).rows) in ("[]", "[[[]]]")


TABLES_AND_VIEWS = TENANT_TABLES + TENANT_VIEWS


@pytest.mark.parametrize("view", TENANT_VIEWS)
def test_filter_reaches_through_views(planted: TelemetryStore, view: str) -> None:
    has_tenants = "_routes" not in view and "_operations" not in view
    assert ("globex" in repr(planted.read(PLATFORM, f"SELECT tenant FROM {view}").rows)) is has_tenants
    assert "globex" not in repr(planted.read(ACME, f"SELECT tenant FROM {view}").rows)


@pytest.mark.parametrize("name", [name for name in TABLES_AND_VIEWS if "_routes" in name or "_operations" in name])
def test_sums_over_all_tenants_are_for_the_platform_alone(planted: TelemetryStore, name: str) -> None:
    assert planted.read(PLATFORM, f"SELECT * FROM {name}").rows
    assert not planted.read(Scope.of("acme", ""), f"SELECT * FROM {name}").rows


def test_scope_of_several_tenants_sees_each_of_them(planted: TelemetryStore) -> None:
    rows = planted.read(Scope.of("acme", "globex"), "SELECT DISTINCT tenant FROM spans ORDER BY tenant").rows
    assert rows == [["acme"], ["globex"]]


OVERRIDE = "SETTINGS additional_table_filters = {'tocsin.spans': '1'}"


@pytest.mark.parametrize("text", [OVERRIDE, f"' {OVERRIDE} --", f"x') {OVERRIDE}", f"\\' {OVERRIDE}", f"\n{OVERRIDE}"])
def test_settings_clause_in_a_parameter_stays_text(planted: TelemetryStore, text: str) -> None:
    sql = "SELECT tenant, {text:String} AS said FROM spans WHERE has({list:Array(String)}, {text:String})"
    rows = planted.read(ACME, sql, text=text, list=[text]).rows
    assert {row[0] for row in rows} == {"acme"}
    assert {row[1] for row in rows} == {text}


def test_scoped_read_cannot_write(planted: TelemetryStore) -> None:
    before = planted.read(PLATFORM, "SELECT count() FROM spans").rows
    for sql in ("TRUNCATE TABLE spans", "INSERT INTO spans (name) SELECT 'x'", "ALTER TABLE spans DELETE WHERE 1"):
        with pytest.raises(EngineError):
            planted.read(PLATFORM, sql)
    assert planted.read(PLATFORM, "SELECT count() FROM spans").rows == before


def test_answer_after_a_failed_question_of_globex_is_acmes_alone(planted: TelemetryStore) -> None:
    for _ in range(3):
        with pytest.raises(EngineError):
            planted.read(
                Scope.of("globex"), "SELECT tenant, name, throwIf(number = 65000 * 3) FROM spans, numbers(1000000) AS n"
            )
        assert_no_globex(planted.read(ACME, "SELECT tenant, name FROM spans"), EVERYTHING)
