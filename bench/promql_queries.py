"""Queries that Prometheus 2.42 and 3 answer alike, generated: the same ones every time.

Ranges of subqueries never end on one of their steps, because queries are asked seven seconds after a whole minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
COUNTERS = ("bench_requests_total", "bench_network_bytes_total", "bench_cpu_seconds_total", "bench_latency_seconds_sum")
GAUGES = ("bench_temperature_celsius", "bench_memory_bytes", "bench_limit", "bench_busy")
MATCHERS = (
    "", '{instance="10.0.0.3:9090"}', '{instance=~"10.0.0.[5-9]:9090"}', '{instance!="10.0.0.1:9090"}',
    '{instance!~".*[246]:9090",job="bench"}', '{route!="/none"}',
)  # fmt: skip
RANGES = ("1m", "5m", "17m", "1h")
OF_COUNTERS = ("rate", "increase", "irate", "resets", "changes", "last_over_time")
OF_GAUGES = (
    "delta", "idelta", "deriv", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
    "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time", "changes",
)  # fmt: skip
OF_NUMBERS = (
    "abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "round", "timestamp", "hour", "minute", "month",
    "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month",
)  # fmt: skip
AGGREGATIONS = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
GROUPINGS = ("", "by (instance)", "by (route, status)", "without (instance, cluster)", "by (nothing)")
ARITHMETIC = ("+", "-", "*", "/", "%", "^")  # atan2 kept the metric's name in 2.42
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
EVERYTHING = '{__name__=~"bench_.+"}'


@dataclass(frozen=True)
class Asked:
    """One query: of one time when step_ms is 0, else of a range that ends at `end_ms`."""

    kind: str
    text: str
    end_ms: int
    length_ms: int = 0
    step_ms: int = 0


def checks(end_ms: int) -> list[Asked]:
    """A few hundred, each at one time, or over a few hours."""
    texts = [
        *_selectors(), *_rates(), *_over_time(), *_functions(), *_aggregations(), *_quantiles(), *_joins(),
        *_subqueries(),
    ]  # fmt: skip
    now = end_ms - MINUTE_MS + 7000
    shapes = cycle(
        [(0, 0, 0), (5 * HOUR_MS, 4 * HOUR_MS, 2 * MINUTE_MS), (10 * HOUR_MS, 3 * HOUR_MS, MINUTE_MS),
         (13 * HOUR_MS, 0, 0), (11 * HOUR_MS, 90 * MINUTE_MS, MINUTE_MS), (0, 23 * HOUR_MS, 17 * MINUTE_MS)]
    )  # fmt: skip
    made = []
    for (kind, text), (before, length, step) in zip(texts, shapes, strict=False):
        is_of_one_time = "sort" in text or "scalar" in text
        made.append(Asked(kind, text, now - before, *((0, 0) if is_of_one_time else (length, step))))
    return made


def speed(end_ms: int) -> list[Asked]:
    """Range queries over all series and 24 hours, every two minutes; quantiles over all buckets."""
    buckets = "rate(bench_latency_seconds_bucket[5m])"
    texts = [
        ("selector", EVERYTHING),
        ("selector", f"{EVERYTHING} offset 5m"),
        *(
            ("rate", f"{name}({EVERYTHING}[{range}])")
            for name in ("rate", "increase", "irate")
            for range in ("5m", "1h")
        ),
        *(
            ("over_time", f"{name}({EVERYTHING}[{range}])")
            for name in ("avg_over_time", "max_over_time", "stddev_over_time", "deriv", "count_over_time")
            for range in ("5m", "1h")
        ),
        ("over_time", f"quantile_over_time(0.9, {EVERYTHING}[10m])"),
        *(("aggregation", f"{name} by (instance) (rate({EVERYTHING}[5m]))") for name in ("sum", "max")),
        ("aggregation", f"sum({EVERYTHING})"),
        ("aggregation", f"avg by (__name__) ({EVERYTHING})"),
        ("aggregation", f"topk(5, rate({EVERYTHING}[5m]))"),
        ("aggregation", f"quantile by (instance) (0.9, {EVERYTHING})"),
        ("histogram_quantile", f"histogram_quantile(0.95, {buckets})"),
        ("histogram_quantile", f"histogram_quantile(0.95, sum by (le) ({buckets}))"),
        ("histogram_quantile", f"histogram_quantile(0.5, sum by (le, route) ({buckets}))"),
        ("join", f"{EVERYTHING} / on (instance) group_left sum by (instance) ({EVERYTHING})"),
        ("join", f"{EVERYTHING} + {EVERYTHING}"),
        ("join", f"rate({EVERYTHING}[5m]) > 1 and rate({EVERYTHING}[5m]) < 100"),
        ("subquery", "max_over_time(rate(bench_requests_total[5m])[30m:1m])"),
        ("subquery", f"avg_over_time(sum by (instance) (rate({EVERYTHING}[5m]))[1h:1m])"),
    ]
    now = end_ms - MINUTE_MS + 7000
    return [Asked(kind, text, now, 24 * HOUR_MS - 10 * MINUTE_MS, 2 * MINUTE_MS) for kind, text in texts]


def _selectors() -> Iterator[tuple[str, str]]:
    for name in (*COUNTERS, *GAUGES, "bench_latency_seconds_bucket"):
        for matcher, modifier in zip(MATCHERS, ("", " offset 7m", "", " @ end()", "", ""), strict=True):
            yield "selector", f"{name}{matcher}{modifier}"
    yield "selector", EVERYTHING
    yield "selector", '{job="bench",__name__!~".*bucket"}'
    yield "selector", "bench_absent"


def _rates() -> Iterator[tuple[str, str]]:
    matchers = cycle(MATCHERS)
    for function in OF_COUNTERS:
        for name in COUNTERS:
            for range in RANGES:
                yield "rate", f"{function}({name}{next(matchers)}[{range}])"
    yield "rate", "rate(bench_requests_total[5m] offset 1h)"
    yield "rate", "increase(bench_requests_total[1h] @ start())"


def _over_time() -> Iterator[tuple[str, str]]:
    ranges, matchers = cycle(RANGES), cycle(MATCHERS)
    for function in OF_GAUGES:
        for name in GAUGES[:2]:
            yield "over_time", f"{function}({name}{next(matchers)}[{next(ranges)}])"
    for q in ("0", "0.3", "0.5", "0.99", "1", "-1", "2"):
        yield "over_time", f"quantile_over_time({q}, {GAUGES[0]}[{next(ranges)}])"
    for name in GAUGES:
        yield "over_time", f"predict_linear({name}[17m], 600)"
        yield "over_time", f"holt_winters({name}[5m], 0.4, 0.7)"
    yield "over_time", "absent_over_time(bench_absent[5m])"
    yield "over_time", 'absent_over_time(bench_busy{instance="10.0.0.3:9090"}[1m])'


def _functions() -> Iterator[tuple[str, str]]:
    names, matchers = cycle(GAUGES), cycle(MATCHERS)
    for function in OF_NUMBERS:
        yield "function", f"{function}({next(names)}{next(matchers)})"
    yield "function", "clamp(bench_temperature_celsius, 45, 55)"
    yield "function", "clamp_min(bench_temperature_celsius, 50)"
    yield "function", "clamp_max(bench_temperature_celsius, 50)"
    yield "function", "round(bench_temperature_celsius, 0.25)"
    yield "function", 'absent(bench_absent{instance="a"})'
    yield "function", "sort(bench_memory_bytes)"
    yield "function", "sort_desc(bench_network_bytes_total)"
    yield "function", 'label_replace(bench_busy, "host", "$1", "instance", "(.*):.*")'
    yield "function", 'label_join(bench_busy, "both", "-", "job", "instance")'
    yield "function", 'scalar(bench_busy{instance="10.0.0.0:9090"})'
    yield "function", "vector(time())"
    yield "function", "time() - timestamp(bench_busy)"
    yield "function", "pi() * bench_limit"
    yield "function", "-bench_temperature_celsius"
    yield "function", "hour(vector(0)) + minute() * 2 + day_of_week()"


def _aggregations() -> Iterator[tuple[str, str]]:
    inner = cycle(["bench_temperature_celsius", "rate(bench_requests_total[5m])", "bench_memory_bytes", "bench_busy"])
    for name in AGGREGATIONS:
        for grouping in GROUPINGS:
            yield "aggregation", f"{name} {grouping} ({next(inner)})"
    for grouping in GROUPINGS:
        yield "aggregation", f"topk {grouping} (3, rate(bench_requests_total[5m]))"
        yield "aggregation", f"bottomk {grouping} (3, bench_temperature_celsius)"
        yield "aggregation", f"quantile {grouping} (0.7, {next(inner)})"
        yield "aggregation", f'count_values {grouping} ("value", bench_limit)'


def _quantiles() -> Iterator[tuple[str, str]]:
    buckets = "bench_latency_seconds_bucket"
    for q in ("0", "0.1", "0.5", "0.95", "0.999", "1", "-1", "2"):
        yield "histogram_quantile", f"histogram_quantile({q}, rate({buckets}[5m]))"
        yield "histogram_quantile", f"histogram_quantile({q}, sum by (le) (rate({buckets}[17m])))"
        yield "histogram_quantile", f"histogram_quantile({q}, sum without (instance) (increase({buckets}[1h])))"
        yield "histogram_quantile", f"histogram_quantile({q}, {buckets})"


def _joins() -> Iterator[tuple[str, str]]:
    for operator in ARITHMETIC:
        yield "join", f"bench_temperature_celsius {operator} 1.5"
        yield "join", f"2 {operator} bench_busy"
        yield "join", f"bench_memory_bytes {operator} on (instance, area) bench_memory_bytes offset 10m"
        yield "join", f"bench_temperature_celsius {operator} on (instance) group_left bench_busy"
    for operator in COMPARISONS:
        yield "join", f"bench_temperature_celsius {operator} 50"
        yield "join", f"bench_temperature_celsius {operator} bool on (instance) group_left (job) bench_busy * 50"
        yield "join", f"bench_temperature_celsius {operator} bench_temperature_celsius offset 15s"
    for operator in ("and", "or", "unless"):
        yield "join", f"bench_busy {operator} on (instance) (bench_temperature_celsius > 52)"
        yield "join", f"bench_busy {operator} bench_limit"
    errors = 'sum by (route, instance) (rate(bench_requests_total{status="500"}[5m]))'
    yield "join", f"{errors} / sum by (route, instance) (rate(bench_requests_total[5m]))"
    yield "join", "rate(bench_latency_seconds_sum[5m]) / ignoring (unit) rate(bench_latency_seconds_count[5m])"
    yield "join", 'bench_latency_seconds_count - ignoring (le) bench_latency_seconds_bucket{le="+Inf"}'
    yield "join", "bench_busy * on (instance) group_right (job) bench_cpu_seconds_total"


def _subqueries() -> Iterator[tuple[str, str]]:
    steps, ranges = cycle(("1m", "2m", "5m")), cycle(("10m", "30m", "1h"))
    for function in (*OF_GAUGES, *OF_COUNTERS[:5]):
        yield "subquery", f"{function}(bench_temperature_celsius[{next(ranges)}:{next(steps)}])"
    for function in ("max_over_time", "min_over_time", "avg_over_time", "quantile_over_time"):
        first = "0.9, " if function.startswith("quantile") else ""
        yield "subquery", f"{function}({first}rate(bench_requests_total[5m])[{next(ranges)}:{next(steps)}])"
        yield "subquery", f"{function}({first}sum by (instance) (bench_busy)[{next(ranges)}:{next(steps)}] offset 3m)"
    yield "subquery", "max_over_time(deriv(rate(bench_requests_total[5m])[10m30s:1m])[30m:2m])"
