"""Rows as the query layer answers them, for tests of what pages say; two tenants, acme and globex."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tocsin.query.errors import ErrorGroup
from tocsin.query.red import EndpointRow, Red, ServiceRow
from tocsin.query.tenants import HarmedTenant, TenantRow
from tocsin.query.traces import SpanEvent, SpanRecord, Trace, TraceSummary
from tocsin.web.words import Speech

NOW_NS = int(datetime(2026, 11, 21, 14, 10, tzinfo=UTC).timestamp()) * 10**9
SINCE_NS = NOW_NS - 480 * 10**9  # 14:02
TRACE_ID = "7d1f" + "0" * 24 + "c40a"
EXPORT = ("reports", "POST", "/reports/{id}/export")


def link(path: str, **parameters: object) -> str:
    given = "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)
    return path + (f"?{given}" if given else "")


def here(**changes: object) -> str:
    return link("", **changes)


SAY = Speech(link, here, NOW_NS, UTC)


def red(requests: int = 1000, errors: int = 0, p95: float | None = 0.2, client_errors: int = 0) -> Red:
    return Red(
        requests=requests,
        errors=errors,
        client_errors=client_errors,
        request_rate=requests / 3600,
        error_ratio=errors / requests if requests else 0.0,
        client_error_ratio=client_errors / requests if requests else 0.0,
        mean_seconds=p95,
        p50_seconds=p95,
        p90_seconds=p95,
        p95_seconds=p95 if requests else None,
        p99_seconds=p95,
        total_seconds=requests * (p95 or 0.0),
        response_bytes=0,
    )


def harmed(tenant: str, where: tuple[str, str, str] | None = EXPORT, errors: int = 50, late_s: int = 0) -> HarmedTenant:
    return HarmedTenant(tenant, errors, errors * 2, SINCE_NS + late_s * 10**9, where)


def endpoint_row(where: tuple[str, str, str] = EXPORT, figures: Red | None = None) -> EndpointRow:
    return EndpointRow(*where, figures or red(), 0.5, [])


def tenant_row(name: str, figures: Red | None = None) -> TenantRow:
    return TenantRow(name, figures or red(), 0.5, NOW_NS, [0.0] * 30)


def service_row(name: str, figures: Red | None = None, heard_ns: int = NOW_NS) -> ServiceRow:
    return ServiceRow(name, figures or red(), heard_ns, ["1.0"], ["production"], "tocsin")


def error_group(kind: str = "sqlalchemy.exc.TimeoutError", tenants: tuple[str, ...] = ("acme",)) -> ErrorGroup:
    place = ["reports"], ["POST /reports/{id}/export"], ["1.0"]
    return ErrorGroup("9f" * 8, kind, "pool is empty", 328, list(tenants), *place, SINCE_NS, NOW_NS, TRACE_ID)


def summary(trace_id: str = TRACE_ID, is_error: bool = False, tenant: str = "acme", took_ms: int = 40) -> TraceSummary:
    status = 500 if is_error else 200
    return TraceSummary(
        trace_id=trace_id,
        start_ns=NOW_NS - took_ms * 10**7,
        duration_ns=took_ms * 10**6,
        service="reports",
        name="GET /reports",
        method="GET",
        route="/reports",
        status_code=status,
        is_error=is_error,
        tenant=tenant,
        environment="production",
        spans=3,
        services=["reports"],
        error="",
    )


def span(identity: str, parent: str = "", start_ms: float = 0, took_ms: float = 10, **given: Any) -> SpanRecord:
    fields: dict[str, Any] = {
        "name": identity,
        "kind": "internal",
        "status": "unset",
        "status_message": "",
        "service": "reports",
        "tenant": "acme",
        "environment": "production",
        "attributes": {},
        "resource": {},
        "scope_name": "",
        "events": [],
        "links": [],
    }
    return SpanRecord(
        trace_id=TRACE_ID,
        span_id=identity,
        parent_span_id=parent,
        start_ns=NOW_NS + int(start_ms * 1e6),
        duration_ns=int(took_ms * 1e6),
        **(fields | given),
    )


def exception(kind: str = "ValueError", stack: str = "") -> SpanEvent:
    said = {"exception.type": kind, "exception.message": "no rate for USD", "exception.stacktrace": stack}
    return SpanEvent(NOW_NS, "exception", said)


def trace(*spans: SpanRecord) -> Trace:
    start_ns = min(each.start_ns for each in spans)
    end_ns = max(each.start_ns + each.duration_ns for each in spans)
    ids = frozenset(each.span_id for each in spans)
    return Trace(TRACE_ID, list(spans), start_ns, end_ns - start_ns, _ids=ids)
