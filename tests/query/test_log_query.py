"""LogQL over stored lines: what the engine takes over and what runs here agree, within the tenant scope."""

from __future__ import annotations

from typing import Any

import pytest

from otlp import MINUTE_NS, NOW_NS, SECOND_NS, log_record, log_request
from tocsin.model.tenant import PLATFORM, Scope
from tocsin.query import log_streams
from tocsin.query.log_source import LogSource
from tocsin.query.logql import engine
from tocsin.query.logql.engine import Asked
from tocsin.query.logql.errors import LimitError, LogQLError, PipelineError
from tocsin.query.logql.expressions import LogQuery
from tocsin.query.logql.line import Line
from tocsin.query.logql.parser import parse, parse_log_query
from tocsin.query.logql.pipeline import compiled
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.promql.errors import QueryCanceledError
from tocsin.query.promql.source import Grid
from tocsin.storage.telemetry.store import TelemetryStore

TRACE = bytes(range(1, 17))
SHOP = {
    "service.name": "shop", "deployment.environment.name": "production", "service.version": "1.2", "host.name": "web-1",
}  # fmt: skip
WINDOW = Asked(NOW_NS - MINUTE_NS, NOW_NS + 10 * MINUTE_NS, 1000)
NOW_MS = NOW_NS // 1_000_000


def record(body: Any, seconds: float, tenant: str = "acme", **more: Any) -> Any:
    attrs = {"tocsin.tenant": tenant, **more.pop("attrs", {})}
    return log_record(body, time_ns=NOW_NS + round(seconds * SECOND_NS), attrs=attrs, **more)


@pytest.fixture
def logs(store: TelemetryStore, put: Any) -> TelemetryStore:
    shop = [
        record("GET /orders 200", 0, severity_number=9, attrs={"http.route": "/orders", "request.id": "r-1"}),
        record(
            "payment error: card declined", 10, severity_number=17, trace_id=TRACE, span_id=TRACE[:8],
            attrs={"http.route": "/pay"},
        ),
        record('{"msg":"slow","duration":2.5,"user":{"id":7}}', 20, severity_number=13),
        record('{"msg":"quick","duration":0.5,"user":{"id":8}}', 30, severity_number=13),
        record("path=/cart took=120ms size=2KB status=500", 40, severity_number=5),
        record({"event": "login", "ok": True}, 50),
        record("Payment ERROR of globex", 15, "globex", severity_number=17),
    ]  # fmt: skip
    put(log_request(shop, SHOP))
    put(
        log_request(
            [record("worker idle", 5), record("worker error", 60, severity_number=17)], {"service.name": "mail"}
        )
    )
    return store


def lines(store: TelemetryStore, text: str, scope: Scope = PLATFORM, asked: Asked = WINDOW) -> list[Line]:
    return engine.select_lines(LogSource(store, scope), parse_log_query(text), asked).lines


def texts(store: TelemetryStore, text: str, scope: Scope = PLATFORM) -> list[str]:
    return [line.text for line in lines(store, text, scope)]


def value(store: TelemetryStore, text: str, scope: Scope = PLATFORM, at_ms: int = NOW_MS + 600_000) -> Any:
    node = parse(text)
    assert not isinstance(node, LogQuery)
    found = engine.instant(LogSource(store, scope), node, at_ms, text)
    return {tuple(sorted(one.labels.items())): float(one.values[0]) for one in found.series}


def test_lines_come_newest_first_with_their_labels(logs: TelemetryStore) -> None:
    found = lines(logs, '{service_name="shop", tenant="acme"}')
    assert [line.time_ns for line in found] == sorted((line.time_ns for line in found), reverse=True)
    assert len(found) == 6
    [paid] = [line for line in found if "declined" in line.text]
    stream, metadata, parsed = paid.by_kind()
    assert stream == {
        "service_name": "shop", "tenant": "acme", "environment": "production", "level": "error", "release": "1.2",
        "host_name": "web-1",
    }  # fmt: skip
    assert metadata == {"http_route": "/pay", "trace_id": TRACE.hex(), "span_id": TRACE[:8].hex()}
    assert parsed == {}
    assert texts(logs, '{service_name="shop"} |= "event"') == ['{"event":"login","ok":true}']


SELECTORS = [
        ('{service_name="shop"}', 7),
        ('{service="shop"}', 7),
        ('{job=~"sh.+"}', 7),
        ('{app!="shop"}', 2),
        ('{host_name="web-1"}', 7),
        ('{host_name=""}', 2),
        ('{level="error"}', 3),
        ('{severity="ERR"}', 3),
        ('{level="warning"}', 2),
        ('{detected_level=~"warn|debug"}', 3),
        ('{level=""}', 2),
        ('{level!="error", service_name="shop"}', 5),
        ('{env="production"}', 7),
        ('{release="1.2", tenant="globex"}', 1),
        ('{nowhere="x"}', 0),
        ('{nowhere!="x"}', 9),
        ('{nowhere=~".*"}', 9),
        ("{}", 9),
]  # fmt: skip


def test_selectors_know_labels_by_their_names(logs: TelemetryStore) -> None:
    assert [(selector, len(lines(logs, selector))) for selector, _ in SELECTORS] == SELECTORS


PIPELINES = [
    '|= "error"',
    '|= "error" != "card"',
    '|= ""',
    '|= "declined" or "quick"',
    '!= "declined" or "quick"',
    "|~ `(?i)payment error`",
    "|~ `error|quick`",
    "!~ `error|quick`",
    "|~ `^payment.*declined$`",
    '|> "payment <_> card <_>"',
    '!> "<_>error<_>"',
    '|= "rror: car"',
    '|= "error: card declined"',
    "|= `%`",
    "|= `'`",
    '| level="error"',
    '| level=~"err|warning"',
    '| http_route="/pay"',
    '| http_route!="/pay"',
    '| http_route=~"/(pay|orders)"',
    '| http_route=""',
    f'| trace_id="{TRACE.hex()}"',
    f'| trace_id!="{TRACE.hex()}"',
    f'| span_id="{TRACE[:8].hex()}"',
    '| trace_id="nonsense"',
    '| request_id="r-1" or level="warn"',
    '| request_id="r-1" and level="warn"',
    '| nowhere=""',
    '| nowhere="x"',
    '| host_name="web-1" |= "GET"',
]


def test_what_the_engine_takes_over_means_the_same_as_here(logs: TelemetryStore) -> None:
    everything = lines(logs, "{}")
    for pipeline in PIPELINES:
        means_the_same(logs, pipeline, everything)


def means_the_same(logs: TelemetryStore, pipeline: str, everything: list[Line]) -> None:
    query = parse_log_query("{} " + pipeline)
    passes = compiled(query.stages)
    expected = [line.text for line in everything if passes(line) and not line.text.startswith('{"event"')]
    found = [text for text in texts(logs, "{} " + pipeline) if not text.startswith('{"event"')]
    if "level=~" in pipeline:  # levels have several names in the engine
        assert sorted(found) == sorted(line.text for line in everything if line.get("level") in ("error", "warn"))
    else:
        assert found == expected, pipeline
    counted = value(logs, f"sum(count_over_time({{}} {pipeline} [1h]))")
    assert sum(counted.values()) == len(texts(logs, "{} " + pipeline)), pipeline


def test_fields_of_a_line_are_compared_once_they_were_read(logs: TelemetryStore) -> None:
    asked = '{service="shop"} |= "duration" | json | duration > 1.0'
    [found] = lines(logs, asked)
    assert found.by_kind()[2] == {"msg": "slow", "duration": "2.5", "user_id": "7"}
    assert texts(logs, '{service="shop"} | logfmt | took > 100ms and size > 1KB | __error__=""') == [
        "path=/cart took=120ms size=2KB status=500"
    ]
    assert texts(logs, '{service="shop"} | json | user_id="8" | line_format "{{.msg}} {{.level}}"') == ["quick warn"]


def test_unparsed_field_gets_a_hint(logs: TelemetryStore) -> None:
    found = engine.select_lines(LogSource(logs, PLATFORM), parse_log_query('{service="shop"} | duration > 1.0'), WINDOW)
    assert found.lines == []
    assert found.warnings == [
        "no line has a label duration that fits; if it is a field of the line, write | json | duration …"
    ]


def test_scope_holds_for_lines_numbers_and_labels(logs: TelemetryStore) -> None:
    acme, globex, nobody = Scope.of("acme"), Scope.of("globex"), Scope(frozenset())
    assert texts(logs, "{}", globex) == ["Payment ERROR of globex"]
    assert texts(logs, '{tenant="globex"}', acme) == []
    assert texts(logs, '{tenant=~"acme|globex"} |= "globex" or "idle"', acme) == ["worker idle"]
    assert lines(logs, "{}", nobody) == []
    counted = 'sum by (tenant) (count_over_time({service="shop"}[1h]))'
    assert value(logs, counted, globex) == {(("tenant", "globex"),): 1}
    assert value(logs, counted, nobody) == {}
    for scope, tenants in ((acme, ["acme"]), (globex, ["globex"]), (PLATFORM, ["acme", "globex"]), (nobody, [])):
        source = LogSource(logs, scope)
        window = (WINDOW.start_ns, WINDOW.end_ns)
        assert log_streams.label_values(source, "tenant", [], *window) == tenants
        assert sorted({one["tenant"] for one in log_streams.series(source, [], *window)}) == tenants
        found = log_streams.volumes(source, (), ("tenant",), *window, 10)
        assert sorted(one.labels["tenant"] for one in found) == tenants


def test_lookups_know_streams(logs: TelemetryStore) -> None:
    source, window = LogSource(logs, PLATFORM), (WINDOW.start_ns, WINDOW.end_ns)
    assert log_streams.label_names(source, [], *window) == [
        "environment", "host_name", "level", "release", "service_name", "tenant",
    ]  # fmt: skip
    shop, mail = parse_log_query('{service="shop"}').matchers, parse_log_query('{service="mail"}').matchers
    assert log_streams.label_values(source, "service_name", [], *window) == ["mail", "shop"]
    assert log_streams.label_values(source, "host_name", [shop], *window) == ["web-1"]
    assert log_streams.label_values(source, "host_name", [mail], *window) == []
    assert log_streams.label_values(source, "level", [mail], *window) == ["error"]
    assert log_streams.label_values(source, "nowhere", [], *window) == []
    assert log_streams.label_values(source, "tenant", [shop], 0, MINUTE_NS) == []
    [found] = log_streams.volumes(source, shop, (), *window, 10)
    assert found.lines == 7
    by_host = log_streams.volumes(source, (), ("host_name",), *window, 10)
    assert [(one.labels, one.lines) for one in by_host] == [({"host_name": "web-1"}, 7), ({}, 2)]


def test_rates_and_counts(logs: TelemetryStore) -> None:
    assert value(logs, 'sum by (level) (count_over_time({service="shop"}[1h]))') == {
        (("level", "error"),): 2, (("level", "warn"),): 2, (("level", "info"),): 1, (("level", "debug"),): 1, (): 1,
    }  # fmt: skip
    assert value(logs, 'sum(rate({service="shop"} |= "declined" [1h]))') == {(): 1 / 3600}
    assert value(logs, 'sum(bytes_over_time({service="mail"}[1h]))') == {(): 23}
    assert value(logs, 'sum by (http_route) (count_over_time({} | http_route!="" [1h]))') == {
        (("http_route", "/orders"),): 1, (("http_route", "/pay"),): 1,
    }  # fmt: skip
    assert value(logs, "topk(1, sum by (service_name) (count_over_time({}[1h])))") == {(("service_name", "shop"),): 7}
    assert value(logs, 'absent_over_time({service="nowhere"}[1h])') == {(("service", "nowhere"),): 1}
    assert value(logs, 'absent_over_time({service="shop"}[1h])') == {}
    assert value(logs, "vector(1)+vector(1)") == {(): 2}
    half = 'sum(count_over_time({service="shop", level="error"}[1h])) / sum(count_over_time({service="shop"}[1h]))'
    assert value(logs, half) == {(): 2 / 7}
    one = value(logs, 'count_over_time({service="mail"}[1h])')
    assert one == {(("service_name", "mail"), ("tenant", "acme")): 1, (
        ("level", "error"), ("service_name", "mail"), ("tenant", "acme"),
    ): 1}  # fmt: skip
    assert value(logs, 'count_over_time({service="mail"} | logfmt | line_format "x" [1h])') == one


def test_counts_by_fields_that_only_python_reads(logs: TelemetryStore) -> None:
    assert value(logs, 'sum by (msg) (count_over_time({service="shop"} |= "msg" | json [1h]))') == {
        (("msg", "slow"),): 1, (("msg", "quick"),): 1,
    }  # fmt: skip
    assert value(logs, 'sum by (level) (count_over_time({service="shop"} |= "msg" | json | duration > 1 [1h]))') == {
        (("level", "warn"),): 1
    }


UNWRAPPED = {
        "sum_over_time": 3.0, "avg_over_time": 1.5, "min_over_time": 0.5, "max_over_time": 2.5,
        "stddev_over_time": 1.0, "stdvar_over_time": 1.0, "first_over_time": 2.5, "last_over_time": 0.5,
}  # fmt: skip


def test_unwrapped_values(logs: TelemetryStore) -> None:
    for function, expected in UNWRAPPED.items():
        by = "" if function == "sum_over_time" else " by (service_name)"
        asked = f'{function}({{service="shop"}} |= "duration" | json | unwrap duration [1h]){by}'
        found = value(logs, f"sum({asked})" if not by else asked)
        assert list(found.values()) == pytest.approx([expected])


def test_quantile_duration_and_bytes(logs: TelemetryStore) -> None:
    lines_of = '{service="shop"} |= "duration" | json | unwrap duration [1h]'
    assert value(logs, f"quantile_over_time(0.5, {lines_of}) by (tenant)") == {(("tenant", "acme"),): 1.5}
    logfmt = '{service="shop"} |= "took=" | logfmt | unwrap'
    assert list(value(logs, f"sum(sum_over_time({logfmt} duration(took) [1h]))").values()) == pytest.approx([0.12])
    assert list(value(logs, f"sum(sum_over_time({logfmt} bytes(size) [1h]))").values()) == [2000]
    assert list(value(logs, 'sum(rate({service="shop"} |= "duration" | json | unwrap duration [1m]))',
                      at_ms=NOW_MS + 60_000).values()) == [3 / 60]  # fmt: skip


def test_windows_are_left_open_to_the_nanosecond(store: TelemetryStore, put: Any) -> None:
    at = (0, 1, 60 * SECOND_NS, 60 * SECOND_NS + 1, 120 * SECOND_NS)
    put(log_request([log_record("x", time_ns=NOW_NS + offset) for offset in at]))
    node = parse('sum(count_over_time({service="shop"}[1m]))')
    assert not isinstance(node, LogQuery)
    grid = Grid(NOW_MS, NOW_MS + 180_000, 60_000)
    [series] = engine.range_query(LogSource(store, PLATFORM), node, grid, "").series
    assert [(point.time_ms - NOW_MS, point.value) for point in series.points] == [(0, 1), (60_000, 2), (120_000, 2)]
    parsed = parse('sum(count_over_time({service="shop"} | logfmt | __error__="" [1m]))')
    assert not isinstance(parsed, LogQuery)
    [again] = engine.range_query(LogSource(store, PLATFORM), parsed, grid, "").series
    assert again.points == series.points


def test_ranges_that_overlap_and_offsets(store: TelemetryStore, put: Any) -> None:
    put(log_request([log_record("x", time_ns=NOW_NS + second * SECOND_NS) for second in range(300)]))
    for text in ('{service="shop"}', '{service="shop"} | logfmt | __error__=""'):
        node = parse(f"sum(count_over_time({text}[90s] offset 30s))")
        assert not isinstance(node, LogQuery)
        grid = Grid(NOW_MS + 60_000, NOW_MS + 300_000, 60_000)
        [series] = engine.range_query(LogSource(store, PLATFORM), node, grid, "").series
        assert series.values.tolist() == [31, 90, 90, 90, 90]


def test_line_that_cannot_be_read_stops_a_metric_query_unless_skipped(logs: TelemetryStore) -> None:
    with pytest.raises(PipelineError, match=r"JSONParserErr.*Use a label filter to intentionally skip this error"):
        value(logs, 'sum(count_over_time({service="shop"} | json [1h]))')
    assert value(logs, 'sum(count_over_time({service="shop"} | json | __error__="" [1h]))') == {(): 5}


def test_fields_that_a_record_came_with_need_no_parser(logs: TelemetryStore) -> None:
    counted = 'sum by (http_route) (count_over_time({service="shop"} |~ "GET|card" | json | http_route=~"/.*" [1h]))'
    assert value(logs, counted) == {(("http_route", "/orders"),): 1, (("http_route", "/pay"),): 1}
    [line] = lines(logs, '{service="shop"} |= "GET" | json route="http.route", other="nowhere"')
    assert (line.labels()["route"], line.labels().get("other"), line.has_failed) == ("/orders", None, False)
    [line] = lines(logs, '{service="mail"} |= "idle" | json')
    assert line.has_failed


def test_bounds_are_told(logs: TelemetryStore) -> None:
    source = LogSource(logs, PLATFORM)
    with pytest.raises(LimitError, match="cannot answer 6000 lines: 5000 at most"):
        engine.select_lines(source, parse_log_query("{}"), Asked(WINDOW.start_ns, WINDOW.end_ns, 6000))
    few = LogQuerySettings(max_scanned_lines=3, max_series=1, max_points=5)
    with pytest.raises(LimitError, match="more than 3 lines one by one; add a line filter"):
        engine.select_lines(source, parse_log_query('{} | json | x="y"'), WINDOW, few)
    node = parse("count_over_time({}[1h])")
    assert not isinstance(node, LogQuery)
    with pytest.raises(LimitError, match="makes more than 1 series"):
        engine.instant(source, node, NOW_MS + 600_000, "", few)
    with pytest.raises(LimitError, match="exceeded maximum resolution of 5 points"):
        engine.range_query(source, node, Grid(NOW_MS, NOW_MS + 60_000, 1000), "", few)
    with pytest.raises(LogQLError, match="ends before it starts"):
        engine.select_lines(source, parse_log_query("{}"), Asked(10, 5))
    with pytest.raises(LimitError, match="longer than 400 days"):
        engine.select_lines(source, parse_log_query("{}"), Asked(0, NOW_NS))


def test_query_ends_when_nobody_waits(logs: TelemetryStore) -> None:
    gone = LogSource(logs, PLATFORM, canceled=lambda: True)
    with pytest.raises(QueryCanceledError):
        engine.select_lines(gone, parse_log_query("{}"), WINDOW)


def test_many_lines_of_one_instant_and_over_many_slices(store: TelemetryStore, put: Any) -> None:
    day = 24 * 60 * MINUTE_NS
    spread = [log_record(f"line {number}", time_ns=NOW_NS - number * day // 40) for number in range(200)]
    put(log_request([*spread, *(log_record(f"same {number}", time_ns=NOW_NS + 1) for number in range(50))]))
    asked = Asked(NOW_NS - 6 * day, NOW_NS + MINUTE_NS, 5000)
    for pipeline in ("", '| logfmt | level=""', '|= "e"'):
        found = lines(store, "{} " + pipeline, asked=asked)
        assert len(found) == len({line.text for line in found}) == 250
        oldest = lines(store, "{} " + pipeline, asked=Asked(asked.start_ns, asked.end_ns, 3, newest_first=False))
        assert [line.text for line in oldest] == ["line 199", "line 198", "line 197"]
    assert len(lines(store, "{}", asked=Asked(asked.start_ns, asked.end_ns, 20))) == 20
