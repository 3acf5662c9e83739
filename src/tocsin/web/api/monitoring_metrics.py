"""/api/v1/monitoring/metrics: how the product and its machine are doing, each figure with the PromQL that gives it."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from tocsin.query.promql.engine import ResultSeries, instant
from tocsin.web.api.asked import READING
from tocsin.web.api.contract import BEARER
from tocsin.web.auth import Admin
from tocsin.web.metrics import promql_settings_of, reader_for
from tocsin.web.self_metrics import exposition

router = APIRouter(
    prefix="/api/v1/monitoring/metrics", tags=["monitoring"], dependencies=[Depends(BEARER)], responses=READING
)

_TEXT = ("application/openmetrics-text", "text/plain")
_REQUESTS = "http_requests_total[{range}]"
_BUCKETS = "sum by (le) (rate(http_request_duration_seconds_bucket[{range}]))"
APPLICATION = {  # figure: (unit, query)
    "request_rate": ("requests/s", f"sum(rate({_REQUESTS}))"),
    "error_ratio": (
        "ratio",
        'sum(rate(http_requests_total{{status=~"5.."}}[{range}])) / sum(rate(http_requests_total[{range}]))',
    ),
    "duration_p50": ("seconds", f"histogram_quantile(0.5, {_BUCKETS})"),
    "duration_p95": ("seconds", f"histogram_quantile(0.95, {_BUCKETS})"),
    "duration_p99": ("seconds", f"histogram_quantile(0.99, {_BUCKETS})"),
    "active_requests": ("requests", "sum(http_requests_active)"),
    "request_rate_by_route": ("requests/s", f"topk(20, sum by (method, route) (rate({_REQUESTS})))"),
    "request_rate_by_tenant": ("requests/s", f"topk(20, sum by (tenant) (rate({_REQUESTS})))"),
    "error_rate_by_route": ("errors/s", "topk(20, sum by (method, route) (rate(http_errors_total[{range}])))"),
}
_CORES = "(tocsin_cgroup_cpu_limit_cores or count without (cpu, mode) (node_cpu_seconds_total{{mode='idle'}}))"
_USED = (
    "rate(tocsin_cgroup_cpu_seconds_total[{range}]) / tocsin_cgroup_cpu_limit_cores"
    " or sum without (cpu, mode) (rate(node_cpu_seconds_total{{mode!~'idle|iowait'}}[{range}]))"
    " / count without (cpu, mode) (node_cpu_seconds_total{{mode='idle'}})"
)
SYSTEM = {
    "cpu_cores": ("cores", _CORES),
    "cpu_used_ratio": ("ratio", _USED),
    "load_1m": ("processes", "node_load1"),
    "memory_limit": ("bytes", "tocsin_cgroup_memory_limit_bytes or node_memory_MemTotal_bytes"),
    "memory_used_ratio": (
        "ratio",
        "tocsin_cgroup_memory_usage_bytes / tocsin_cgroup_memory_limit_bytes"
        " or 1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    ),
    "disk_available": ("bytes", "node_filesystem_avail_bytes"),
    "disk_used_ratio": ("ratio", "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes"),
    "network_receive": ("bytes/s", "rate(node_network_receive_bytes_total{{device!='lo'}}[{range}])"),
    "network_transmit": ("bytes/s", "rate(node_network_transmit_bytes_total{{device!='lo'}}[{range}])"),
}
_KEPT_SECONDS = 1.0


class Value(BaseModel):
    """One series of a figure."""

    labels: dict[str, str]
    value: float | None = Field(description="null where there is nothing to divide by")


class Figure(BaseModel):
    """A figure and the query that gives it at /prometheus/api/v1/query."""

    unit: str
    query: str
    values: list[Value]


class Figures(BaseModel):
    """Figures by name at one time, at most a second ago."""

    time: float = Field(description="Unix seconds; send it as `time` with a query to get the same numbers")
    figures: dict[str, Figure]


Range = Annotated[str, Query(pattern=r"^[1-9][0-9]{0,4}[smhd]$", description="Over how long rates are taken")]


@router.get("", summary="All metrics", response_model=dict[str, Figures])
def all_metrics(request: Request, principal: Admin, range: Range = "5m") -> Any:
    """Application and system as JSON; the server's own metrics to who accepts OpenMetrics or text/plain."""
    accept = request.headers.get("accept", "")
    if any(kind in accept for kind in _TEXT):
        text, media_type = exposition(request.app.state.tocsin, accept)
        return Response(text, media_type=media_type)
    return {part: _figures(request, principal, part, range) for part in _PARTS}


@router.get("/application", summary="The product's requests, errors and response times")
def application(request: Request, principal: Admin, range: Range = "5m") -> Figures:
    return _figures(request, principal, "application", range)


@router.get("/system", summary="The machine: processors, memory, disks, network")
def system(request: Request, principal: Admin, range: Range = "5m") -> Figures:
    """Of a container what it may use, where it has a limit."""
    return _figures(request, principal, "system", range)


_PARTS = {"application": APPLICATION, "system": SYSTEM}


def _figures(request: Request, principal: Admin, part: str, range: str) -> Figures:
    """Kept for a second, whoever asks: each is a handful of queries."""
    kept: dict[Any, Figures] = request.app.state.__dict__.setdefault("monitoring_metrics", {})
    now = time.time()
    found = kept.get((part, range))
    if found is None or not 0 <= now - found.time < _KEPT_SECONDS:
        if len(kept) > 100:
            kept.clear()
        found = kept[part, range] = _evaluated(request, principal, part, range, round(now, 3))
    return found


def _evaluated(request: Request, principal: Admin, part: str, range: str, at: float) -> Figures:
    reader, settings = reader_for(request, principal.scope), promql_settings_of(request)
    figures = {}
    for name, (unit, text) in _PARTS[part].items():
        query = text.format(range=range)
        result = instant(reader, query, round(at * 1000), settings)
        figures[name] = Figure(unit=unit, query=query, values=[_value(series) for series in result.series])
    return Figures(time=at, figures=figures)


def _value(series: ResultSeries) -> Value:
    value = series.points[0].value
    is_number = isinstance(value, float | int) and math.isfinite(value)
    return Value(labels=dict(series.labels), value=float(value) if is_number else None)  # type: ignore[arg-type]
