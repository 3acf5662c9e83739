"""What the SDK's isolation monitor sends of a shop: acme's requests have read globex's rows, and more."""

from __future__ import annotations

from typing import Any

from otlp import NOW_NS, SECOND_NS, counter, log_record, log_request, metric_request, number

SHOP = {"service.name": "shop", "telemetry.sdk.name": "tocsin", "deployment.environment.name": "production"}
TRACE = "ac" * 16
STATEMENT = "SELECT reports.id, reports.org_id FROM reports"
_WHERE = {
    "tocsin.isolation.how": "row",
    "tocsin.isolation.column": "org_id",
    "tocsin.isolation.cause": "no condition on reports.org_id in the statement",
    "tocsin.isolation.is_declared": True,
    "db.collection.name": "reports",
    "db.query.text": STATEMENT,
    "tocsin.db.fingerprint": "f1",
    "code.file.path": "product/routes/reports.py",
    "code.line.number": 53,
    "code.function.name": "recent",
    "http.request.method": "GET",
    "http.route": "/reports/recent",
}


def crossing(
    reader: str, owner: str, *, time_ns: int = NOW_NS, count: int = 1, rows: int = 4, is_declared: bool = True,
    how: str = "row", table: str = "reports",
) -> list[Any]:  # fmt: skip
    """The three events of a finding: the pair for staff, and what each of the two may read."""
    numbers = {"tocsin.isolation.count": count, "tocsin.isolation.rows": rows}
    severity = 21 if is_declared else 13
    pair = {"tocsin.isolation.tenant": reader, "tocsin.isolation.row_tenant": owner}

    def event(name: str, more: dict[str, Any], trace: bytes = b"") -> Any:
        what = {"tocsin.isolation.how": how, "db.collection.name": table}
        attrs = {**_WHERE, **what, "tocsin.isolation.is_declared": is_declared, **numbers, **more}
        return log_record(name, time_ns=time_ns, event_name=name, attrs=attrs, severity_number=severity, trace_id=trace)

    trace = bytes.fromhex(TRACE)
    return [
        event("tocsin.isolation.crossing", pair, trace),
        event("tocsin.isolation.concern", {"tocsin.tenant": reader, "tocsin.isolation.role": "reader"}, trace),
        event("tocsin.isolation.concern", {"tocsin.tenant": owner, "tocsin.isolation.role": "owner"}),
    ]


def named(time_ns: int = NOW_NS) -> Any:
    """Keys and jobs that name a tenant: 40 keys and 6 arguments of acme's, 5 keys of globex'."""

    def point(of: int, tenant: str, result: str) -> Any:
        return number(of, time_ns=time_ns, attrs={"tocsin.tenant": tenant, "result": result})

    keys = [point(40, "acme", "scoped"), point(2, "acme", "not_checked"), point(5, "globex", "scoped")]
    return metric_request(
        [
            counter("tenant_isolation_keys_total", keys, temporality=1),
            counter("tenant_isolation_jobs_total", [point(6, "acme", "scoped")], temporality=1),
        ],
        SHOP,
    )


def unscoped(time_ns: int = NOW_NS) -> Any:
    said = {
        "db.collection.name": "ledger", "tocsin.isolation.tables": "ledger", "db.operation.name": "SELECT",
        "db.query.text": "SELECT count(*) FROM ledger", "tocsin.db.fingerprint": "f2",
        "code.file.path": "ledger.py", "code.line.number": 7, "http.request.method": "GET", "http.route": "/sums",
        "tocsin.isolation.count": 3,
    }  # fmt: skip
    return log_record("loose", time_ns=time_ns, event_name="tocsin.isolation.unscoped", attrs=said)


def exempt(tenant: str, time_ns: int = NOW_NS) -> Any:
    said = {"tocsin.isolation.reason": "admin panel", "tocsin.isolation.count": 5, "http.route": "/admin"}
    attrs = {**said, **({"tocsin.tenant": tenant} if tenant else {})}
    return log_record("leave", time_ns=time_ns, event_name="tocsin.isolation.exempt", attrs=attrs)


def counted(time_ns: int = NOW_NS) -> Any:
    """acme: 90 scoped, 8 row by row, 2 held by nothing; globex: 10 scoped; 4 without a tenant; a crossing of both."""

    def point(of: int, **attrs: str) -> Any:
        named = {"tocsin.tenant" if name == "tenant" else name: text for name, text in attrs.items()}
        return number(of, time_ns=time_ns, attrs=named)

    statements = [
        point(90, tenant="acme", result="scoped"),
        point(8, tenant="acme", result="rows"),
        point(2, tenant="acme", result="unscoped"),
        point(7, tenant="acme", result="exempt"),
        point(10, tenant="globex", result="scoped"),
        point(4, result="not_checked", reason="no_tenant"),
    ]
    crossed = [
        point(3, tenant="acme", table="reports", role="reader"),
        point(3, tenant="globex", table="reports", role="owner"),
    ]
    return metric_request(
        [
            counter("tenant_isolation_statements_total", statements, temporality=1),
            counter(
                "tenant_isolation_rows_total", [point(1000, tenant="acme"), point(50, tenant="globex")], temporality=1
            ),
            counter("tenant_isolation_crossings_total", crossed, temporality=1),
        ],
        SHOP,
    )


def events(*records: Any) -> Any:
    return log_request(list(records), SHOP)


def all_of_it(time_ns: int = NOW_NS) -> list[Any]:
    return [
        counted(time_ns),
        events(
            *crossing("acme", "globex", time_ns=time_ns),
            *crossing("acme", "globex", time_ns=time_ns + SECOND_NS, count=2, rows=8),
            unscoped(time_ns),
            exempt("acme", time_ns),
            exempt("", time_ns),
        ),
    ]
