"""Lines of many kinds of product with the saved views they belong to: for Python's side and the engine's side alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INFO, WARN, ERROR = 9, 13, 17


@dataclass(frozen=True)
class Line:
    message: str
    views: frozenset[str] | set[str] = frozenset()
    severity: int = INFO
    logger: str = "app"
    event: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


SLOW, PERFORMANCE, SECURITY, SUSPICIOUS = "slow-queries", "performance", "security", "suspicious"
BUSINESS, ERRORS = "business-events", "errors"

LINES = [
    # what belongs nowhere
    Line("GET /projects 200"),
    Line("connection pool ready", fields={"size": 5}),
    Line("cache warmed in 3.2 s"),
    Line("request handled", fields={"duration_ms": 120, "http.route": "/projects"}),
    Line("query ok", fields={"duration_ms": 12, "db.statement": "SELECT 1"}),
    Line("retrying", severity=WARN),
    Line("user acme:17 opened the page"),
    Line("token bucket refilled"),
    Line("session started for worker 3"),
    Line("order of magnitude updated"),
    Line("the injection mould was cleaned"),
    Line("", fields={"event": "page_view"}),
    Line("", fields={"duration_ms": 90_000}),
    # errors
    Line("payment gateway unreachable", {ERRORS}, ERROR),
    Line("out of memory", {ERRORS}, 21),
    Line("", {ERRORS}, 0, fields={"error_type": "ValueError"}),
    Line("handled", set(), WARN, fields={"exception.type": "ValueError"}),
    # statements of databases
    Line("duration: 2345.678 ms  statement: SELECT * FROM reports", {SLOW}),
    Line("duration: 12.1 ms  statement: SELECT 1"),
    Line("Slow query detected: SELECT * FROM work_orders (1523 ms)", {SLOW}, WARN),
    Line("Slow query: 150ms SELECT 1", set(), WARN),
    Line("slow query on reports", {SLOW}, WARN),
    Line("slow query detected", {SLOW}, WARN, fields={"duration_ms": 1532}),
    Line("slow query detected", set(), WARN, fields={"duration_ms": 150}),
    Line("slow request", {PERFORMANCE}, WARN, fields={"elapsed": 2.5}),
    Line("Query took 3.5 s", {SLOW}),
    Line("# Query_time: 4.2  Lock_time: 0.0", {SLOW}),
    Line("done", {SLOW}, fields={"db.query.text": "SELECT 1", "duration": 1.0}),
    Line("done", {SLOW}, fields={"query_time_ms": "1500"}),
    Line("done", {SLOW}, fields={"db.statement": "SELECT 1", "duration": "1500ms"}),
    Line("done", set(), fields={"query_time_ms": "900", "duration": 9}),
    Line("[raw sql]", {SLOW}, logger="sqlalchemy.engine.Engine", fields={"elapsed_ms": 1200}),
    # requests
    Line("request handled", {PERFORMANCE}, fields={"duration_ms": 2300, "http.route": "/projects"}),
    Line("", {PERFORMANCE}, fields={"response_time": 2.5}),
    Line("", set(), fields={"response_time": 1.9}),
    Line("slow request /reports", {PERFORMANCE}, WARN),
    Line("GET /reports took 4.1 s", {PERFORMANCE}),
    # security
    Line("Failed login for bob@acme.example", {SECURITY}, WARN),
    Line("Invalid password for user 17 from 203.0.113.9", {SECURITY}, WARN),
    Line("Failed password for root from 203.0.113.9 port 22 ssh2", {SECURITY}),
    Line("authentication failure; logname= uid=0", {SECURITY}),
    Line("JWT expired", {SECURITY}, WARN),
    Line("403 Forbidden: /admin", {SECURITY}, WARN),
    Line("access denied to project 4", {SECURITY}, WARN),
    Line("rate limit exceeded for acme", {SECURITY}, WARN),
    Line("role granted: admin to u_4", {SECURITY}),
    Line("", {SECURITY}, fields={"event_type": "security"}),
    Line("", {SECURITY}, fields={"event": "login.failed"}),
    Line("", {SECURITY}, event="auth.session.revoked"),
    Line("checked", {SECURITY}, logger="shop.security"),
    Line("Possible SQL injection in parameter q", {SECURITY, SUSPICIOUS}, ERROR - 1),
    Line("Brute force suspected: 40 attempts", {SECURITY, SUSPICIOUS}, WARN),
    Line("suspicious activity of user 9", {SECURITY, SUSPICIOUS}, WARN),
    Line("GET /items?id=1%27+UNION+ALL+SELECT+password 400", {SECURITY, SUSPICIOUS}),
    Line("GET /items?id=1' UNION SELECT password FROM users-- 400", {SECURITY, SUSPICIOUS}),
    Line("GET /files?name=../../../etc/passwd 404", {SECURITY, SUSPICIOUS}),
    Line("GET /files?name=..%2F..%2Fsecret 404", {SECURITY, SUSPICIOUS}),
    Line("GET /search?q=%3Cscript%3Ealert(1) 200", {SECURITY, SUSPICIOUS}),
    Line("imported ../../shared/colours.css"),
    Line("SELECT 1 UNION SELECT 2"),
    Line("account locked after 5 tries", {SECURITY, SUSPICIOUS}, WARN),
    Line("path traversal blocked: ../../etc/passwd", {SECURITY, SUSPICIOUS}, WARN),
    Line("", {SECURITY, SUSPICIOUS}, event="tocsin.isolation.concern"),
    Line("reverse mapping failed - POSSIBLE BREAK-IN ATTEMPT!", {SECURITY, SUSPICIOUS}),
    Line("Attack stopped", {SECURITY, SUSPICIOUS, ERRORS}, ERROR),
    # business
    Line("Order 4711 placed", {BUSINESS}),
    Line("Invoice #A-17 paid", {BUSINESS}),
    Line("User registered successfully", {BUSINESS}),
    Line("Work order 88 completed", {BUSINESS}),
    Line("report 7 exported", {BUSINESS}),
    Line("Subscription was cancelled", {BUSINESS}),
    Line("", {BUSINESS}, fields={"event": "order.created"}),
    Line("", {BUSINESS}, fields={"event_type": "business"}),
    Line("", {BUSINESS}, event="invoice_paid"),
    Line("x", {BUSINESS}, logger="shop.business_events"),
    Line("Payment failed", {BUSINESS, ERRORS}, ERROR),
]
